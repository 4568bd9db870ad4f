"""Who is online, told to the older clients."""

import asyncio

import uvloop

from compat.presence import OnlineLists
from compat.socketio.packets import EncodedEvent
from events.bus.bus import LoneBus
from events.facts import PresenceChanged
from events.presence import Presence
from events.roster import Roster


class _Viewer:
    shown: int | None = None
    viewer_id = 1

    def __init__(self) -> None:
        self.told: list[str] = []

    def reads(self) -> bool:
        return True

    def push(self, encoded: EncodedEvent) -> bool:
        self.told += map(str, encoded.frames)
        return True


async def _record(*_: object) -> None:
    """Remember nothing."""


async def _greet_while_a_list_is_due() -> list[str]:
    """Have one log in after a change that is to be told at once, and no turn of the loop between.

    uvloop gives a handle without `when()` for a moment that is less than a millisecond away.
    """
    presence = Presence(grace_seconds=0, record_last_seen=_record, roster=Roster(LoneBus()))
    viewer = _Viewer()
    lists = OnlineLists(presence, [viewer])
    lists._note([PresenceChanged(2, online=False)])
    lists.greet(viewer)
    async with asyncio.timeout(10):
        while len(viewer.told) < 2:  # noqa: ASYNC110  # no event says so
            await asyncio.sleep(0.01)
    lists.close()
    await presence.close()
    return viewer.told


def test_a_login_in_the_turn_in_which_a_departure_is_told_is_told_of_everyone() -> None:
    told = uvloop.run(_greet_while_a_list_is_due())
    assert told == ['42["user:offline",2]', '42["user:online",[]]']
