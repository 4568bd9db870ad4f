"""Passwords: bcrypt in a bounded pool, off the loop, and never cut short."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from resolvers import passwords as passwords_module
from resolvers.errors import BadInput, RateLimited
from resolvers.passwords import Passwords, check_password

# The first three are of Openwall's test vectors; the last is what bcryptjs makes by default.
OLDER_HASHES = [
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("123456", "$2b$10$4tv0FHxwjDcfA.1NDUuclu59Ocij8c5rgXwIvvaQcYCxox99aJ4vu"),
]


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    """Cheap hashes."""
    passwords = Passwords(rounds=4, workers=2)
    yield passwords
    passwords.close()


@pytest.mark.parametrize("password", ["123456", " ", "pässwörd 🔑", "x" * 72, "é" * 36])
async def test_a_password_fits_its_hash_and_no_other(passwords: Passwords, password: str) -> None:
    hashed = await passwords.hash(password)
    assert hashed.startswith("$2b$04$")
    assert await passwords.verify(password, hashed)
    assert not await passwords.verify(password[:-1] + "!", hashed)
    assert hashed != await passwords.hash(password)


@pytest.mark.parametrize(("password", "hashed"), OLDER_HASHES)
async def test_hashes_of_the_older_server_verify(
    passwords: Passwords, password: str, hashed: str
) -> None:
    assert await passwords.verify(password, hashed)
    assert not await passwords.verify(password + " ", hashed)


@pytest.mark.parametrize("bad", ["", "x" * 73, "é" * 37, "🔑" * 19, "a\0b", "\ud800"], ids=ascii)
async def test_what_bcrypt_cannot_take_is_refused_before_it_is_cut(
    passwords: Passwords, bad: str
) -> None:
    with pytest.raises(BadInput):
        check_password(bad)
    with pytest.raises(BadInput):
        await passwords.hash(bad)
    # bcrypt itself would look no further than this.
    seen = bad.encode(errors="ignore")[:72].partition(b"\0")[0].decode()
    kept = await passwords.hash(seen or "x")
    assert not await passwords.verify(bad, kept)


@pytest.mark.parametrize("hashed", [None, "", "plain", "$2b$04$short", "$1$md5$x", "!"])
async def test_where_there_is_no_hash_no_password_fits(
    passwords: Passwords, hashed: str | None
) -> None:
    for password in ("decoy", "", "123456", "plain", "x" * 100):
        assert not await passwords.verify(password, hashed)


async def test_beyond_the_bound_callers_are_told_and_then_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords_module, "WAITING_PER_WORKER", 3)
    passwords = Passwords(rounds=8, workers=1)
    waiting = [asyncio.create_task(passwords.hash("123456")) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await passwords.verify("123456", None)
    for abandoned in waiting[1:]:
        abandoned.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(*(passwords.hash("123456") for _ in range(4)))
    passwords.close()


async def test_the_loop_goes_on_while_passwords_are_hashed() -> None:
    passwords = Passwords(rounds=12, workers=1)
    hashing = asyncio.gather(*(passwords.hash("123456") for _ in range(3)))
    longest, turns = 0.0, 0
    while not hashing.done():
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - started)
        turns += 1
    await hashing
    # Three hashes of a quarter of a second each: on the loop, there would be three turns or so.
    assert turns > 50
    assert longest < 0.15
    passwords.close()
