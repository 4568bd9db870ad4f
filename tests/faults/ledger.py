"""What clients were promised and what they got, and whether the database agrees."""

import itertools
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# Their messages are changed, and are checked elsewhere (tests/faults/mixed).
Others = Collection[int]
EVERYBODYS_ID = 1


class Row(NamedTuple):
    """A message as the database holds it."""

    id: int
    sender_id: int
    receiver_id: int | None
    key: str
    content: str
    conversation_id: int
    is_deleted: bool

    def visible_to(self, user_id: int) -> bool:
        """Whether a user who is in no group may see it."""
        if self.receiver_id is None:
            return self.conversation_id == EVERYBODYS_ID
        return user_id in (self.sender_id, self.receiver_id)


@dataclass(slots=True)
class Sent:
    """A message that a client means to get stored."""

    sender_id: int
    receiver_id: int | None
    key: str
    content: str
    first_sent_at: float
    id: int | None = None
    acknowledged_at: float = 0.0


@dataclass(slots=True)
class Received:
    """What one reader got, over however many connections, in the order it came.

    `resumes`: it asks for everything past what it has seen; otherwise each connection is a slice
    of its own, without a hole inside.
    """

    user_id: int
    resumes: bool = True
    connections: list[list[tuple[int, str]]] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The last id seen."""
        return next((c[-1][0] for c in reversed(self.connections) if c), 0)


@dataclass(slots=True)
class Ledger:
    """Filled by the load; `verify` compares it with the database."""

    sent: dict[tuple[int, str], Sent] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    answers: int = 0
    cuts: int = 0
    contradictions: list[str] = field(default_factory=list)

    def acknowledge(self, message: Sent, id_: int) -> None:
        """Note that a client was told that its message is stored, as this id."""
        self.answers += 1
        if message.id is None:
            message.id = id_
            message.acknowledged_at = time.monotonic()
        elif message.id != id_:
            self.contradictions.append(f"{message} was also acknowledged as {id_}")

    @property
    def longest_silence(self) -> float:
        """The longest time without any acknowledgement: how long senders had to wait."""
        times = sorted(sent.acknowledged_at for sent in self.sent.values() if sent.id is not None)
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    @property
    def rate(self) -> float:
        """Messages acknowledged a second, faults and all."""
        times = [sent.acknowledged_at for sent in self.sent.values() if sent.id is not None]
        return len(times) / max(0.001, max(times) - min(times)) if times else 0.0

    def verify(
        self,
        rows: Sequence[Row],
        head: int,
        *,
        facts: Sequence[int] = (),
        others: Others = (),
        pipelined: bool = True,
    ) -> None:
        """None lost, none twice, none out of order, positions dense.

        `facts` are the positions of other facts than messages.
        `pipelined`: what one client sent without waiting kept its order, too. A database that
        comes back between two of its sends may take the second first, so not then.
        """
        assert self.sent, "nothing was sent"
        assert not self.contradictions, self.contradictions[:5]
        positions = sorted([*(row.id for row in rows), *facts])
        assert positions == list(range(1, len(positions) + 1)), "positions are not dense"
        assert head == len(positions), "the head is not the last position"
        self._check_sends([row for row in rows if row.sender_id not in others])
        self._check_order(pipelined)
        for reader in self.received:
            _check_reader(reader, rows, others)

    def _check_sends(self, rows: Sequence[Row]) -> None:
        by_key: dict[tuple[int, str], Row] = {}
        for row in rows:
            key = (row.sender_id, row.key)
            assert key not in by_key, f"stored twice: {row}"
            assert key in self.sent, f"nobody sent {row}"
            by_key[key] = row
        for key, sent in self.sent.items():
            assert sent.id is not None, f"never acknowledged: {sent}"
            assert key in by_key, f"acknowledged and lost: {sent}"
            stored = by_key[key]
            wanted = (sent.id, key[0], sent.receiver_id, key[1], sent.content)
            assert stored[:5] == wanted

    def _check_order(self, pipelined: bool) -> None:
        by_sender: dict[int, list[Sent]] = {}
        for sent in self.sent.values():  # in the order in which they were first sent
            by_sender.setdefault(sent.sender_id, []).append(sent)
        for sends in by_sender.values():
            highest: Sent | None = None  # of those acknowledged before this one was sent
            settled = sorted(sends, key=lambda sent: sent.acknowledged_at)
            position = 0
            for sent in sends:
                while settled[position].acknowledged_at < sent.first_sent_at:
                    earlier = settled[position]
                    if highest is None or (earlier.id or 0) > (highest.id or 0):
                        highest = earlier
                    position += 1
                if highest is not None:
                    assert (sent.id or 0) > (highest.id or 0), f"{sent} before {highest}"
            if pipelined:
                ids = [sent.id for sent in sends]
                assert ids == sorted(ids, key=lambda id_: id_ or 0), "a sender's order was lost"


def _check_reader(reader: Received, rows: Sequence[Row], others: Others) -> None:
    # What others sent may be changed between two readings: their ids alone are told apart.
    changing = {row.id for row in rows if row.sender_id in others}
    gone = {row.id for row in rows if row.is_deleted and not reader.resumes}

    def plain(seen: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
        return [(id_, "" if id_ in changing else text) for id_, text in seen if id_ not in gone]

    visible = plain((row.id, row.content) for row in rows if row.visible_to(reader.user_id))
    if reader.resumes:
        _same(plain(seen for c in reader.connections for seen in c), visible)
        return
    ids = [id_ for id_, _ in visible]
    for connection in map(plain, reader.connections):
        if connection:
            first = ids.index(connection[0][0])
            _same(connection, visible[first : first + len(connection)])


def _same(got: list[tuple[int, str]], wanted: list[tuple[int, str]]) -> None:
    if got == wanted:
        return
    ids, right = [id_ for id_, _ in got], [id_ for id_, _ in wanted]
    missing, extra = sorted(set(right) - set(ids)), sorted(set(ids) - set(right))
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1}) if len(ids) < 20_000 else "?"
    raise AssertionError(
        f"{len(ids)} received, {len(right)} to be received; missing {missing[:10]},"
        f" not theirs {extra[:10]}, twice {twice}, in order: {ids == sorted(ids)}"
    )
