"""A process that has heard of nothing shows nothing of what came after, in whichever way one asks.

Somebody was removed from a group, was blocked, was disabled, or a message was deleted: by another
server on the same database, while the feed of this one stands still.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from db.messages import head_position
from events.facts import Fact
from resolvers import events
from resolvers.attachments.files import open_attachment
from resolvers.context import Context
from resolvers.errors import NotFound, ParleyError
from resolvers.guards.file_urls import Part
from resolvers.people import accounts, blocks
from tests.faults.waits import until
from tests.resolvers.conftest import join
from tests.resolvers.people import Person
from tests.resolvers.test_attachments import upload
from tests.resolvers.test_exact_authority import _go_on, _hold_up, _two
from tests.resolvers.test_state_and_facts import Refused, asking
from tests.support.inbox import Inbox

HIDDEN = "hidden"
CREATE = """mutation($ids: [ID!]!) { createGroup(title: "Us", memberIds: $ids) { id } }"""
SEND = """mutation($to: ID, $in: ID, $c: String, $file: ID, $re: ID) {
  sendMessage(receiverId: $to, conversationId: $in, content: $c, attachmentId: $file,
    replyToId: $re) { id attachment { id globalId } globalId } }"""
REMOVE = "mutation($in: ID!, $id: ID!) { removeMember(conversationId: $in, userId: $id) { id } }"
ADD = "mutation($in: ID!, $id: ID!) { addMembers(conversationId: $in, userIds: [$id]) { id } }"
EDIT = "mutation($id: ID!, $c: String!) { editMessage(id: $id, content: $c) { id } }"
DELETE = "mutation($id: ID!) { deleteMessage(id: $id) { id } }"
REACT = 'mutation($id: ID!) { addReaction(messageId: $id, emoji: "👍") { id } }'
READ = "mutation($in: ID, $up: ID!) { markRead(conversationId: $in, upTo: $up) { id } }"

FIELDS = "id content attachment { id filename } replyTo { content } reactions { users { id } }"
# Each way of reading. `$in` is the group, `$id` and `$file` are of what is hidden, `$old` of what
# is seen, `$with` is the other person.
READS = {
    "history": f"{{ messages(last: 50) {{ nodes {{ {FIELDS} }} }} }}",
    "the conversation's messages": f"""query($in: ID) {{
      messages(conversation: $in, last: 50) {{ nodes {{ {FIELDS} }} }} }}""",
    "a page around": f"""query($id: ID) {{
      messages(around: $id, last: 20) {{ nodes {{ {FIELDS} }} }} }}""",
    "a page with somebody": f"""query($with: ID) {{
      messages(with: $with, last: 50) {{ nodes {{ {FIELDS} }} }} }}""",
    "one message": f"query($id: ID!) {{ message(id: $id) {{ {FIELDS} }} }}",
    "a node": f"query($node: ID!) {{ node(id: $node) {{ ... on Message {{ {FIELDS} }} }} }}",
    "the list": f"""{{ conversations(first: 20) {{ nodes {{ id title lastMessage {{ {FIELDS} }}
      unreadCount members(first: 9) {{ nodes {{ user {{ id }} }} }} }} }} }}""",
    "the conversation": f"""query($in: ID) {{ conversation(id: $in) {{
      lastMessage {{ {FIELDS} }} messages(last: 50) {{ nodes {{ {FIELDS} }} }}
      members(first: 9) {{ nodes {{ user {{ id displayName }} }} }}
      marks(first: 9) {{ user {{ id }} readUpTo }} }} }}""",
    "search": f"""{{ searchMessages(query: "{HIDDEN}") {{
      edges {{ node {{ {FIELDS} }} snippet {{ text }} }} }} }}""",
    "search in the conversation": f"""query($in: ID) {{
      searchMessages(query: "{HIDDEN}", conversation: $in) {{ nodes {{ {FIELDS} }} }} }}""",
    "an attachment": "query($file: ID!) { attachment(id: $file) { id filename url } }",
    "an attachment's node": """query($fileNode: ID!) {
      node(id: $fileNode) { ... on Attachment { filename url } } }""",
}
# Each way of changing what one may not see, or not any more.
CHANGES = {
    "a reply": """mutation($in: ID, $re: ID) {
      sendMessage(conversationId: $in, replyToId: $re, content: "x") { id } }""",
    "an edit": 'mutation($own: ID!) { editMessage(id: $own, content: "y") { id } }',
    "a deletion": "mutation($own: ID!) { deleteMessage(id: $own) { id } }",
    "a reaction": 'mutation($old: ID!) { addReaction(messageId: $old, emoji: "🎉") { id } }',
    "a reaction taken back": """mutation($reacted: ID!) {
      removeReaction(messageId: $reacted, emoji: "👍") { id } }""",
    "a reaction to what is hidden": REACT,
    "a forward": "mutation($file: ID) { sendMessage(attachmentId: $file) { id } }",
}
IN_GROUPS = {
    "a send": 'mutation($in: ID) { sendMessage(conversationId: $in, content: "x") { id } }',
    "adding": ADD.replace("$id", "$other"),
    "removing": REMOVE.replace("$id", "$other"),
    "leaving": "mutation($in: ID!) { leaveGroup(conversationId: $in) { id } }",
    "renaming": 'mutation($in: ID!) { updateGroup(conversationId: $in, title: "x") { id } }',
    "a role": """mutation($in: ID!, $other: ID!) {
      setRole(conversationId: $in, userId: $other, role: ADMIN) { id } }""",
}

SEND_TO = 'mutation($to: ID) { sendMessage(receiverId: $to, content: "x") { id } }'
# What needs nobody else.
OF_ONE = {
    "a send to somebody": SEND_TO,
    "a broadcast": 'mutation { sendMessage(content: "x") { id } }',
    "a group": 'mutation { createGroup(title: "x", memberIds: []) { id } }',
    "a profile": 'mutation { updateProfile(displayName: "Not gone", statusText: "x") { id } }',
    "a read mark": READ.replace("$up", "$id"),
    "a delivered mark": "mutation($id: ID!) { markDelivered(upTo: $id) }",
    "a pin": "mutation($in: ID) { updateConversation(conversationId: $in, pinned: true) { id } }",
    "presence": "mutation { updateSettings(presence: INVISIBLE) { presence } }",
    "receipts": "mutation { updateSettings(readReceipts: false) { presence } }",
    "a block": "mutation($other: ID!) { blockUser(id: $other) { id } }",
}
WHERE = "query($id: ID!) { message(id: $id) { conversationId } }"


async def do(ctx: Context, document: str, **variables: Any) -> Any:
    """The answer of the document's only field."""
    [answer] = (await asking(ctx)(document, **variables)).values()
    return answer


async def said(ctx: Context, document: str, names: dict[str, str]) -> str:
    """What somebody is answered, refused or not, as text."""
    given = {name: value for name, value in names.items() if f"${name}:" in document}
    try:
        return msgspec.json.encode(await asking(ctx)(document, **given)).decode()
    except (Refused, ParleyError) as error:
        return f"refused: {error}"


async def head_of(ctx: Context) -> int:
    """The last position of the log."""
    async with ctx.read() as connection:
        return await head_position(connection)


async def caught_up(ctx: Context) -> None:
    """Wait until a process has handed out all that is stored."""
    head = await head_of(ctx)
    await until(lambda: ctx.feed.position >= head, 10)


async def expect_no_change(ctx: Context, documents: dict[str, str], names: dict[str, str]) -> None:
    """Each is refused, and nothing comes of it."""
    head = await head_of(ctx)
    for way, document in documents.items():
        answer = await said(ctx, document, names)
        assert answer.startswith("refused: "), f"{way}: {answer}"
        assert await head_of(ctx) == head, way


async def marks_of(ctx: Context, group: str) -> Any:
    """The marks of others that somebody is shown in a group."""
    query = "query($in: ID) { conversation(id: $in) { marks(first: 9) { user { id } } } }"
    return (await do(ctx, query, **{"in": group}))["marks"]


async def indexed(ctx: Context, word: str) -> None:
    """Wait until a search finds the word."""
    query = f'{{ searchMessages(query: "{word}") {{ nodes {{ id }} }} }}'
    async with asyncio.timeout(20):
        while not (await do(ctx, query))["nodes"]:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)


async def expect_hidden(
    viewer: Context, knows: Context | None, names: dict[str, str], reads: Iterable[str] = READS
) -> None:
    """The viewer is shown nothing that is hidden, in whichever way; who `knows` is, in each."""
    for way in reads:
        if knows is not None:
            assert HIDDEN in await said(knows, READS[way], names), way
        answer = await said(viewer, READS[way], names)
        assert HIDDEN not in answer, f"{way}: {answer}"


@asynccontextmanager
async def hearing(ctx: Context, after: int) -> AsyncIterator[Inbox[Any]]:
    """What somebody hears by `events`, from a position on, while the block lasts."""
    inbox: Inbox[Any] = Inbox()

    async def listen() -> None:
        async for event in events.watch_events(ctx, after=str(after)):
            inbox.put(event)

    task = asyncio.create_task(listen())
    await until(lambda: bool(ctx.hub.sinks_at(ctx.user.id)), 10)
    try:
        yield inbox
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def texts(inbox: Inbox[Any]) -> str:
    """All that was heard, as text."""
    return "\n".join(map(repr, inbox.items))


async def test_who_was_removed_sees_nothing_that_came_after_and_changes_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob, carol, dave = await join(there), await join(here), *[
            await join(there, HIDDEN) for _ in range(2)
        ]  # fmt: skip
        group = (await do(alice, CREATE, ids=[str(u.user.id) for u in (bob, carol)]))["id"]
        old = await do(alice, SEND, **{"in": group}, c="seen")
        await do(bob, REACT, id=old["id"])
        own = await do(bob, SEND, **{"in": group}, c="mine")
        await do(alice, "mutation($in: ID!, $id: ID!) { setRole(conversationId: $in, userId: $id,"
                 " role: ADMIN) { id } }", **{"in": group}, id=str(bob.user.id))  # fmt: skip
        await caught_up(here)
        start = here.feed.position
        async with hearing(bob, start) as live:
            await _hold_up(here)
            await do(alice, REMOVE, **{"in": group}, id=str(bob.user.id))
            file = await upload(alice, name=f"{HIDDEN}.txt")
            hidden = await do(alice, SEND, **{"in": group}, c=f"{HIDDEN} here", file=str(file.id))
            await do(alice, SEND, **{"in": group}, c=HIDDEN, re=old["id"])
            await do(carol, READ, **{"in": group}, up=hidden["id"])
            await do(alice, ADD, **{"in": group}, id=str(dave.user.id))
            names = {
                "in": group, "id": hidden["id"], "node": hidden["globalId"], "old": old["id"],
                "file": str(file.id), "fileNode": hidden["attachment"]["globalId"],
                "own": own["id"], "reacted": old["id"], "re": old["id"], "to": str(carol.user.id),
                "other": str(dave.user.id), "with": str(alice.user.id),
            }  # fmt: skip
            await indexed(alice, HIDDEN)
            in_groups = [way for way in READS if way != "a page with somebody"]
            await expect_hidden(bob, alice, names, in_groups)
            await expect_no_change(bob, CHANGES | IN_GROUPS, names)
            assert not [m for m in await marks_of(bob, group) if m["user"]["id"] == names["to"]]
            # A replay of what the log has by now, and what is handed out once it goes on.
            _go_on(here)
            await do(alice, SEND, to=str(bob.user.id), c="the end")
            await live.expect(lambda event: getattr(event, "content", "") == "the end")
            async with hearing(bob, start) as replayed:
                await replayed.expect(lambda event: getattr(event, "content", "") == "the end")
        for heard in (live, replayed):
            assert HIDDEN not in texts(heard)
            assert len(heard.items) == 2  # the removal, and the end


async def test_who_is_kept_apart_by_a_block_hears_and_changes_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob = await join(there), await join(here)
        old = await do(alice, SEND, to=str(bob.user.id), c="seen")
        await do(bob, REACT, id=old["id"])
        own = await do(bob, SEND, to=str(alice.user.id), c="mine")
        mine = await do(bob, CREATE, ids=[])
        await caught_up(here)
        start = here.feed.position
        async with hearing(bob, start) as live:
            await _hold_up(here)
            await blocks.block_user(alice, bob.user.id)
            file = await upload(alice, name=f"{HIDDEN}.txt")
            hidden = await do(alice, SEND, c=f"{HIDDEN} to all", file=str(file.id))
            names = {
                "id": hidden["id"], "node": hidden["globalId"], "old": old["id"],
                "file": str(file.id), "fileNode": hidden["attachment"]["globalId"],
                "own": own["id"], "reacted": old["id"], "in": "1", "re": hidden["id"],
                "with": str(alice.user.id), "other": str(alice.user.id), "to": str(alice.user.id),
            }  # fmt: skip
            await indexed(alice, HIDDEN)
            ways = [way for way in READS if way != "a page with somebody"]
            await expect_hidden(bob, alice, names, ways)
            refused = {way: CHANGES[way] for way in CHANGES if way != "a deletion"}
            refused["a send"] = SEND_TO
            await expect_no_change(bob, refused, names)
            for way in ("adding", "a role"):
                await expect_no_change(bob, {way: IN_GROUPS[way]}, names | {"in": mine["id"]})
            create = CREATE.replace("$ids: [ID!]!", "$other: ID!").replace("$ids", "[$other]")
            await expect_no_change(bob, {"a group": create}, names)
            # One may always take back what one wrote.
            await do(bob, DELETE, id=own["id"])
            _go_on(here)
            carol = await join(there)
            await do(carol, SEND, to=str(bob.user.id), c="the end")
            await live.expect(lambda event: getattr(event, "content", "") == "the end")
            async with hearing(bob, start) as replayed:
                await replayed.expect(lambda event: getattr(event, "content", "") == "the end")
        for heard in (live, replayed):
            assert HIDDEN not in texts(heard)
            assert len(heard.items) == 2  # the deletion, and the end


Ending = Callable[[Context, str], Awaitable[object]]


@pytest.mark.parametrize("ending", [accounts.disable_user, accounts.delete_user])
async def test_whose_account_has_ended_changes_nothing_more(
    database_url: str, tmp_path: Path, ending: Ending
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        person, carol = await Person.register(here), await join(there)
        bob = await person.enter(person.joined.issued.token)
        group = (await do(bob, CREATE, ids=[str(carol.user.id)]))["id"]
        old = await do(carol, SEND, to=str(bob.user.id), c="seen")
        await do(bob, REACT, id=old["id"])
        own = await do(bob, SEND, **{"in": group}, c="mine")
        await caught_up(here)
        await _hold_up(here)
        await ending(there, person.email)
        other = await join(there)
        names = {
            "in": group, "old": old["id"], "own": own["id"], "reacted": old["id"], "re": own["id"],
            "other": str(other.user.id), "to": str(carol.user.id), "id": own["id"],
        }  # fmt: skip
        changes = {way: CHANGES[way] for way in CHANGES if way != "a forward"} | IN_GROUPS | OF_ONE
        if ending is accounts.disable_user:
            names["other"] = str(carol.user.id)
            await expect_no_change(bob, {"removing": IN_GROUPS["removing"]}, names)
            names["other"] = str(other.user.id)
        await expect_no_change(bob, changes, names)


async def test_a_deleted_messages_text_and_file_are_shown_by_no_process(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob = await join(there), await join(here)
        group = (await do(alice, CREATE, ids=[str(bob.user.id)]))["id"]
        for place in ({"to": str(bob.user.id)}, {"in": group}, {}):
            file = await upload(alice, name=f"{HIDDEN}.txt")
            sent = await do(alice, SEND, **place, c=f"{HIDDEN} text", file=str(file.id))
            where = (await do(bob, WHERE, id=sent["id"]))["conversationId"]
            await do(bob, SEND, **{"in": where}, re=sent["id"], c="a reply")
            names = {
                "in": where, "id": sent["id"],
                "node": sent["globalId"], "file": str(file.id), "old": sent["id"],
                "fileNode": sent["attachment"]["globalId"], "with": str(alice.user.id),
                "re": sent["id"], "reacted": sent["id"], "own": sent["id"],
            }  # fmt: skip
            await indexed(bob, HIDDEN)
            ways = [way for way in READS if place.get("to") or way != "a page with somebody"]
            if not place:  # of everybody
                ways.remove("the list")
            assert HIDDEN in await said(bob, READS["history"], names)
            await caught_up(here)
            start = here.feed.position
            async with hearing(bob, start - 1) as live:
                await _hold_up(here)
                await do(alice, DELETE, id=sent["id"])
                await expect_hidden(bob, None, names, ways)
                with pytest.raises(NotFound):
                    await open_attachment(here, Part(file.id), signed=True)
                await expect_no_change(bob, {"a forward": CHANGES["a forward"]}, names)
                await expect_no_change(bob, {"a reaction": CHANGES["a reaction"]}, names)
                _go_on(here)
                await live.expect(lambda event: isinstance(event, Fact))
            async with hearing(bob, int(sent["id"]) - 1) as replayed:
                await replayed.expect(lambda event: isinstance(event, Fact))
            assert HIDDEN not in texts(replayed)
            assert HIDDEN not in texts(live)
