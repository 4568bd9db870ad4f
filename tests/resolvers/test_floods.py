"""Floods of logins and registrations: what they buy, and whom they keep out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text

from db.people.familiar_addresses import MAX_FAMILIAR_ADDRESSES
from resolvers.context import Context
from resolvers.errors import RateLimited
from resolvers.people import accounts, auth, sessions
from tests.resolvers.conftest import running_context
from tests.resolvers.people import plain
from tests.resolvers.test_limits import ATTACKER, GOOD, OWNER, at, guess, new_email
from tests.support.held import held_counts

HOME = "2001:db8:7:1::5"
MOST_GUESSES = 150  # LOGINS_PER_ACCOUNT_FROM_ELSEWHERE, if all are tried at the same moment
REFUSED = 300  # far more than any limit here lets through


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Context]:
    """What operations are handed, with the limits as they come."""
    async with running_context(tmp_path, limits=True) as ctx:
        yield ctx


async def flood(ctx: Context, email: str, addresses: list[str]) -> Counter[str]:
    """Guess once from each address, some at a time; return what came of it."""
    came: Counter[str] = Counter()
    for start in range(0, len(addresses), 20):
        tried = [guess(at(ctx, address), email, 1) for address in addresses[start : start + 20]]
        came.update(what for [what] in await asyncio.gather(*tried))
    return came


def rotating(number: int, networks: str = "2001:db8:{}:{:x}::1") -> list[str]:
    """Return addresses each in a /64 of its own, in four /48s."""
    return [networks.format(n % 4, n) for n in range(number)]


async def test_refused_logins_leave_nothing_behind(limited: Context) -> None:
    email = await new_email(limited)
    await flood(limited, email, rotating(200))
    before = held_counts(limited.limits.counts)
    came = await flood(limited, email, rotating(REFUSED, "2001:db8:{}:f{:x}::1"))
    assert came == {"limited": REFUSED}
    others = [f"{number}@example.com" for number in range(REFUSED)]
    await guess(at(limited, ATTACKER), email, 6)
    for start in range(0, REFUSED, 20):
        # From an address that has had its own, whatever the account.
        tried = [guess(at(limited, ATTACKER), one, 1) for one in others[start : start + 20]]
        await asyncio.gather(*tried)
    # 60 failed ones of an address are an account each; its own, and those of its networks.
    assert held_counts(limited.limits.counts) <= before + 2 * 60 + 10


@pytest.mark.parametrize("where", ["one address", "a network", "many networks"])
async def test_a_flood_buys_no_more_guesses_than_the_limit(limited: Context, where: str) -> None:
    email = await new_email(limited)
    addresses = {
        "one address": [ATTACKER] * REFUSED,
        "a network": rotating(REFUSED),
        "many networks": [f"{1 + n % 200}.{n // 200}.7.{n % 250}" for n in range(REFUSED)],
    }[where]
    came = await flood(limited, email, addresses)
    assert came["wrong"] <= (30 if where == "one address" else MOST_GUESSES // 2)
    assert came["wrong"] + came["limited"] == REFUSED
    await flood(limited, "another@example.com", rotating(REFUSED, "2001:db9:{}:{:x}::1"))
    assert await guess(at(limited, addresses[0]), email, 3) == ["limited"] * 3


async def test_a_network_that_moves_about_has_four_times_the_rate_of_an_address(
    tmp_path: Path,
) -> None:
    rates = {"limits": True, "registrations_per_address": "5/hour", "wider_network_factor": 2}
    async with running_context(tmp_path, **rates) as ctx:

        async def registered(addresses: list[str]) -> int:
            made = 0
            for address in addresses:
                try:
                    await new_email(ctx, address)
                    made += 1
                except RateLimited:
                    continue
            return made

        assert await registered([f"198.51.100.{n}" for n in range(30)]) == 10
        assert await registered([f"2001:db8:1:{n:x}::1" for n in range(30)]) == 10
        assert await registered([f"2001:db8:{n:x}:1::1" for n in range(2, 30)]) == 10
        assert await registered(["198.51.101.1", "2001:db9::1"]) == 2
        assert await registered(["192.0.2.1"] * 10) == 5


async def test_a_flood_of_registrations_forgets_none(limited: Context) -> None:
    limit = limited.settings.registrations_per_address.amount
    for _ in range(limit):
        await new_email(limited, ATTACKER)
    for address in rotating(300):
        try:
            await new_email(limited, address)
        except RateLimited:
            continue
    for _ in range(3):
        with pytest.raises(RateLimited):
            await new_email(limited, ATTACKER)


@pytest.mark.parametrize("home", [HOME, OWNER])
async def test_an_owner_comes_in_from_where_they_were_while_their_own_provider_attacks(
    tmp_path: Path, home: str
) -> None:
    """Everybody around the owner has had all that networks have, and goes on asking."""
    async with running_context(tmp_path, limits=True, bcrypt_rounds=8, password_workers=1) as ctx:
        email = await new_email(ctx)
        await auth.log_in(at(ctx, home), email=email, password=GOOD)
        fresh, stop = count(), asyncio.Event()

        async def attack() -> None:
            while not stop.is_set():
                n = next(fresh)
                around = f"2001:db8:7:{n % 60000 + 2:x}::1" if n % 2 else f"203.0.113.{n % 250 + 2}"
                if n % 3 == 0:
                    around = f"2001:db8:{n % 5:x}:{n % 60000 + 2:x}::1"
                target = email if n % 2 else f"{n}@example.com"
                await guess(at(ctx, around), target, 1)
                await asyncio.sleep(0)

        attackers = [asyncio.create_task(attack()) for _ in range(60)]
        await asyncio.sleep(0.5)
        for _ in range(5):
            async with asyncio.timeout(5):
                assert await auth.log_in(at(ctx, home), email=email, password=GOOD)
        stop.set()
        await asyncio.gather(*attackers)
        assert next(fresh) > 200


async def test_a_crowd_that_waits_for_its_passwords_keeps_no_owner_out(tmp_path: Path) -> None:
    """Limits are wide here: only the queue stands between the crowd and the owner."""
    wide = {
        "logins_per_address": "10000/minute",
        "logins_per_account": "5000/minute",
        "logins_per_account_from_elsewhere": "10000/minute",
    }
    async with running_context(
        tmp_path, limits=True, bcrypt_rounds=8, password_workers=1, **wide
    ) as ctx:
        email = await new_email(ctx)
        await auth.log_in(at(ctx, HOME), email=email, password=GOOD)
        crowd = [
            asyncio.create_task(guess(at(ctx, address), f"{n}@example.com", 30))
            for n, address in enumerate(rotating(200))
        ]
        await asyncio.sleep(0.2)
        for address in (HOME, "192.0.2.7"):  # a familiar one, and one of another provider
            for _ in range(3):
                async with asyncio.timeout(5):
                    assert await auth.log_in(at(ctx, address), email=email, password=GOOD)
        assert any(not task.done() for task in crowd)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)


async def test_a_login_that_is_refused_a_place_is_not_counted(tmp_path: Path) -> None:
    async with running_context(tmp_path, limits=True, bcrypt_rounds=11, password_workers=1) as ctx:
        emails = [f"{n}@example.com" for n in range(300)]
        crowd = [guess(at(ctx, f"2001:db8:{n:x}::1"), e, 1) for n, e in enumerate(emails)]
        waiting = asyncio.gather(*crowd)
        await asyncio.sleep(0.3)
        # An address, its two networks, the account here and elsewhere, and it may have failed.
        assert held_counts(ctx.limits.counts) < 5 * 45
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_where_somebody_was_lately_is_kept_by_the_database(
    database_url: str, tmp_path: Path
) -> None:
    async with running_context(tmp_path, database_url=database_url, limits=True) as ctx:
        email = await new_email(ctx, OWNER)  # to register is to have been there, too
        await auth.log_in(at(ctx, HOME), email=email, password=GOOD)
    async with running_context(tmp_path, database_url=database_url, limits=True) as ctx:
        await flood(ctx, email, rotating(100))
        assert await guess(at(ctx, "192.0.2.77"), email, 1) == ["limited"]
        for home in (OWNER, HOME, HOME[:-1] + "6"):
            assert await auth.log_in(at(ctx, home), email=email, password=GOOD)
        # Thirty days later it is nobody's.
        await age(ctx, timedelta(days=31))
        assert await guess(at(ctx, OWNER), email, 1) == ["limited"]
        await sessions.sweep_sessions(ctx)
        assert await addresses(ctx) == []


async def test_no_more_addresses_of_an_account_are_kept_than_the_most(ctx: Context) -> None:
    email, other = await new_email(ctx), await new_email(ctx)
    for number in range(MAX_FAMILIAR_ADDRESSES + 5):
        await auth.log_in(at(ctx, f"10.{number}.0.1"), email=email, password=GOOD)
        await age(ctx, timedelta(seconds=1), relative=True)
    kept = await addresses(ctx)
    assert len(kept) == MAX_FAMILIAR_ADDRESSES + 1  # and the other account's
    assert "10.5.0.1" in kept
    assert "10.4.0.1" not in kept
    assert await auth.log_in(at(ctx, "10.9.0.1"), email=other, password=GOOD)


async def test_with_an_account_goes_where_its_owner_was(limited: Context) -> None:
    email = await new_email(limited, OWNER)
    me = limited.as_viewer(
        await auth.authenticate(
            limited, (await auth.log_in(limited, email=email, password=GOOD)).issued.token
        )
    )
    assert OWNER in await addresses(limited)
    await accounts.delete_own_account(me, GOOD)
    assert await addresses(limited) == []


async def addresses(ctx: Context) -> list[str]:
    """Return what is kept of all accounts."""
    async with ctx.read() as connection:
        return [
            *(await connection.execute(text("SELECT address FROM familiar_addresses"))).scalars()
        ]


async def age(ctx: Context, by: timedelta, *, relative: bool = False) -> None:
    """Have every familiar address be older."""
    async with ctx.write() as connection:
        rows = await connection.execute(
            text("SELECT user_id, address, seen_at FROM familiar_addresses")
        )
        for user_id, address, seen_at in [*rows]:
            seen = datetime.fromisoformat(str(seen_at)).replace(tzinfo=UTC)
            at_ = plain((seen if relative else datetime.now(UTC)) - by)
            update = (
                "UPDATE familiar_addresses SET seen_at = :at WHERE user_id = :u AND address = :a"
            )
            await connection.execute(text(update), {"at": at_, "u": user_id, "a": address})
