"""Rate limits as operations meet them: who is refused, for how long, and who never is."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from db.models import StoredMessage
from resolvers.context import Context
from resolvers.errors import BadInput, Conflict, RateLimited, TooManyConnections, Unauthenticated
from resolvers.guards.limits.logins import LoginAttempt
from resolvers.messages import list_messages, send_message
from resolvers.people import auth
from server.remote import Remote
from server.retry_after import retry_after
from tests.resolvers.conftest import join, running_context
from tests.support.held import held_counts

GOOD = "123456"
OWNER, ATTACKER, THIRD = "203.0.113.1", "198.51.100.2", "192.0.2.3"


@pytest.fixture
async def limited(database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    """What operations are handed, with the limits as they come, on each engine."""
    async with running_context(tmp_path, database_url=database_url, limits=True) as ctx:
        yield ctx


def at(ctx: Context, address: str) -> Context:
    """Called from an address."""
    return ctx.called_from(Remote({"client": (address, 1), "headers": []}))


async def new_email(ctx: Context, address: str = "192.0.2.99") -> str:
    email = f"{uuid4().hex}@example.com"
    await auth.register_user(at(ctx, address), email=email, password=GOOD, display_name="x")
    return email


async def guess(ctx: Context, email: str, times: int) -> list[str]:
    """Try wrong passwords one after the other; return what came of each."""
    came = []
    for number in range(times):
        try:
            await auth.log_in(ctx, email=email, password=f"wrong {number}")
            came.append("in")
        except BadInput:
            came.append("wrong")
        except RateLimited:
            came.append("limited")
    return came


async def test_guesses_end_soon_and_the_owner_elsewhere_still_comes_in(limited: Context) -> None:
    email = await new_email(limited)
    came = await guess(at(limited, ATTACKER), email, 10)
    assert came == ["wrong"] * 6 + ["limited"] * 4  # 30 in all, and one that fails counts as 5
    # Not even with the password, which it may have guessed; the owner comes in, familiar or not.
    with pytest.raises(RateLimited, match="Too many logins to this account"):
        await auth.log_in(at(limited, ATTACKER), email=email, password=GOOD)
    for _ in range(10):
        assert await auth.log_in(at(limited, OWNER), email=email, password=GOOD)
        assert "limited" in await guess(at(limited, ATTACKER), email, 1)


async def test_an_owner_who_came_in_before_comes_in_while_many_addresses_guess(
    limited: Context,
) -> None:
    email = await new_email(limited)
    await auth.log_in(at(limited, OWNER), email=email, password=GOOD)
    for number in range(8):
        came = await guess(at(limited, f"198.51.100.{number}"), email, 7)
    assert came == ["limited"] * 7  # all unfamiliar ones together have had theirs
    with pytest.raises(RateLimited):
        await auth.log_in(at(limited, THIRD), email=email, password=GOOD)
    assert await guess(at(limited, OWNER), email, 1) == ["wrong"]
    assert await auth.log_in(at(limited, OWNER), email=email, password=GOOD)


async def test_an_address_has_a_limit_whatever_the_accounts(limited: Context) -> None:
    came = await guess(at(limited, ATTACKER), "nobody@example.com", 6)
    for number in range(60):
        came += await guess(at(limited, ATTACKER), f"nobody{number}@example.com", 1)
    assert came == ["wrong"] * 60 + ["limited"] * 6
    # An account that nobody has takes no more and no less than one that somebody has.
    email = await new_email(limited)
    assert await guess(at(limited, ATTACKER), email, 1) == ["limited"]
    assert await auth.log_in(at(limited, OWNER), email=email, password=GOOD)


async def test_logins_that_succeed_go_on(limited: Context) -> None:
    email = await new_email(limited)
    for _ in range(30):
        await auth.log_in(at(limited, OWNER), email=email.upper(), password=GOOD)
    with pytest.raises(RateLimited, match=r"to this account; try again in \d+ s$") as refused:
        await auth.log_in(at(limited, OWNER), email=email, password=GOOD)
    assert 200_000 < refused.value.retry_after_ms <= 300_000
    seconds = math.ceil(refused.value.retry_after_ms / 1000)
    assert retry_after(refused.value.retry_after_ms) == {"Retry-After": str(seconds)}


async def test_registrations_from_an_address_are_limited(limited: Context) -> None:
    limit = limited.settings.registrations_per_address.amount
    email = await new_email(limited, ATTACKER)
    for _ in range(limit - 1):
        with pytest.raises(Conflict):  # to look whether an e-mail is taken counts as well
            await auth.register_user(
                at(limited, ATTACKER), email=email, password=GOOD, display_name="x"
            )
    with pytest.raises(RateLimited, match="Too many registrations from this address"):
        await new_email(limited, ATTACKER)
    assert await new_email(limited, OWNER)


async def test_a_burst_of_sends_is_stored_in_order_and_what_is_beyond_it_is_not(
    limited: Context,
) -> None:
    ctx, other = await join(limited), await join(limited)

    async def send(n: int) -> StoredMessage:
        return await send_message(ctx, receiver_id=None, content=f"{n}")

    sends = [send(n) for n in range(60)]
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    stored = [sent for sent in outcomes if isinstance(sent, StoredMessage)]
    assert [sent.content for sent in stored] == [f"{n}" for n in range(50)]
    assert [sent.id for sent in stored] == sorted(sent.id for sent in stored)
    refused = [error for error in outcomes if isinstance(error, RateLimited)]
    assert len(refused) == 10
    assert all(0 < error.retry_after_ms <= 5000 for error in refused)
    await send_message(other, receiver_id=None, content="another's are others'")
    page = await list_messages(ctx, limit=200)
    assert [message.content for message in page.messages][:-1] == [f"{n}" for n in range(50)]


async def test_a_refused_send_goes_through_when_it_says(database_url: str, tmp_path: Path) -> None:
    rates = {"limits": True, "sends_per_user": "2/1second"}
    async with running_context(tmp_path, database_url=database_url, **rates) as limited:
        ctx = await join(limited)
        first = await send_message(ctx, receiver_id=None, content="1", client_message_id="k1")
        await send_message(ctx, receiver_id=None, content="2")
        with pytest.raises(RateLimited) as refused:
            await send_message(ctx, receiver_id=None, content="1", client_message_id="k1")
        await asyncio.sleep(refused.value.retry_after_ms / 1000)
        again = await send_message(ctx, receiver_id=None, content="1", client_message_id="k1")
        assert again == first


async def test_what_is_refused_anyway_is_not_counted(limited: Context) -> None:
    ctx = await join(limited)
    for _ in range(100):
        with pytest.raises(BadInput):
            await send_message(ctx, receiver_id=None, content=" ")
    await send_message(ctx, receiver_id=None, content="the first")


async def test_without_limits_nothing_is_limited(ctx: Context) -> None:
    email = await new_email(ctx)
    assert await guess(at(ctx, ATTACKER), email, 20) == ["wrong"] * 20
    sender = await join(ctx)
    sends = [send_message(sender, receiver_id=None, content=f"{n}") for n in range(200)]
    assert len(await asyncio.gather(*sends)) == 200
    for _ in range(100):
        await new_email(ctx, ATTACKER)
    assert held_counts(ctx.limits.counts) == 0


async def test_bad_tokens_end_the_logins_from_an_address(limited: Context) -> None:
    joined = await join(limited)
    token = limited.tokens.issue(joined.user.id).token
    for _ in range(limited.settings.bad_tokens_per_address.amount):
        assert await auth.authenticate_login(at(limited, ATTACKER), token) == joined.viewer
        with pytest.raises(Unauthenticated):
            await auth.authenticate_login(at(limited, ATTACKER), "no token")
    with pytest.raises(RateLimited, match="Too many bad tokens"):
        await auth.authenticate_login(at(limited, ATTACKER), token)
    assert await auth.authenticate_login(at(limited, OWNER), token) == joined.viewer


async def test_connections_are_counted_by_address_and_by_user(tmp_path: Path) -> None:
    few = {"limits": True, "max_connections_per_address": 2, "max_connections_per_user": 2}
    async with running_context(tmp_path, **few) as ctx:
        connections = ctx.connection_slots
        leaves = [connections.count(OWNER) for _ in range(2)]
        assert not connections.has_room(OWNER)
        assert connections.has_room(ATTACKER)
        for leave in leaves:
            leave()
        assert connections.has_room(OWNER)
        for _ in range(2):
            connections.enter(1)
        with pytest.raises(TooManyConnections, match="of this user"):
            connections.enter(1)
        connections.enter(2)
        connections.leave(1)
        connections.enter(1)
        for user_id in (1, 1, 2):
            connections.leave(user_id)
        assert len(connections._roster) == 0


async def test_a_refusal_names_the_limit_that_was_reached_where_two_have_the_same_numbers(
    tmp_path: Path,
) -> None:
    rates = {"logins_per_address": "10/5minutes", "logins_per_account": "10/5minutes"}
    async with running_context(tmp_path, limits=True, **rates) as ctx:
        for number in range(10):
            await LoginAttempt(ctx.limits, ATTACKER, f"{number}", familiar=False).begin()
        with pytest.raises(RateLimited, match="from this address"):
            await LoginAttempt(ctx.limits, ATTACKER, "another", familiar=False).begin()
