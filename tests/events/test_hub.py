"""The hub: who is let in and out, and who is delivered what, by topic."""

import random
from collections import Counter
from time import monotonic
from typing import Any

import pytest

from events.connection import Connection
from events.hub import EVERYBODY, AlreadyEnded, Hub
from tests.events.test_expiries import Line, let_in

ALICE, BOB, CAROL = 1, 2, 3


class Word(str):
    """What is delivered."""

    id = 7


class Reader:
    """A sink that keeps all it gets."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.interruptions = 0

    def deliver(self, item: Any, size: int) -> None:
        """As Sink."""
        assert size == len(item)
        self.got.append(item)

    def interrupt(self) -> None:
        """As Sink."""
        self.interruptions += 1


class Counted:
    """A step that counts, and may refuse."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name = name
        self.said = said
        self.held: Counter[int] = Counter()
        self.refuses = False

    def enter(self, user_id: int) -> None:
        """As Step."""
        if self.refuses:
            raise PermissionError
        self.said.append(f"{self.name} {user_id} in")
        self.held[user_id] += 1

    def leave(self, user_id: int) -> None:
        """As Step."""
        self.said.append(f"{self.name} {user_id} out")
        self.held[user_id] -= 1
        assert self.held[user_id] >= 0


@pytest.fixture
def said() -> list[str]:
    """What the steps did, in order."""
    return []


@pytest.fixture
def steps(said: list[str]) -> list[Counted]:
    """Two of them."""
    return [Counted("count", said), Counted("presence", said)]


@pytest.fixture
def hub(steps: list[Counted]) -> Hub:
    """One with these steps."""
    return Hub(warning_seconds=60, steps=steps)


def connect(hub: Hub, user_id: int | None = None) -> Connection:
    """Open a socket, and let the user in."""
    connection = hub.open(Line())
    if user_id is not None:
        let_in(hub, connection, user_id, None)
    return connection


def listen(hub: Hub, user_id: int) -> tuple[Connection, Reader]:
    """The same, with a sink."""
    connection, reader = connect(hub, user_id), Reader()
    connection.attach(reader)
    return connection, reader


def test_steps_are_passed_in_order_and_given_back_in_reverse(hub: Hub, said: list[str]) -> None:
    connection = connect(hub)
    assert said == []
    let_in(hub, connection, ALICE, 10)
    assert said == ["count 1 in", "presence 1 in"]
    connection.close()
    connection.close()
    assert said[2:] == ["presence 1 out", "count 1 out"]
    assert hub._table == {}


def test_a_refusal_undoes_the_steps_before_it_and_leaves_the_connection_as_it_was(
    hub: Hub, steps: list[Counted], said: list[str]
) -> None:
    connection, reader = listen(hub, ALICE)
    steps[1].refuses = True
    said.clear()
    with pytest.raises(PermissionError):
        let_in(hub, connection, BOB, 20)
    assert said == ["count 2 in", "count 2 out"]
    assert (connection.user_id, connection.session_id) == (ALICE, None)
    hub.deliver(Word("still Alice's"), 13, [ALICE])
    assert reader.got == ["still Alice's"]


def test_the_same_user_stays_and_goes_on_in_the_new_session(hub: Hub, said: list[str]) -> None:
    connection, reader = listen(hub, ALICE)
    said.clear()
    let_in(hub, connection, ALICE, 11)
    assert said == []
    hub.end(ALICE, None)
    hub.deliver(Word("on"), 2, [ALICE])
    assert reader.got == ["on"]
    hub.end(ALICE, 11)
    assert connection.user_id is None


def test_another_user_is_in_before_the_one_before_is_out_and_hears_nothing_of_theirs(
    hub: Hub, said: list[str]
) -> None:
    connection, reader = listen(hub, ALICE)
    said.clear()
    let_in(hub, connection, BOB, None)
    assert said == ["count 2 in", "presence 2 in", "presence 1 out", "count 1 out"]
    hub.deliver(Word("for either"), 10, [ALICE, BOB])
    assert (reader.got, connection.sinks) == ([], ())
    assert ALICE not in hub._table


def test_nobody_is_let_in_on_a_connection_that_is_closed(hub: Hub, said: list[str]) -> None:
    connection = connect(hub)
    connection.close()
    let_in(hub, connection, ALICE, None)
    assert (said, hub._table, connection.user_id) == ([], {}, None)


def test_whoever_is_ended_is_out_before_the_transport_hears_of_it(
    hub: Hub, said: list[str]
) -> None:
    class Asking(Line):
        def session_ended(self, reason: str) -> None:
            super().session_ended(reason)
            assert said[-1] == "count 1 out"
            assert ALICE not in hub._table

    transport = Asking()
    connection = hub.open(transport)
    let_in(hub, connection, ALICE, 10)
    connection.attach(reader := Reader())
    hub.end(ALICE, 10)
    assert transport.told == ["Session ended"]
    hub.broadcast(Word("late"), 4, BOB)
    assert reader.got == []
    assert hub.transports(Asking) == [transport]  # it is still to close
    connection.close()
    assert hub._table == {}


def test_each_item_goes_to_its_topics_and_a_broadcast_to_all_but_those_apart(hub: Hub) -> None:
    (_, alice), (_, tab), (_, bob) = listen(hub, ALICE), listen(hub, ALICE), listen(hub, BOB)
    connect(hub, BOB)  # which listens to nothing
    connect(hub)  # and nobody
    hub.deliver(Word("one"), 3, [ALICE])
    hub.deliver(Word("both"), 4, [ALICE, BOB])
    hub.broadcast(Word("all"), 3, ALICE)
    hub.broadcast(Word("apart"), 5, BOB, apart={ALICE})
    assert alice.got == tab.got == ["one", "both", "all"]
    assert bob.got == ["both", "all", "apart"]


def test_a_topic_of_a_conversation_takes_one_line(hub: Hub) -> None:
    topic = "conversation:7"
    (one, alice), (_, bob), (two, carol) = (listen(hub, user) for user in (ALICE, BOB, CAROL))
    for connection in (one, two):
        hub.join(connection, topic)
    hub.deliver(Word("to both"), 7, [topic])
    hub.quit(one, topic)
    hub.deliver(Word("to one"), 6, [topic])
    two.close()
    hub.deliver(Word("to none"), 7, [topic])
    assert (alice.got, bob.got, carol.got) == (["to both"], [], ["to both", "to one"])
    assert topic not in hub._table


async def test_what_is_under_way_does_not_reach_who_has_left(hub: Hub) -> None:
    everyone = [listen(hub, number) for number in range(1, 500)]
    hub.broadcast(Word("all"), 3, 1)
    (first, heard), (left, unheard) = everyone[0], everyone[-1]
    assert (heard.got, unheard.got) == (["all"], [])
    left.close()
    hub._spread.complete(unheard)
    assert unheard.got == []
    assert first.user_id == 1
    hub.interrupt()
    await hub.close()
    assert heard.interruptions == 1
    assert unheard.interruptions == 0


def test_a_stream_passes_no_steps_and_ends_with_its_last_sink(hub: Hub, said: list[str]) -> None:
    stream = hub.stream(ALICE, 10, checked_at=monotonic())
    one, two = Reader(), Reader()
    stream.attach(one)
    stream.attach(two)
    hub.deliver(Word("both"), 4, [ALICE])
    stream.detach(one)
    hub.deliver(Word("one"), 3, [ALICE])
    stream.detach(two)
    assert (one.got, two.got, said) == (["both"], ["both", "one"], [])
    assert hub._table == {}


def test_a_stream_of_a_session_that_ends_is_interrupted(hub: Hub) -> None:
    mine, other = (
        hub.stream(ALICE, 10, checked_at=monotonic()),
        hub.stream(ALICE, 11, checked_at=monotonic()),
    )
    readers = [Reader(), Reader()]
    for stream, reader in zip((mine, other), readers, strict=True):
        stream.attach(reader)
    checked_at = monotonic()
    hub.end(ALICE, 10)
    with pytest.raises(AlreadyEnded):
        hub.stream(ALICE, 10, checked_at=checked_at)
    assert [reader.interruptions for reader in readers] == [1, 0]
    assert hub._table[ALICE] == {other}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_the_table_and_the_steps_agree(seed: int) -> None:
    chance = random.Random(seed)
    steps = [Counted("count", []), Counted("presence", [])]
    hub = Hub(warning_seconds=60, steps=steps)
    model: dict[Connection, tuple[int, int | None] | None] = {}
    for _ in range(300):
        what = chance.choice(["open", "enter", "enter", "refuse", "end", "close", "late"])
        user, session = chance.randrange(1, 5), chance.choice([None, 1, 2])
        connection = chance.choice([*model]) if model else None
        if what == "open" or connection is None:
            model[hub.open(Line())] = None
        elif what == "enter":
            let_in(hub, connection, user, session)
            model[connection] = (user, session)
        elif what == "refuse":
            chance.choice(steps).refuses = True
            if model[connection] is None or (model[connection] or (0,))[0] != user:
                with pytest.raises(PermissionError):
                    let_in(hub, connection, user, session)
            for step in steps:
                step.refuses = False
        elif what == "late":
            checked_at = monotonic()
            hub.end(user, session)
            with pytest.raises(AlreadyEnded):
                let_in(hub, connection, user, session, checked_at=checked_at)
        elif what == "close":
            connection.close()
            del model[connection]
        if what in {"end", "late"}:
            hub.end(user, session)
            model = {c: None if who == (user, session) else who for c, who in model.items()}
        entered = {c: who for c, who in model.items() if who is not None}
        assert {c: (c.user_id, c.session_id) for c in hub._table.get(EVERYBODY, ())} == entered
        assert len(hub.transports(Line)) == len(model)
        users = Counter(user_id for user_id, _ in entered.values())
        assert {topic for topic in hub._table if isinstance(topic, int)} == {*users}
        for step in steps:
            assert +step.held == users
