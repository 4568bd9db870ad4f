"""Crowds that come back, or leave, at once: how long until all is well, and who waits meanwhile."""

import asyncio
import random
from collections.abc import Callable, Sequence
from time import perf_counter

import msgspec

from bench.clients.bystander import Bystanders
from bench.clients.chat_clients import ChatClient, GraphQLClient, SocketIOClient
from bench.sampling import SECOND_MS, Sample, no_collections, percentile
from bench.servers.served import Served, sign_token

# Half over GraphQL, half over Socket.IO; each is somebody else.
CROWD = 10_000
JITTER_SECONDS = 10.0
MISSED = 20  # messages that come while all are cut off
ALL_LIVE_SECONDS = 120.0
AT_ONCE = 50
QUIET_SECONDS = 3.0
# Some leave, as many listen.
LEAVING = LISTENING = 2_000
GRACE_SECONDS = 5.0
# Older clients wait for their list so long at most.
QUIET_AFTER_SECONDS = 11.0
BYSTANDERS = 2
USERS = CROWD + BYSTANDERS

PRESENCE = "subscription { presence { online user { id } } }"


class _Resuming(ChatClient):
    """A connection that resumes; `missing` holds what it has not heard yet."""

    token = ""
    after = 0
    missing: set[str]

    def hear(self, content: str) -> None:
        """Take a message: once, and in order, or it is a failure."""
        if content in self.missing:
            self.missing.discard(content)
        elif not content.startswith("by the way"):
            self.fail(f"twice, or never sent: {content!r}")


class ResumingGraphQL(_Resuming, GraphQLClient):
    """Over GraphQL, with `messageAdded(after:)`; with `watches`, presence too."""

    watches = False
    changes = 0

    def opened(self) -> None:
        payload = {"authorization": f"Bearer {self.token}"}
        self.send(msgspec.json.encode({"type": "connection_init", "payload": payload}))

    def received(self, message: bytes) -> None:
        if message == b'{"type":"connection_ack"}':
            fields = "{ id senderId receiverId content createdAt }"
            query = f'subscription {{ messageAdded(after: "{self.after}") {fields} }}'
            self._subscribe("s", query)
            if self.watches:
                self._subscribe("p", PRESENCE)
            self.send(b'{"type":"ping"}')
        elif b'"presence":' in message:
            self.changes += 1
        else:
            super().received(message)

    def _subscribe(self, id_: str, query: str) -> None:
        message = {"id": id_, "type": "subscribe", "payload": {"query": query}}
        self.send(msgspec.json.encode(message))


class ResumingSocketIO(_Resuming, SocketIOClient):
    """Over Socket.IO, with `after`."""

    lists = 0
    departures = 0

    def received(self, message: bytes) -> None:
        if message.startswith(b"40{"):
            login = {"token": self.token, "after": self.after}
            self.send(b'42["auth:login",%b]' % msgspec.json.encode(login))
        elif message.startswith(b'42["user:online",'):
            self.lists += 1
        elif message.startswith(b'42["user:offline",'):
            self.departures += 1
        else:
            super().received(message)


async def measure_reconnect(served: Served, *, crowd: int, watches: bool = False) -> Sample:
    """All are cut off at once, miss some messages, and come back with `after` in ten seconds."""
    kinds: list[type[ResumingGraphQL | ResumingSocketIO]] = [ResumingGraphQL, ResumingSocketIO]
    tokens = [sign_token(user_id) for user_id in range(1, crowd + 1)]

    def client(
        number: int, after: int, missing: Sequence[str]
    ) -> ResumingGraphQL | ResumingSocketIO:
        made = kinds[number % 2](number + 1)
        made.token, made.after, made.missing = tokens[number], after, {*missing}
        if isinstance(made, ResumingGraphQL):
            made.watches = watches
        made.arrived = lambda content, receiver_id, _: made.hear(content)
        return made

    writer = GraphQLClient(crowd + 1)
    written: dict[str, float] = {}
    writer.arrived = lambda content, receiver_id, _: written.update({content: perf_counter()})
    await writer.connect(served.host, served.port)
    first = [client(number, 0, ()) for number in range(crowd)]
    await _connect(served, first, lambda: 0.0)
    await asyncio.sleep(QUIET_SECONDS)
    missed = [f"missed {number}" for number in range(MISSED)]
    last = "the last"
    again = [client(number, 0, [*missed, last]) for number in range(crowd)]
    jitter = random.Random(1)  # noqa: S311  # the same storm each time
    try:
        async with Bystanders(served, crowd + 1, crowd + 2) as bystanders:
            for one in first:
                one.abort()
            begun = perf_counter()
            before = served.times()
            writing = asyncio.create_task(_write(writer, missed))
            with no_collections():
                await _connect(served, again, lambda: jitter.random() * JITTER_SECONDS)
                await writing
                await _until(lambda: all(one.missing <= {last} for one in again))
                live = perf_counter() - begun
                used = served.times().since(before)
            # Not beside the bystanders, who would wait for it: it is a write for each of the crowd.
            writer.say(None, last)
            await _until(lambda: not any(one.missing for one in again))
        if failures := [one.failure for one in again if one.failure]:
            raise ConnectionError(f"{len(failures)} failed: {failures[0]}")
    finally:
        for other in (writer, *first, *again):
            other.abort()
    older = [one for one in again if isinstance(one, ResumingSocketIO)]
    return {
        "live_s": live,
        "server_ms": used.server / crowd * SECOND_MS,
        "busy": used.server / live,
        "lists": sum(one.lists for one in older) / len(older),
        "departures": sum(one.departures for one in older) / len(older),
        **_waited(bystanders.taken),
    }


async def measure_leaving(served: Served, kind: type[ChatClient]) -> Sample:
    """As many leave at once as listen over one protocol: how long a message of others waits."""
    listening: list[ResumingGraphQL | ResumingSocketIO] = []
    for number in range(LISTENING):
        one = (ResumingGraphQL if kind is GraphQLClient else ResumingSocketIO)(number + 1)
        one.token, one.missing = sign_token(number + 1), set()
        if isinstance(one, ResumingGraphQL):
            one.watches = True
        listening.append(one)
    leaving = [GraphQLClient(LISTENING + 1 + number) for number in range(LEAVING)]
    try:
        await _connect(served, leaving, lambda: 0.0)
        await _connect(served, listening, lambda: 0.0)
        await asyncio.sleep(2 * QUIET_SECONDS)
        async with Bystanders(served, CROWD + 1, CROWD + 2) as bystanders:
            await asyncio.sleep(1)
            heard = sum(_heard(one) for one in listening)
            before, begun = served.times(), perf_counter()
            for other in leaving:
                other.abort()
            last = begun + GRACE_SECONDS
            while perf_counter() < last + QUIET_AFTER_SECONDS:
                await asyncio.sleep(0.2)
                if (now := sum(_heard(one) for one in listening)) != heard:
                    heard, last = now, perf_counter()
            told = last - begun - GRACE_SECONDS
            used = served.times().since(before)
        if failures := [one.failure for one in listening if one.failure]:
            raise ConnectionError(f"{len(failures)} failed: {failures[0]}")
    finally:
        for client in (*leaving, *listening):
            client.abort()
    return {"told_s": told, "server_s": used.server, **_waited(bystanders.taken)}


def _heard(client: ResumingGraphQL | ResumingSocketIO) -> int:
    if isinstance(client, ResumingGraphQL):
        return client.changes
    return client.lists + client.departures


async def _write(writer: ChatClient, texts: Sequence[str]) -> None:
    """Say it to everybody while nearly all are away: it is a write for each who is not."""
    for text in texts:
        writer.say(None, text)
        await asyncio.sleep(0.02)


def _waited(taken: Sequence[float]) -> Sample:
    return {
        "p50_ms": percentile(taken, 0.5) * SECOND_MS,
        "p99_ms": percentile(taken, 0.99) * SECOND_MS,
        "max_ms": max(taken, default=float("nan")) * SECOND_MS,
    }


async def _connect(
    served: Served, clients: Sequence[ChatClient], wait: Callable[[], float]
) -> None:
    """Connect all, each after its wait; without waits some at a time."""
    free = asyncio.Semaphore(AT_ONCE)

    async def connect(client: ChatClient, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)
            await client.connect(served.host, served.port)
            return
        async with free:
            await client.connect(served.host, served.port)

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(connect(client, wait()))


async def _until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(ALL_LIVE_SECONDS):
        while not there():  # noqa: ASYNC110  # what is asked is many clients' state
            await asyncio.sleep(0.05)
