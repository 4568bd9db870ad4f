"""Reactions: each person once with each emoji, counted, in the order of their first use."""

import asyncio
import random
from collections import defaultdict
from typing import Any

from db.facts import read_log
from db.models import StoredMessage
from events.facts import Fact, Members, People, ReactionChanged
from resolvers import messages
from resolvers.context import Context
from resolvers.errors import BadInput, Conflict, Forbidden, NotFound, RateLimited, Unauthenticated
from resolvers.of_messages.edits import delete_message, edit_message
from resolvers.of_messages.reactions import FIRST_USERS, change_reaction, find_own, get_reactions
from resolvers.people import blocks
from tests.resolvers.conftest import join, running_context
from tests.resolvers.test_edits import refusal, send, with_settings

MANY = ["😀", "😃", "😄", "😁", "😆", "😅", "🤣", "😂", "🙂", "🙃", "🫠", "😉", "😊", "😇", "🥰"]
MANY += ["😍", "🤩", "😘", "😗", "☺️", "😚", "😙"]


async def react(ctx: Context, message: StoredMessage, emoji: str = "👍") -> StoredMessage:
    """Add a reaction."""
    return await change_reaction(ctx, message_id=message.id, emoji=emoji, added=True)


async def take_back(ctx: Context, message: StoredMessage, emoji: str = "👍") -> StoredMessage:
    """Remove a reaction."""
    return await change_reaction(ctx, message_id=message.id, emoji=emoji, added=False)


async def shown(ctx: Context, message: StoredMessage) -> list[tuple[str, int, tuple[int, ...]]]:
    """Return the message's reactions: emoji, count and first users."""
    [found] = (await get_reactions(ctx, [(0, message.id)])).values()
    return [(each.emoji, each.count, each.first_users) for each in found]


async def facts_of(ctx: Context) -> list[Fact]:
    """Return the log's facts about reactions, in order."""
    async with ctx.read() as connection:
        entries = await read_log(connection, 0, 2**40, 10_000)
    return [e for e in entries if isinstance(e, Fact) and isinstance(e.body, ReactionChanged)]


async def test_reactions_are_counted_in_the_order_of_their_first_use(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    one, two = alice.user.id, bob.user.id
    sent = await send(alice, bob)
    assert not sent.reacted
    assert await shown(ctx, sent) == []
    changed = await react(bob, sent, "🎉")
    assert changed.reacted
    assert await messages.get_message(alice, sent.id) == changed
    await react(alice, sent, "👍")
    await react(alice, sent, "🎉")
    assert await shown(ctx, sent) == [("🎉", 2, (two, one)), ("👍", 1, (one,))]
    await take_back(bob, sent, "🎉")
    assert await shown(ctx, sent) == [("🎉", 1, (one,)), ("👍", 1, (one,))]
    await take_back(alice, sent, "🎉")
    await react(bob, sent, "🎉")
    assert await shown(ctx, sent) == [("👍", 1, (one,)), ("🎉", 1, (two,))]
    bodies = [fact.body for fact in await facts_of(ctx)]
    same = (sent.id, one, sent.conversation_id)
    assert bodies == [
        ReactionChanged(*same, "🎉", True),
        ReactionChanged(*same, "👍", True),
        ReactionChanged(*same, "🎉", True),
        ReactionChanged(*same, "🎉", False),
        ReactionChanged(*same, "🎉", False),
        ReactionChanged(*same, "🎉", True),
    ]
    assert {fact.audience for fact in await facts_of(ctx)} == {People((one, two))}
    assert [fact.actor_id for fact in await facts_of(ctx)] == [two, one, one, two, one, two]


async def test_what_is_so_already_makes_no_fact(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = await send(alice, bob)
    assert await take_back(bob, sent) == sent
    first = await react(bob, sent)
    assert await asyncio.gather(*(react(bob, sent) for _ in range(3))) == [first] * 3
    assert await take_back(alice, sent) == first
    assert len(await facts_of(ctx)) == 1
    # In one batch, one after the other.
    await asyncio.gather(take_back(bob, sent), react(bob, sent), react(bob, sent))
    assert await shown(ctx, sent) == [("👍", 1, (bob.user.id,))]
    assert len(await facts_of(ctx)) == 3


async def test_a_reaction_is_one_emoji_in_one_form(ctx: Context) -> None:
    alice = await join(ctx)
    sent = await send(alice, alice)
    for text in (
        "",
        " ",
        "a",
        "1",
        "#",
        "👍👍",
        "👍a",
        "🏽",
        "🇫",
        "\ufe0f",
        "👍" * 5000,
        "é",
        "\0",
    ):
        for call in (react, take_back):
            assert type(await refusal(lambda: call(alice, sent, text))) is BadInput  # noqa: B023  # at once
    assert await facts_of(ctx) == []
    for text in ("❤", "❤️", "❤\ufe0e"):
        await react(alice, sent, text)
    await react(alice, sent, "👩‍👩‍👧‍👦")
    await react(alice, sent, "👍🏽")
    await react(alice, sent, "👍")
    assert [emoji for emoji, _, _ in await shown(ctx, sent)] == ["❤️", "👩‍👩‍👧‍👦", "👍🏽", "👍"]
    await take_back(alice, sent, "❤")
    assert len(await shown(ctx, sent)) == 3


async def test_a_message_has_few_different_emoji(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent, most = await send(alice, bob), ctx.settings.max_reactions_per_message
    outcomes = await asyncio.gather(*(react(alice, sent, e) for e in MANY), return_exceptions=True)
    assert [type(o) for o in outcomes] == [StoredMessage] * most + [Forbidden] * (len(MANY) - most)
    assert type(await refusal(lambda: react(bob, sent, MANY[-1]))) is Forbidden
    await react(bob, sent, MANY[0])  # one that is there
    await take_back(alice, sent, MANY[1])
    await react(bob, sent, MANY[-1])
    assert [emoji for emoji, _, _ in await shown(ctx, sent)] == [
        MANY[0], *MANY[2:most], MANY[-1],
    ]  # fmt: skip
    few = with_settings(alice, max_reactions_per_message=1)
    assert type(await refusal(lambda: react(few, sent, MANY[1]))) is Forbidden


async def test_who_may_not_see_or_reach_is_refused(ctx: Context) -> None:
    alice, bob, stranger = await join(ctx), await join(ctx), await join(ctx)
    sent, broadcast = await send(alice, bob), await send(alice, None)
    newcomer = await join(ctx)
    for call in (react, take_back):
        for caller, message in ((stranger, sent), (newcomer, broadcast)):
            refused = await refusal(lambda: call(caller, message))  # noqa: B023  # at once
            assert (refused.code, refused.message) == ("NOT_FOUND", "Message not found")
        assert type(await refusal(lambda: call(ctx, sent))) is Unauthenticated  # noqa: B023
    await react(stranger, broadcast)
    await react(bob, sent)
    await blocks.block_user(alice, bob.user.id)
    # As a send.
    refused = await refusal(lambda: react(bob, sent, "🎉"))
    assert (type(refused), refused.message) == (NotFound, "Receiver not found")
    assert type(await refusal(lambda: take_back(bob, sent))) is NotFound
    refused = await refusal(lambda: react(bob, broadcast))
    assert (type(refused), refused.message) == (NotFound, "Message not found")
    assert await shown(ctx, sent) == [("👍", 1, (bob.user.id,))]
    assert (await facts_of(ctx))[0].audience == Members(1)


async def test_a_deleted_message_has_no_reactions(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent, other = await send(alice, bob), await send(alice, bob)
    await react(bob, sent)
    await react(bob, other)
    await edit_message(alice, message_id=sent.id, content="edited")
    deleted = await delete_message(alice, message_id=sent.id)
    assert await shown(ctx, sent) == []
    assert len(await shown(ctx, other)) == 1
    refused = await refusal(lambda: react(bob, sent))
    assert (type(refused), refused.message) == (Conflict, "The message is deleted")
    assert await take_back(bob, sent) == deleted
    assert await find_own(ctx, {(sent.id, bob.user.id)}) == set()


async def test_the_first_who_reacted_are_kept_however_others_come_and_go(ctx: Context) -> None:
    people = [await join(ctx) for _ in range(FIRST_USERS + 6)]
    sent = await send(people[0], None)
    model: defaultdict[str, list[int]] = defaultdict(list)
    chance = random.Random(7)
    for person in people:  # each in a batch of its own: so their order is known
        await react(person, sent)
        model["👍"].append(person.user.id)
    for _ in range(60):
        person, emoji = chance.choice(people), chance.choice(["👍", "👍", "🎉"])
        users = model[emoji]
        if person.user.id in users:
            await take_back(person, sent, emoji)
            users.remove(person.user.id)
        else:
            await react(person, sent, emoji)
            users.append(person.user.id)
        found = {emoji: (count, first) for emoji, count, first in await shown(ctx, sent)}
        assert found == {
            emoji: (len(users), tuple(users[:FIRST_USERS]))
            for emoji, users in model.items()
            if users
        }


async def test_reactions_count_as_sends(database_url: str, tmp_path: Any) -> None:
    async with running_context(
        tmp_path, database_url=database_url, limits=True, sends_per_user="3/100seconds"
    ) as ctx:
        alice = await join(ctx)
        sent = await send(alice, alice)
        await react(alice, sent)
        await take_back(alice, sent)
        refused = await refusal(lambda: react(alice, sent))
        assert type(refused) is RateLimited
        assert refused.retry_after_ms
