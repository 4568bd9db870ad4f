"""Passwords: bcrypt in a bounded pool, off the loop, and never cut short when new."""

import asyncio
from collections.abc import Iterator

import bcrypt
import pytest

from resolvers.errors import BadInput, RateLimited
from resolvers.guards import passwords as passwords_module
from resolvers.guards.passwords import Passwords, check_password
from tests.support.hashes import costs_of_hashes

# The first three are of Openwall's test vectors; the last is what bcryptjs makes by default.
OLDER_HASHES = [
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("123456", "$2b$10$4tv0FHxwjDcfA.1NDUuclu59Ocij8c5rgXwIvvaQcYCxox99aJ4vu"),
]


# The last is one of crypt_blowfish's: it says itself that it was made wrongly.
HASHES_OF_NOTHING = [
    *(None, "", "plain", "$2b$04$short", "$1$md5$x", "!", f"$2b$99${'x' * 53}"),
    "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
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
    assert (await passwords.verify(password, hashed)).matches
    assert not (await passwords.verify(password[:-1] + "!", hashed)).matches
    assert hashed != await passwords.hash(password)


@pytest.mark.parametrize(("password", "hashed"), OLDER_HASHES)
async def test_hashes_of_the_older_server_verify(
    passwords: Passwords, password: str, hashed: str
) -> None:
    assert (await passwords.verify(password, hashed)).matches
    assert not (await passwords.verify(password + " ", hashed)).matches


@pytest.mark.parametrize("bad", ["", "x" * 73, "é" * 37, "🔑" * 19, "a\0b", "\ud800"], ids=ascii)
async def test_what_bcrypt_cannot_take_whole_is_never_hashed(
    passwords: Passwords, bad: str
) -> None:
    with pytest.raises(BadInput):
        check_password(bad)
    with pytest.raises(BadInput):
        await passwords.hash(bad)


@pytest.mark.parametrize("ident", ["2a", "2b", "2y"])
@pytest.mark.parametrize("whole", ["x" * 73, "é" * 200, "x" + "🔑" * 30, "p" * 100_000], ids=len)
async def test_a_longer_password_of_an_imported_account_fits_by_its_first_72_bytes(
    passwords: Passwords, whole: str, ident: str
) -> None:
    # As PHP, Node and Python make it.
    kept = bcrypt.hashpw(whole.encode()[:72], bcrypt.gensalt(4)).decode()
    imported = kept.replace("$2b$", f"${ident}$")
    assert (await passwords.verify(whole, imported)).matches
    assert (await passwords.verify(whole + "!", imported)).matches
    assert not (await passwords.verify("!" + whole, imported)).matches
    assert not (
        await passwords.verify(whole.encode()[:70].decode(errors="ignore"), imported)
    ).matches


@pytest.mark.parametrize("bad", ["", "a\0b", "\ud800", "a" * 80 + "\0"], ids=ascii)
async def test_what_no_hash_can_be_of_fits_none(passwords: Passwords, bad: str) -> None:
    # bcrypt itself would look no further than this.
    seen = bad.encode(errors="ignore")[:72].partition(b"\0")[0].decode()
    assert not (await passwords.verify(bad, await passwords.hash(seen or "x"))).matches


@pytest.mark.parametrize("whole", ["123456", "x" * 200])
async def test_a_refusal_takes_as_long_whatever_it_is_for(
    monkeypatch: pytest.MonkeyPatch, whole: str
) -> None:
    # What takes the time is counted: a busy machine cannot make it more or less.
    costs = costs_of_hashes(monkeypatch)
    passwords = Passwords(rounds=6, workers=1)
    hashed = await passwords.hash("another")
    for kept in (hashed, None, "", hashed.replace("$2b$", "$2x$"), "plain"):
        costs.clear()
        assert not (await passwords.verify(whole, kept)).matches
        assert costs == [6], kept
    passwords.close()


@pytest.mark.parametrize("hashed", HASHES_OF_NOTHING)
async def test_where_there_is_no_hash_no_password_fits(
    passwords: Passwords, hashed: str | None
) -> None:
    for password in ("decoy", "", "123456", "plain", "U*U", "x" * 100):
        assert not (await passwords.verify(password, hashed)).matches


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
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0.001)
        turns += 1
    await hashing
    # Three hashes of a quarter of a second each: on the loop, there would be three turns or so.
    assert turns > 50
    passwords.close()


def test_a_new_password_has_a_least_length_in_characters() -> None:
    passwords = Passwords(rounds=4, workers=1, min_length=6)
    for good in ("123456", "pässwö", "🔑" * 6, "x" * 72):
        passwords.check_new(good)
    for short in ("12345", "éé", "🔑" * 5):
        with pytest.raises(BadInput, match="shorter than 6 characters"):
            passwords.check_new(short)
    with pytest.raises(BadInput, match="is required"):
        passwords.check_new("")
    passwords.close()


def test_the_commonest_passwords_can_be_refused() -> None:
    passwords = Passwords(rounds=4, workers=1, refuse_common=True)
    for common in ("123456", "password", "PassWord", "iloveyou", "qwerty123", "dragon"):
        with pytest.raises(BadInput, match="most common"):
            passwords.check_new(common)
    for good in ("correct horse battery", "Zk4!vbn-77", "🔑🔑🔑🔑🔑🔑"):
        passwords.check_new(good)
    passwords.close()
