"""A server whose log is read line by line, and clients that call it under names of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.faults.processes import Parley, parleys

WAIT_SECONDS, POLL_SECONDS = 5.0, 0.01
PASSWORD = "marker-password-7f3a"

Line = dict[str, Any]


class Logged:
    """A server that logs in JSON."""

    def __init__(self, parley: Parley) -> None:
        self.parley = parley

    @property
    def url(self) -> str:
        """Its base URL."""
        return self.parley.url

    @property
    def lines(self) -> list[Line]:
        """What it has logged, but for its banner."""
        text = self.parley.log.read_text()
        return [msgspec.json.decode(line) for line in text.splitlines() if line[:1] == "{"]

    def find(self, **fields: object) -> list[Line]:
        """Return the lines with these fields."""
        return [
            line
            for line in self.lines
            if all(line.get(name) == value for name, value in fields.items())
        ]

    def one(self, **fields: object) -> Line:
        """Wait for a line with these fields; return it, which has to be the only one."""
        deadline = monotonic() + WAIT_SECONDS
        while not (found := self.find(**fields)) and monotonic() < deadline:
            sleep(POLL_SECONDS)  # a file cannot be waited for otherwise
        assert len(found) == 1, f"{len(found)} lines with {fields}"
        return found[0]


@contextmanager
def logging_server(directory: Path, **settings: object) -> Iterator[Logged]:
    """Serve while the block lasts."""
    settings = {"log_format": "json", "search": "off", **settings}
    with parleys(directory, 1, allowed=(), **settings) as [parley]:
        yield Logged(parley)


def register(url: str, name: str) -> tuple[int, str]:
    """Make an account; return its id and a token."""
    account = {"email": f"{name}@example.com", "password": PASSWORD, "displayName": name}
    made = httpx.post(f"{url}/api/auth/register", json=account).json()
    token = httpx.post(f"{url}/api/auth/login", json=account).json()["token"]
    return made["userId"], token


def dial(url: str, token: str | None = None, **headers: str) -> connect:
    """Open a WebSocket of graphql-transport-ws."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    return connect(
        f"ws{url[4:]}/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers=given,
    )


async def begin(socket: ClientConnection) -> None:
    """Initialise the connection."""
    await socket.send('{"type": "connection_init"}')
    assert (await receive(socket))["type"] == "connection_ack"


async def receive(socket: ClientConnection) -> Any:
    """Return the next message."""
    return msgspec.json.decode(await socket.recv())


async def ask(socket: ClientConnection, id_: str, query: str, **variables: object) -> Any:
    """Execute an operation; return its first message's payload."""
    payload = {"query": query, "variables": variables}
    sent = {"type": "subscribe", "id": id_, "payload": payload}
    await socket.send(msgspec.json.encode(sent).decode())
    while (message := await receive(socket)).get("id") != id_:
        pass
    return message["payload"]
