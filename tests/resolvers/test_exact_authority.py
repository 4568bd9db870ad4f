"""Nothing that is stored after a block, or an account's end, gets past it: in no process.

Two servers have one database, and the feed of one of them is held up: it has heard of nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from db.facts import read_log
from db.messages import head_position
from db.models import StoredMessage
from events.facts import BlockChanged, Fact
from resolvers import messages
from resolvers.context import Context
from resolvers.errors import Forbidden, NotFound, Unauthenticated
from resolvers.people import accounts, auth, blocks
from tests.resolvers.conftest import join, running_context


@asynccontextmanager
async def _two(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Context, Context]]:
    """A server, and another one whose feed stands still from now on."""
    async with (
        running_context(tmp_path / "1", database_url=database_url, search="on") as there,
        running_context(tmp_path / "2", database_url=database_url, search="on") as here,
    ):
        yield there, here


async def _hold_up(ctx: Context) -> None:
    follower = ctx.feed._follower
    assert follower is not None
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)


def _go_on(ctx: Context) -> None:
    """Have the feed follow again, from where it stood still."""
    ctx.feed._follower = asyncio.create_task(ctx.feed._catch_up())
    ctx.feed.catch_up()


async def _send(ctx: Context, receiver: int | None, content: str = "x") -> StoredMessage:
    return await messages.send_message(ctx, receiver_id=receiver, content=content)


async def test_a_block_of_another_process_refuses_what_is_stored_after_it(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob, carol = await join(there), await join(here), await join(here)
        await _send(bob, alice.user.id)  # the log knows both
        await _send(carol, bob.user.id)
        await _hold_up(here)
        for _ in range(3):
            await blocks.block_user(alice, bob.user.id)
            outcomes = await asyncio.gather(
                _send(bob, carol.user.id),
                _send(bob, alice.user.id),
                _send(carol, alice.user.id),
                return_exceptions=True,
            )
            assert [isinstance(outcome, NotFound) for outcome in outcomes] == [False, True, False]
            await blocks.unblock_user(alice, bob.user.id)
            # What was refused by a block may be refused a little longer, until the end is read.
            await _send(carol, alice.user.id)
            await _send(bob, alice.user.id)


async def test_a_broadcast_from_behind_a_block_is_in_no_history(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob = await join(there), await join(here)
        me = here.as_viewer(alice.user)
        await _hold_up(here)
        await blocks.block_user(alice, bob.user.id)
        bobs = there.as_viewer(bob.user)
        hidden = await _send(bobs, None, "hidden")
        assert hidden.id > here.feed.position
        page = await messages.list_messages(me, limit=50)
        assert [message.content for message in page.messages] == []
        streamed = [m async for page in messages.stream_messages(me) for m in page]
        assert streamed == []


Ending = Callable[[Context, str], Awaitable[object]]


@pytest.mark.parametrize("ending", [accounts.disable_user, accounts.delete_user])
async def test_who_is_disabled_or_deleted_by_another_process_sends_nothing_more(
    database_url: str, tmp_path: Path, ending: Ending
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        email = f"{uuid4().hex}@example.com"
        joined = await auth.register_user(there, email=email, password="123456", display_name="A")
        alice = here.as_viewer(await auth.authenticate(here, joined.issued.token))
        bob = await join(here)
        await _send(alice, bob.user.id)
        await _send(alice, None)
        await _hold_up(here)
        await ending(there, email)
        for receiver in (bob.user.id, None):
            with pytest.raises((Unauthenticated, NotFound)):
                await _send(alice, receiver)
        # To somebody who is disabled others write as before.
        if ending is accounts.disable_user:
            await _send(bob, joined.user.id)
            await accounts.enable_user(there, email)
            await _send(bob, joined.user.id)
            await _send(alice, bob.user.id)


async def test_who_may_write_to_everybody_is_one_thing_in_all_processes(
    database_url: str, tmp_path: Path
) -> None:
    async with running_context(tmp_path / "1", database_url=database_url) as here:
        alice, bob = await join(here), await join(here)
        await _send(alice, None)
        await _send(alice, bob.user.id)
        await _hold_up(here)
        for setting in ("off", "everyone", "admins"):
            async with running_context(
                tmp_path / "2", database_url=database_url, broadcast=setting
            ) as there:
                assert there.log.broadcasters == setting
                if setting == "everyone":
                    await _send(alice, bob.user.id)
                    await _send(alice, None)
                    continue
                with pytest.raises(Forbidden):
                    await _send(alice, None)
                await _send(alice, bob.user.id)
                with pytest.raises(Forbidden):
                    await _send(there.as_viewer(alice.user), None)


async def test_an_administrator_who_is_none_any_more_writes_to_nobody(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        running_context(tmp_path / "1", database_url=database_url, broadcast="admins") as there,
        running_context(tmp_path / "2", database_url=database_url, broadcast="admins") as here,
    ):
        email = f"{uuid4().hex}@example.com"
        joined = await auth.register_user(there, email=email, password="123456", display_name="A")
        alice = here.as_viewer(await auth.authenticate(here, joined.issued.token))
        await accounts.set_admin(there, email, is_admin=True)
        await _send(alice, None)
        await _hold_up(here)
        await accounts.set_admin(there, email, is_admin=False)
        with pytest.raises(Forbidden):
            await _send(alice, None)


async def test_a_flood_here_and_blocks_there_agree_with_the_log(
    database_url: str, tmp_path: Path
) -> None:
    async with _two(database_url, tmp_path) as (there, here):
        alice, bob = await join(there), await join(here)
        await _send(bob, alice.user.id)
        await _hold_up(here)
        going = True

        async def flood() -> None:
            while going:
                await asyncio.gather(
                    *(_send(bob, alice.user.id) for _ in range(5)), return_exceptions=True
                )

        flooding = asyncio.create_task(flood())
        for _ in range(10):
            await blocks.block_user(alice, bob.user.id)
            await asyncio.sleep(0.02)
            await blocks.unblock_user(alice, bob.user.id)
            await _send(bob, bob.user.id)  # so that something may be read here
        going = False
        await flooding
        async with there.db.read() as connection:
            head = await head_position(connection)
            entries = await read_log(connection, 0, head, 100_000)
        assert [entry.id for entry in entries] == [*range(1, head + 1)]
        apart, refused = False, 0
        for entry in entries:
            if isinstance(entry, Fact):
                if isinstance(entry.body, BlockChanged):
                    apart = entry.body.blocked
                    refused += apart
            elif entry.receiver_id == alice.user.id:
                assert not apart, entry.id
        assert refused == 10
