"""Profiles and own settings in GraphQL: what changes comes by `events`, to whom it concerns."""

from typing import Any

from tests.compat.test_avatars import with_picture
from tests.schema.client import Message, open_socket
from tests.support.faces import new_account
from tests.support.server import RunningServer

EVENTS = (
    "subscription { events { __typename"
    " ... on UserChanged { userId user { id displayName statusText avatarUrl } }"
    " ... on SettingsChanged { settings { presence } } } }"
)
UPDATE = (
    "mutation($name: String, $status: String)"
    " { updateProfile(displayName: $name, statusText: $status) { id } }"
)
SET = "mutation($p: PresenceSetting) { updateSettings(presence: $p) { presence } }"


def _event(message: Message) -> dict[str, Any]:
    event: dict[str, Any] = message["payload"]["data"]["events"]
    return event


async def test_a_changed_profile_comes_with_all_that_others_see_of_it(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with open_socket(chat, alice) as one, open_socket(chat, bob) as other:
        for socket in (one, other):
            await socket.subscribe("e", EVENTS)
            await socket.settle()
        await one.execute(UPDATE, {"name": "Другая", "status": "☀️"})
        shown = {"id": str(alice.id), "displayName": "Другая", "statusText": "☀️"}
        for socket in (one, other):
            event = _event(await socket.expect(id="e"))
            assert event["__typename"] == "UserChanged"
            assert event["userId"] == str(alice.id)
            assert event["user"] == {**shown, "avatarUrl": None}
        profile = await with_picture(chat, alice)
        for socket in (one, other):
            event = _event(await socket.expect(id="e"))
            assert event["user"]["avatarUrl"] == profile["small"]


async def test_changed_settings_come_to_ones_own_clients_alone(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with (
        open_socket(chat, alice) as one,
        open_socket(chat, alice) as tablet,
        open_socket(chat, bob) as other,
    ):
        for socket in (one, tablet, other):
            await socket.subscribe("e", EVENTS)
            await socket.settle()
        for wanted in ("INVISIBLE", "INVISIBLE", "VISIBLE"):
            answer = await one.execute(SET, {"p": wanted})
            assert answer == {"data": {"updateSettings": {"presence": wanted}}}
        for socket in (one, tablet):
            for wanted in ("INVISIBLE", "VISIBLE"):
                event = _event(await socket.expect(id="e"))
                assert event["__typename"] == "SettingsChanged"
                assert event["settings"]["presence"] == wanted
        await other.settle()
        assert other.inbox == []


async def test_a_late_reader_hears_each_change_of_the_settings(sqlite_chat: RunningServer) -> None:
    # Their client has to query again what it was not told while receipts were off.
    alice = await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as socket:
        [after] = (await socket.execute("{ serverInfo { cursor } }"))["data"]["serverInfo"].values()
        for shown in (False, True, False):
            change = "mutation($r: Boolean) { updateSettings(readReceipts: $r) { presence } }"
            await socket.execute(change, {"r": shown})
        await socket.subscribe(
            "e",
            "subscription($after: String) { events(after: $after) {"
            " ... on SettingsChanged { settings { readReceipts } } } }",
            {"after": after},
        )
        heard = [_event(await socket.expect(id="e")) for _ in range(3)]
        assert [event["settings"]["readReceipts"] for event in heard] == [False, True, False]


async def test_null_and_nothing_leave_the_settings(sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    async with open_socket(sqlite_chat, alice) as socket:
        await socket.execute(SET, {"p": "INVISIBLE"})
        for variables in ({}, {"p": None}):
            answer = await socket.execute(SET, variables)
            assert answer == {"data": {"updateSettings": {"presence": "INVISIBLE"}}}
    async with open_socket(sqlite_chat) as socket:
        for query in (SET, "{ settings { presence } }"):
            answer = await socket.execute(query)
            assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
