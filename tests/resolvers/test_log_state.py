"""The log's epoch, and what a process does when facts that it has applied were lost."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from sqlalchemy import text

from resolvers import messages
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound
from resolvers.people import blocks
from tests.faults.waits import until
from tests.resolvers.conftest import join, running_context


async def _send(ctx: Context, receiver: int | None) -> int:
    return (await messages.send_message(ctx, receiver_id=receiver, content="x")).id


async def test_an_epoch_is_one_in_all_processes_until_the_log_loses_its_tail(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        running_context(tmp_path / "1", database_url=database_url) as one,
        running_context(tmp_path / "2", database_url=database_url) as two,
    ):
        epoch = one.control.epoch
        assert len(epoch) == 32
        assert two.control.epoch == epoch
        alice, bob = await join(one), await join(one)
        kept = await _send(alice, bob.user.id)
        await blocks.block_user(alice, bob.user.id)
        await _send(alice, None)
        await until(lambda: two.feed.position == one.feed.position, 5)
        assert two.blocks.are_apart(alice.user.id, bob.user.id)
        # Another copy of the database takes over, which had not got the last two positions.
        async with one.write() as connection:
            for statement in (
                f"DELETE FROM messages WHERE id > {kept}",
                f"DELETE FROM log WHERE position > {kept}",
                "DELETE FROM blocks",
                f"UPDATE log_head SET position = {kept}, control_position = 0",
            ):
                await connection.execute(text(statement))
        await until(lambda: one.control.epoch == two.control.epoch != epoch, 10)
        for ctx in (one, two):
            await until(lambda: not ctx.blocks.apart, 5)  # noqa: B023  # awaited at once
        assert await _send(bob, alice.user.id) == kept + 1
        renewed = one.control.epoch
    async with running_context(tmp_path / "1", database_url=database_url) as one:
        assert one.control.epoch == renewed


async def test_any_position_up_to_the_head_is_a_cursor(ctx: Context) -> None:
    alice, bob, carol = await join(ctx), await join(ctx), await join(ctx)
    sent = []
    for _ in range(3):
        sent.append(await _send(carol, alice.user.id))
        await blocks.block_user(alice, bob.user.id)
        await blocks.unblock_user(alice, bob.user.id)
    head = ctx.feed.position
    assert head == sent[-1] + 2
    for after in range(head + 1):
        wanted = [id_ for id_ in sent if id_ > after]
        async with aclosing(messages.watch_messages(alice, after=after)) as watch:
            for id_ in wanted:
                assert (await asyncio.wait_for(anext(watch), 5)).id == id_
            live = await _send(carol, alice.user.id)
            assert (await asyncio.wait_for(anext(watch), 5)).id == live
            sent.append(live)
        page = await messages.list_messages(alice, after=after, newest=False, limit=50)
        assert [message.id for message in page.messages] == [id_ for id_ in sent if id_ > after]
    with pytest.raises(BadInput):
        async with aclosing(messages.watch_messages(alice, after=ctx.feed.position + 1)) as watch:
            await anext(watch)
    with pytest.raises(NotFound):
        await messages.get_message(alice, sent[0] + 1)  # a block
