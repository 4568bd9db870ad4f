"""How Parley's cost grows with its history: the same questions to a small log and to a large."""

import asyncio
from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

import asyncmy

from bench.clients.chat_clients import ChatClient, GraphQLClient
from bench.clients.requests import check_page, graphql_pages, measure_requests, post
from bench.parts.chat import connect_all
from bench.parts.search import measure_search
from bench.sampling import Sample, costs, latencies, no_collections, window
from bench.servers.served import Bench, Served

FILL_SECONDS = 600.0
BUSY = 40  # users whose own histories grow with the log: a tenth of it is between them
CONNECTIONS = 8
REPLAYED = 50
ONLINE = 100
ONLINE_USERS = "{ onlineUsers { id displayName } }"
REPLAY = "subscription($a: ID){messageAdded(after: $a){id senderId receiverId content createdAt}}"


class Size(NamedTuple):
    """How much there is."""

    messages: int
    users: int

    @property
    def title(self) -> str:
        """The heading of its column."""
        return f"{self.messages:,} messages, {self.users:,} users"


SIZES = (
    Size(10_000, 1_000),
    Size(100_000, 10_000),
    Size(1_000_000, 30_000),
    Size(5_000_000, 100_000),
)


async def fill(bench: Bench, name: str, size: Size) -> None:
    """Put messages straight into the empty tables that a server has made.

    One in a hundred is a broadcast, one in ten is between two of the busy, the others are between
    any two users.
    """
    sender = f"IF(seq % 10 = 1, seq DIV 10 % {BUSY} + 1, CRC32(seq) % {size.users} + 1)"
    any_other = f"(sender + CRC32(CONCAT('to ', seq)) % {size.users - 1}) % {size.users} + 1"
    neighbour = "IF(sender % 2, sender + 1, sender - 1)"
    receiver = f"IF(seq % 100 = 0, NULL, IF(seq % 10 = 1, {neighbour}, {any_other}))"
    statements = (
        # The rows are right: with these off, an empty table's indexes are built in bulk.
        "SET SESSION foreign_key_checks = 0, unique_checks = 0",
        f"""
        CREATE TEMPORARY TABLE made
        SELECT id, sender, receiver, LEAST(sender, receiver) AS lower_id,
               GREATEST(sender, receiver) AS higher_id, created_at
        FROM (
          SELECT seq AS id, sender, {receiver} AS receiver,
                 UTC_TIMESTAMP(6) - INTERVAL ({size.messages} - seq) SECOND AS created_at
          FROM (SELECT seq, {sender} AS sender FROM seq_1_to_{size.messages}) AS numbered
        ) AS made
        """,  # noqa: S608  # our own numbers
        """
        CREATE TEMPORARY TABLE pairs (PRIMARY KEY (lower_id, higher_id))
        SELECT lower_id, higher_id, MIN(created_at) AS created_at, MAX(id) AS last_id FROM made
        WHERE receiver IS NOT NULL GROUP BY lower_id, higher_id
        """,
        """
        INSERT INTO conversations (kind, lower_user_id, higher_user_id, shows_earlier, created_at)
        SELECT 'DIRECT', lower_id, higher_id, 1, created_at FROM pairs
        """,
        """
        INSERT INTO messages (id, sender_id, receiver_id, conversation_id, kind, content,
                              created_at)
        SELECT made.id, sender, receiver, COALESCE(c.id, 1), 'TEXT',
               CONCAT('See you at the station at half past seven, ', made.id), made.created_at
        FROM made LEFT JOIN conversations c
        ON c.lower_user_id = lower_id AND c.higher_user_id = higher_id ORDER BY made.id
        """,
        # The last tenth is unread.
        f"""
        INSERT INTO members (conversation_id, user_id, role, joined_position, activity,
                             read_position, archived, pinned)
        SELECT c.id, u.id, 'MEMBER', 0, last_id, {size.messages * 9 // 10}, 0, 0
        FROM conversations c JOIN pairs ON lower_id = lower_user_id AND higher_id = higher_user_id
        JOIN users u ON u.id IN (lower_user_id, higher_user_id)
        """,  # noqa: S608  # as above
        f"UPDATE log_head SET position = {size.messages}",  # noqa: S608
        "ANALYZE TABLE messages, conversations, members, users",
    )
    database = bench.database
    connection = await asyncmy.connect(
        host=database.host,
        port=database.port,
        user=database.user,
        password=database.password,
        db=name,
        autocommit=True,
    )
    try:
        async with asyncio.timeout(FILL_SECONDS), connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
    finally:
        connection.close()


def replay_starts(served: Served) -> dict[int, int]:
    """For some users, the id past which exactly REPLAYED messages are theirs to see."""
    starts = {}
    for user_id in range(1, CONNECTIONS + 1):
        branches = " UNION ".join(
            f"(SELECT id FROM messages WHERE {where} ORDER BY id DESC LIMIT {REPLAYED + 1})"  # noqa: S608
            for where in (
                f"sender_id = {user_id}",
                f"receiver_id = {user_id}",
                "receiver_id IS NULL",
            )
        )
        newest = served.database.execute(
            f"{branches} ORDER BY id DESC LIMIT {REPLAYED + 1}", served.name
        )
        starts[user_id] = int(newest[-1][0])
    return starts


class Replayer(GraphQLClient):
    """Subscribes with `after`, takes what was missed, ends the subscription, and so on."""

    def __init__(self, user_id: int, after: int) -> None:
        super().__init__(user_id)
        self.after = after
        self.seconds: list[float] = []
        self._number = 0
        self._seen = 0
        self._begun = 0.0
        self.arrived = self._count

    def again(self) -> None:
        """Begin a replay."""
        self._number += 1
        self._seen = 0
        self._begun = perf_counter()
        self.send(
            b'{"id":"r%d","type":"subscribe","payload":{"query":"%s","variables":{"a":"%d"}}}'
            % (self._number, REPLAY.encode(), self.after)
        )

    def _count(self, content: str, receiver_id: int | None, client: ChatClient) -> None:
        self._seen += 1
        if self._seen == REPLAYED:
            self.seconds.append(perf_counter() - self._begun)
            self.send(b'{"id":"r%d","type":"complete"}' % self._number)
            self.again()


async def measure_replays(
    served: Served, starts: dict[int, int], *, warm_up: float, seconds: float
) -> Sample:
    """What a subscription costs that has REPLAYED messages to catch up with."""
    replayers = [Replayer(user_id, after) for user_id, after in starts.items()]

    def forget() -> None:
        for replayer in replayers:
            replayer.seconds = []

    def look() -> None:
        for replayer in replayers:
            if replayer.failure:
                raise ConnectionError(replayer.failure)

    try:
        for replayer in replayers:
            await replayer.connect(served.host, served.port)
        with no_collections():
            for replayer in replayers:
                replayer.again()
            await asyncio.sleep(warm_up)
            used, elapsed = await window(served, seconds, forget, look)
            taken = [value for replayer in replayers for value in replayer.seconds]
    finally:
        for replayer in replayers:
            replayer.abort()
    return {**costs(used, len(taken), elapsed), **latencies(taken)}


async def measure_online(served: Served, size: Size, *, warm_up: float, seconds: float) -> Sample:
    """What the list of those online costs: ONLINE of them, from all over the table."""
    online = range(1, size.users + 1, size.users // ONLINE)
    clients = await connect_all(served, GraphQLClient, online)

    def asking(served: Served, user_id: int) -> Iterator[bytes]:
        request = post(served, "/graphql", user_id, {"query": ONLINE_USERS})
        while True:
            yield request

    try:
        return await measure_requests(
            served,
            asking,
            _check_online,
            warm_up=warm_up,
            seconds=seconds,
            connections=CONNECTIONS,
        )
    finally:
        for client in clients:
            client.abort()


def _check_online(status: int, body: bytes) -> None:
    if status != 200 or body.count(b'"displayName":') < ONLINE:
        raise ValueError(f"{status}: {body[:300]!r}")


async def measure_growth(
    served: Served, size: Size, starts: dict[int, int], *, warm_up: float, seconds: float
) -> Sample:
    """One sample of all four questions, each number with its question's name before it."""
    page = await measure_requests(
        served,
        graphql_pages,
        check_page,
        warm_up=warm_up,
        seconds=seconds,
        connections=CONNECTIONS,
    )
    replay = await measure_replays(served, starts, warm_up=warm_up, seconds=seconds)
    online = await measure_online(served, size, warm_up=warm_up, seconds=seconds)
    search = await measure_search(served, warm_up=warm_up, seconds=seconds)
    named = {"page": page, "replay": replay, "online": online, "search": search}
    return {f"{name}_{key}": value for name, found in named.items() for key, value in found.items()}
