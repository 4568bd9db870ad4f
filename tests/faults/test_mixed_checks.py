"""The checks of the mixed load notice what they are there for."""

import pytest

from tests.faults.ledger import Row
from tests.faults.mixed.attempts import Attempt, Attempts, Outcome
from tests.faults.mixed.logged import Log, StoredFact

EVERYBODY = {"type": "members", "conversation_id": 1}
EDIT = Attempt("", {}, ("message.edited", 1, 5))
DONE, UNHEARD = Outcome(data={}), Outcome(refused="NOT_FOUND", unheard=True)


def never(mark: tuple[object, ...]) -> bool:
    return False


def members(position: int, **changes: object) -> StoredFact:
    body = {"conversation_id": 7, "joined": (), "left": (), "changed": (), "shows_earlier": False}
    return StoredFact(position, "members.changed", 1, {**body, **changes}, {})


def in_group(position: int) -> Row:
    return Row(position, 1, None, f"key {position}", "x", 7, False)


def test_what_is_lost_done_twice_or_never_tried_is_noticed() -> None:
    attempts = Attempts()
    attempts.note(EDIT, DONE)
    attempts.verify([EDIT.mark], never)
    for marks in ([], [EDIT.mark] * 2, [EDIT.mark, ("message.edited", 2, 5)]):
        with pytest.raises(AssertionError):
            attempts.verify(marks, never)


def test_what_may_have_been_done_may_be_there_once() -> None:
    attempts = Attempts()
    attempts.note(EDIT._replace(refusals=frozenset({"NOT_FOUND"})), UNHEARD)
    for marks in ([], [EDIT.mark]):
        attempts.verify(marks, never)
    with pytest.raises(AssertionError):
        attempts.verify([EDIT.mark] * 2, never)


def test_a_refusal_for_no_reason_is_noticed() -> None:
    attempts = Attempts()
    attempts.note(EDIT, UNHEARD)
    with pytest.raises(AssertionError, match="was refused"):
        attempts.verify([], never)


def test_who_sees_what_of_a_group_follows_from_joining_and_leaving() -> None:
    facts = [
        members(1, joined=(1, 2)),
        members(3, left=(2,)),
        members(5, joined=(2, 3)),
        StoredFact(7, "message.edited", 1, {"message_id": 6}, {}),
        StoredFact(8, "message.edited", 1, {"message_id": 2}, {}),
    ]
    log = Log([in_group(2), in_group(4), in_group(6)], facts, [1, 2, 3, 4])
    seen = {
        user: [(e.id, *log.sees(user, e)) for e in log.entries if log.sees(user, e)[1]]
        for user in (1, 2, 3, 4)
    }
    assert [id_ for id_, surely, _ in seen[1] if surely] == [*range(1, 9)]
    # Who joins again is shown nothing of the first stay, where it is read after that.
    assert [(id_, surely) for id_, surely, _ in seen[2]] == [
        (1, False), (2, False), (3, False), (5, True), (6, True), (7, True),
    ]  # fmt: skip
    assert [id_ for id_, surely, _ in seen[3] if surely] == [5, 6, 7]
    assert seen[4] == []
