"""A client of each face that uploads, sends and hears of attachments, as they all show them."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import msgspec

from tests.schema.client import Socket, open_socket
from tests.support.faces import WAIT_SECONDS, Account, Refused, SocketIOFace
from tests.support.server import RunningServer

ATTACHMENT = (
    "id kind filename mediaType size sha256 width height durationMs waveform url thumbnailUrl"
    " createdAt"
)
MESSAGE = (
    f"id senderId receiverId kind content clientMessageId createdAt attachment {{ {ATTACHMENT} }}"
)
SEND = (
    "mutation($receiverId: ID, $content: String, $kind: MessageKind = TEXT, $attachmentId: ID,"
    " $clientMessageId: String) { sendMessage(receiverId: $receiverId, content: $content,"
    " kind: $kind, attachmentId: $attachmentId, clientMessageId: $clientMessageId)"
    f" {{ {MESSAGE} }} }}"
)
UPLOAD = (
    "mutation($file: Upload!, $kind: MessageKind)"
    f" {{ uploadAttachment(file: $file, kind: $kind) {{ {ATTACHMENT} }} }}"
)
Shape = dict[str, Any]


class File(NamedTuple):
    """What is sent, and what it is found to be."""

    filename: str
    content: bytes
    kind: str
    media_type: str


def same(shape: Shape) -> Shape:
    """Return a message or an attachment as all faces show it: numbers, and no signatures."""
    plain = dict(shape)
    for name in ("id", "senderId", "receiverId"):
        if plain.get(name) is not None:
            plain[name] = int(plain[name])
    for name in ("url", "thumbnailUrl"):
        if plain.get(name) is not None:
            plain[name] = plain[name].partition("?")[0]
    if plain.get("attachment") is not None:
        plain["attachment"] = same(plain["attachment"])
    return plain


class Client(ABC):
    """A logged-in client of one face, and plain HTTP beside it."""

    name: str
    # What `content` is beside an attachment that has no caption.
    names_files = True

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    @abstractmethod
    async def send(self, **fields: Any) -> Shape:
        """Send a message. Raises Refused."""

    @abstractmethod
    async def hear(self, id_: int) -> Shape:
        """Return a message, as soon as it has come."""

    async def upload(self, file: File, **fields: str) -> Shape:
        """Upload a file. Raises Refused."""
        files = {"file": (file.filename, file.content)}
        answer = await self.http.post("/api/uploads", files=files, data=fields)
        return same(accepted(answer))

    async def history(self) -> dict[int, Shape]:
        """Return what one may see, by id."""
        rows = accepted(await self.http.get("/api/messages"))
        return {row["id"]: same(row) for row in rows}

    def content(self, caption: str, file: File) -> str:
        """Return what this face shows as the content."""
        return caption or (file.filename if self.names_files else "")


def accepted(answer: httpx.Response) -> Any:
    body = answer.json()
    if answer.is_error:
        raise Refused(body["code"], body["message"])
    return body


class RestClient(Client):
    """Hears nothing by itself, so it asks again."""

    name = "rest"

    async def send(self, **fields: Any) -> Shape:
        return same(accepted(await self.http.post("/api/messages/send", json=fields)))

    async def hear(self, id_: int) -> Shape:
        return (await self.history())[id_]

    @classmethod
    @asynccontextmanager
    async def open(cls, server: RunningServer, account: Account) -> AsyncIterator["RestClient"]:
        """Make one."""
        async with http_of(server, account) as http:
            yield cls(http)


class GraphQLClient(Client):
    """Uploads over HTTP, everything else over one WebSocket."""

    name = "graphql"
    names_files = False

    def __init__(self, http: httpx.AsyncClient, socket: Socket) -> None:
        super().__init__(http)
        self.socket = socket

    async def send(self, **fields: Any) -> Shape:
        return same((await self.execute(SEND, fields))["sendMessage"])

    async def execute(self, query: str, variables: Shape | None = None) -> Shape:
        """Run an operation. Raises Refused."""
        id_ = uuid4().hex
        await self.socket.subscribe(id_, query, variables)
        answer = await self.socket.expect(id=id_)
        refused = answer["type"] == "error"
        return data_of({"errors": answer["payload"]} if refused else answer["payload"])

    async def hear(self, id_: int) -> Shape:
        while True:
            message = await self.socket.expect(id="live", type="next")
            heard = same(message["payload"]["data"]["messageAdded"])
            if heard["id"] == id_:
                return heard

    async def upload(self, file: File, **fields: str) -> Shape:
        operations = {"query": UPLOAD, "variables": {"file": None, **fields}}
        form = {
            "operations": (None, msgspec.json.encode(operations)),
            "map": (None, b'{"0": ["variables.file"]}'),
            "0": (file.filename, file.content),
        }
        headers = {"GraphQL-Preflight": "1"}
        answer = await self.http.post("/graphql", files=form, headers=headers)
        return same(data_of(answer.json())["uploadAttachment"])

    async def history(self) -> dict[int, Shape]:
        query = f"{{ messages(last: 200) {{ nodes {{ {MESSAGE} }} }} }}"
        nodes = (await self.execute(query))["messages"]["nodes"]
        return {int(node["id"]): same(node) for node in nodes}

    @classmethod
    @asynccontextmanager
    async def open(cls, server: RunningServer, account: Account) -> AsyncIterator["GraphQLClient"]:
        """Connect and subscribe."""
        async with open_socket(server, account) as socket, http_of(server, account) as http:
            await socket.subscribe("live", f"subscription {{ messageAdded {{ {MESSAGE} }} }}")
            await socket.settle()
            yield cls(http, socket)


def data_of(result: Shape) -> Shape:
    if errors := result.get("errors"):
        raise Refused(errors[0]["extensions"]["code"], errors[0]["message"])
    data: Shape = result["data"]
    return data


class SocketIOClient(Client):
    """The older client, which knows nothing of attachments but what was added."""

    name = "socketio"

    def __init__(self, http: httpx.AsyncClient, face: SocketIOFace) -> None:
        super().__init__(http)
        self.face = face

    async def send(self, **fields: Any) -> Shape:
        body = {"toUserId" if name == "receiverId" else name: fields[name] for name in fields}
        event = "message:private" if body.get("toUserId") else "message:send"
        answer = await self.face._client.call(event, body, timeout=WAIT_SECONDS)
        if "error" in answer:
            raise Refused(answer["code"], answer["error"])
        return same(answer)

    async def hear(self, id_: int) -> Shape:
        _, heard = await self.face.events.expect(
            lambda event: event[0] == "message:new" and event[1]["id"] == id_
        )
        return same(heard)

    @classmethod
    @asynccontextmanager
    async def open(cls, server: RunningServer, account: Account) -> AsyncIterator["SocketIOClient"]:
        """Connect and log in."""
        async with SocketIOFace.open(server, account) as face, http_of(server, account) as http:
            yield cls(http, face)


@asynccontextmanager
async def http_of(server: RunningServer, account: Account) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        yield http


CLIENTS = (GraphQLClient, RestClient, SocketIOClient)
