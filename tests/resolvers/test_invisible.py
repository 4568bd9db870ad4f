"""Being invisible: kept, told to one's own devices alone, and last seen is frozen."""

import asyncio
from datetime import datetime
from pathlib import Path

from db.log.changes.presence import SetInvisible
from events.facts import Fact, OwnSettingsChanged, People
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.conversations.typing import set_typing
from resolvers.people import accounts, presence, users
from resolvers.people.settings import get_settings, update_settings
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context
from tests.resolvers.people import Line, Person


async def last_seen(ctx: Context, user_id: int) -> datetime | None:
    """When the viewer may think that a user was last seen."""
    return presence.last_seen_at(ctx, (await users.get_users(ctx, [user_id]))[user_id])


async def test_others_see_one_leave_and_nothing_after(tmp_path: Path) -> None:
    async with running_context(tmp_path, presence_grace_seconds=0.05) as ctx:
        alice, bob = await Person.register(ctx), await join(ctx)
        line = Line()
        entered = await alice.connect(await alice.log_in(), line)
        facts: list[Fact] = []
        ctx.control.listen_in_order(OwnSettingsChanged, lambda fact, body: facts.append(fact))
        assert (await get_settings(entered)).invisible is False
        assert presence.is_seen_online(bob, alice.id)
        assert (await update_settings(entered, invisible=True)).invisible
        assert not presence.is_seen_online(bob, alice.id)
        assert presence.is_seen_online(entered, alice.id), "one's own devices know"
        frozen = await last_seen(bob, alice.id)
        assert frozen is not None
        assert alice.id not in presence.visible_online_ids(bob)
        assert [user.id for user in await users.list_online_users(bob)] == []
        second = await alice.connect(await alice.log_in(), Line())
        for one in (entered, second):
            assert one.user.connection is not None
            one.user.connection.close()
        await asyncio.sleep(0.3)
        assert not presence.is_seen_online(entered, alice.id)
        assert await last_seen(bob, alice.id) == frozen
        third = await alice.connect(await alice.log_in(), Line())
        assert not presence.is_seen_online(bob, alice.id)
        await update_settings(third, invisible=True)
        await update_settings(third)
        assert await last_seen(bob, alice.id) == frozen
        assert (await update_settings(third, invisible=False)).invisible is False
        assert presence.is_seen_online(bob, alice.id)
        assert await last_seen(bob, alice.id) is None
        said = [(fact.body, fact.audience) for fact in facts]
        assert said == [
            (OwnSettingsChanged(invisible=invisible), People((alice.id,)))
            for invisible in (True, False)
        ]


async def test_who_is_not_there_tells_no_time_by_it(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await update_settings(alice, invisible=True)
    assert await last_seen(bob, alice.user.id) is None


async def test_a_restart_remembers_it(tmp_path: Path) -> None:
    async with running_context(tmp_path) as ctx:
        person = await Person.register(ctx)
        await update_settings(await person.enter(await person.log_in()), invisible=True)
    async with running_context(tmp_path) as ctx:
        person.ctx, bob = ctx, await join(ctx)
        entered = await person.connect(await person.log_in(), Line())
        assert (await get_settings(entered)).invisible
        assert not presence.is_seen_online(bob, person.id)


async def test_nobody_is_shown_their_typing(ctx: Context) -> None:
    alice, bob = await join(ctx), await join(ctx)
    await set_typing(alice, peer_id=bob.user.id)
    [known] = ctx.typing.known.values()
    assert known.told.activity == "TYPING"
    await update_settings(alice, invisible=True)
    [known] = ctx.typing.known.values()
    assert known.told.activity == "NONE"
    await set_typing(alice, peer_id=bob.user.id)
    [known] = ctx.typing.known.values()
    assert known.told.activity == "NONE"


async def test_a_deleted_account_is_forgotten_and_never_shown(ctx: Context) -> None:
    person, bob = await Person.register(ctx), await join(ctx)
    entered = await person.connect(await person.log_in(), Line())
    await update_settings(entered, invisible=True)
    told: list[int] = []
    ctx.presence.listen(lambda window: told.extend(c.user_id for c in window if c.online))
    await accounts.delete_own_account(entered, "123456")
    await asyncio.sleep(0.5)
    assert person.id not in told
    assert not ctx.invisible.ids
    assert not presence.is_seen_online(bob, person.id)


async def test_what_was_missed_is_read_again(ctx: Context) -> None:
    person, bob = await Person.register(ctx), await join(ctx)
    await person.connect(await person.log_in(), Line())
    await commit(ctx, SetInvisible(person.id, True))
    ctx.invisible._keys.clear()
    ctx.presence.hide(person.id, False, datetime.now().astimezone())
    assert presence.is_seen_online(bob, person.id)
    await presence.load_invisible(ctx.db, ctx.invisible)
    await until(lambda: not presence.is_seen_online(bob, person.id), 5)


async def test_several_changes_of_a_batch_are_as_one_by_one(ctx: Context) -> None:
    alice = await join(ctx)
    wanted = (True, True, False, True, False, False)
    changes = [SetInvisible(alice.user.id, invisible) for invisible in wanted]
    outcomes = await asyncio.gather(*(commit(ctx, change) for change in changes))
    said = [fact and fact.body.invisible for fact in outcomes]  # type: ignore[union-attr]  # of this kind
    assert said == [True, None, False, True, False, None]
    assert not ctx.invisible.ids
