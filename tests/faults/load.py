"""A load that goes on whatever breaks: users who retry until they are told "stored"."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from tests.faults.ledger import Ledger, Received, Row, Sent
from tests.faults.mixed.load import MixedLoad
from tests.faults.store import Store
from tests.faults.wire import WATCH, Cut, GraphQLClient, Refused, RestClient, Sender, SocketIOClient

PASSWORD = "123456"
# No fault of ours lasts so long: what is not settled by then is lost.
DEADLINE_SECONDS = 60.0
RETRY_SECONDS = 0.05
# Who do everything, and one who only follows.
MIXED = 5


@dataclass(frozen=True, slots=True)
class User:
    """Somebody registered."""

    id: int
    token: str


async def register(port: int, number: int) -> list[User]:
    """Register so many users."""
    users = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        for _ in range(number):
            email = f"{uuid4().hex}@example.com"
            body = {"email": email, "password": PASSWORD, "displayName": "Somebody"}
            (await http.post("/api/auth/register", json=body)).raise_for_status()
            answer = await http.post("/api/auth/login", json=body)
            users.append(User(answer.json()["user"]["id"], answer.json()["token"]))
    return users


class Load:
    """Pairs of users who write to each other, and a few who write to everybody."""

    def __init__(
        self,
        ports: Sequence[int],
        users: Sequence[User],
        *,
        broadcasters: int = 1,
        window: int = 4,
        pause: float = 0.1,
        doubled: bool = False,
        mixed: Sequence[User] = (),
    ) -> None:
        self.ports = ports
        self.users = users
        self.ledger = Ledger()
        self.live: set[Any] = set()  # clients that can be cut
        self.mixed = MixedLoad(ports, mixed, self.live) if mixed else None
        self._broadcasters = broadcasters
        self._window = window
        self._pause = pause
        self._doubled = doubled
        self._stopping = False
        self._senders: list[asyncio.Task[None]] = []
        self._readers: list[asyncio.Task[None]] = []
        self._moved = asyncio.Event()

    async def start(self) -> None:
        """Begin; each user sends over one face and reads over GraphQL, some over Socket.IO too."""
        if self.mixed is not None:
            await self.mixed.start()
        faces = [self._open_graphql, self._open_graphql, self._open_socketio, self._open_rest]
        for index, user in enumerate(self.users):
            peer = self.users[index ^ 1] if index ^ 1 < len(self.users) else user
            to = None if index < self._broadcasters else peer.id
            face = faces[index % len(faces)]
            self._senders.append(asyncio.create_task(self._send(index, user, to, face)))
            self._readers.append(asyncio.create_task(self._read(index, user)))
            if index % 4 == 3:
                self._readers.append(asyncio.create_task(self._listen(index, user)))

    async def finish(self, store: Store) -> list[Row]:
        """Send no more; wait until all is acknowledged and has reached every reader."""
        self._stopping = True
        rows: list[Row] = []
        wanted: dict[int, int] = {}
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await asyncio.gather(*self._senders)
                if self.mixed is not None:
                    await self.mixed.stop()
                rows = await asyncio.to_thread(store.rows)
                for user in self.users:
                    visible = [row.id for row in rows if row.visible_to(user.id)]
                    wanted[user.id] = visible[-1] if visible else 0
                for reader in self.ledger.received:
                    while reader.resumes and reader.last < wanted[reader.user_id]:
                        self._moved.clear()
                        await self._moved.wait()
                if self.mixed is not None:
                    facts = await asyncio.to_thread(store.facts)
                    await self.mixed.settle(rows, facts)
        except TimeoutError:
            waiting = [sent for sent in self.ledger.sent.values() if sent.id is None]
            behind = [
                (reader.user_id, reader.last, wanted[reader.user_id])
                for reader in self.ledger.received
                if wanted and reader.resumes and reader.last < wanted[reader.user_id]
            ]
            raise AssertionError(
                f"after {DEADLINE_SECONDS} s: unacknowledged {waiting[:5]}, behind {behind},"
                f" {self.mixed and self.mixed.behind()}"
            ) from None
        return rows

    async def close(self) -> None:
        """End every client."""
        if self.mixed is not None:
            await self.mixed.close()
        for task in [*self._senders, *self._readers]:
            task.cancel()
        await asyncio.gather(*self._senders, *self._readers, return_exceptions=True)

    def cut_one(self) -> None:
        """Cut some client's connection without a word."""
        if self.live:
            random.choice([*self.live]).abort()

    # Sending.

    async def _open_graphql(self, port: int, user: User) -> Sender:
        return await GraphQLClient.open(port, user.token)

    async def _open_socketio(self, port: int, user: User) -> Sender:
        return await SocketIOClient.open(port, user.token)

    async def _open_rest(self, port: int, user: User) -> Sender:
        return RestClient(port, user.token)

    async def _send(
        self,
        index: int,
        user: User,
        to: int | None,
        face: Callable[[int, User], Awaitable[Sender]],
    ) -> None:
        # REST answers a request at a time: a window there would have no order.
        window = 1 if face == self._open_rest else self._window
        number = 0
        lanes = [_Lane(self, index + lane, user, face) for lane in range(1 + self._doubled)]
        try:
            while not self._stopping:
                batch = []
                for _ in range(window):
                    number += 1
                    key = f"{user.id}-{number}"
                    sent = Sent(user.id, to, key, f"message {key} {'é' * 20}", time.monotonic())
                    self.ledger.sent[user.id, key] = sent
                    batch.append(sent)
                await asyncio.gather(*(lane.settle(batch) for lane in lanes))
                await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))
        finally:
            for lane in lanes:
                await lane.close()

    # Reading.

    async def _read(self, index: int, user: User) -> None:
        received = Received(user.id)
        self.ledger.received.append(received)

        def take(data: dict[str, Any]) -> None:
            message = data["messageAdded"]
            received.connections[-1].append((int(message["id"]), message["content"]))
            self._moved.set()

        for attempt in range(1_000_000):
            try:
                client = await GraphQLClient.open(self._port(index + attempt), user.token)
            except Cut:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.live.add(client)
            try:
                received.connections.append([])
                after = received.last
                await client.watch(WATCH, take, after)
                await client.over.wait()
            except Cut:
                pass
            finally:
                self.live.discard(client)
                await client.close()
            self.ledger.cuts += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, index: int, user: User) -> None:
        received = Received(user.id, resumes=False)
        self.ledger.received.append(received)

        def take(event: str, data: Any) -> None:
            if event == "message:new":
                received.connections[-1].append((data["id"], data["content"]))

        for attempt in range(1_000_000):
            received.connections.append([])
            try:
                client = await SocketIOClient.open(self._port(index + attempt), user.token, take)
            except Cut:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.live.add(client)
            try:
                await client.over.wait()
            finally:
                self.live.discard(client)
                await client.close()

    def _port(self, index: int) -> int:
        return self.ports[index % len(self.ports)]


class _Lane:
    """One connection of a sender, opened again whenever it is cut, somewhere else if there is."""

    def __init__(
        self, load: Load, index: int, user: User, face: Callable[[int, User], Awaitable[Sender]]
    ) -> None:
        self._load = load
        self._index = index
        self._user = user
        self._face = face
        self._client: Sender | None = None

    async def settle(self, batch: Sequence[Sent]) -> None:
        """Send the batch, what is not acknowledged again, in order, until all of it is."""
        left = [*batch]
        while left:
            try:
                client = await self._connected()
                answers = [
                    await client.start(sent.key, sent.content, sent.receiver_id) for sent in left
                ]
                await asyncio.wait(answers, timeout=8)
            except Cut:
                await self._cut()
                continue
            failed: list[Sent] = []
            cut = False
            for sent, answer in zip(left, answers, strict=True):
                error = Cut() if not answer.done() or answer.cancelled() else answer.exception()
                if error is None:
                    self._load.ledger.acknowledge(sent, answer.result())
                    continue
                failed.append(sent)
                cut = cut or isinstance(error, Cut)
                if isinstance(error, Refused) and error.code not in {"INTERNAL", "RATE_LIMITED"}:
                    self._load.ledger.contradictions.append(f"{sent}: {error}")
            left = failed
            if cut:
                await self._cut()
            elif left:
                await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """End."""
        if self._client is not None:
            self._load.live.discard(self._client)
            await self._client.close()
            self._client = None

    async def _connected(self) -> Sender:
        if self._client is None:
            port = self._load.ports[self._index % len(self._load.ports)]
            self._client = await self._face(port, self._user)
            self._load.live.add(self._client)
        return self._client

    async def _cut(self) -> None:
        self._load.ledger.cuts += 1
        await self.close()
        self._index += 1
        await asyncio.sleep(RETRY_SECONDS)


@asynccontextmanager
async def load_on(
    ports: Sequence[int], *, users: int = 12, mixed: int = MIXED, **options: Any
) -> AsyncIterator[Load]:
    """A load of so many pairs' users on these ports, and so many who do everything."""
    people = await register(ports[0], users + mixed)
    load = Load(ports, people[:users], mixed=people[users:], **options)
    try:
        await load.start()
        yield load
    finally:
        await load.close()
