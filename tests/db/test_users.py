"""Queries on users."""

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError

from db.engines.database import Database
from db.models import StoredUser
from db.people import users
from tests.db.rows import NOW, add_users


async def _add(database: Database, email: str, name: str = "Somebody") -> StoredUser:
    async with database.write() as connection:
        return await users.insert_user(
            connection, email=email, display_name=name, password_hash="hash", created_at=NOW
        )


async def _search(database: Database, search: str) -> list[str]:
    async with database.read() as connection:
        found = await users.page_users(connection, search=search, after=0, limit=100)
    return [user.display_name for user in found]


async def test_what_goes_in_comes_out(database: Database) -> None:
    user = await _add(database, "zoë@exämple.com", "Zoë 👩‍🚀")
    assert user == StoredUser(user.id, "zoë@exämple.com", "Zoë 👩‍🚀", NOW, None)
    async with database.read() as connection:
        assert await users.find_by_email(connection, "zoë@exämple.com") == user
        assert await users.find_users(connection, [user.id, 2**62]) == {user.id: user}
        assert await users.existing_ids(connection, [user.id, 2**62]) == {user.id}
        assert await users.find_users(connection, []) == {}


async def test_an_email_is_taken_once_however_many_try_at_once(database: Database) -> None:
    outcomes = await asyncio.gather(
        *(_add(database, "one@example.com") for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(outcome, StoredUser) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, IntegrityError) for outcome in outcomes) == 4


async def test_emails_are_compared_exactly(database: Database) -> None:
    await _add(database, "zoe@example.com")
    await _add(database, "zoë@example.com")
    with pytest.raises(IntegrityError):
        await _add(database, "zoe@example.com")
    async with database.read() as connection:
        assert await users.find_by_email(connection, "ZOE@example.com") is None


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ünal", ["Ünal ŞAHİN"]),
        ("U\u0308NAL", ["Ünal ŞAHİN"]),  # decomposed, as a Mac may send it
        ("straße", ["STRASSE 7"]),
        ("100%", ["100% me"]),
        ("%", ["100% me"]),
        ("_", ["a_b"]),
        ("/", ["a/b"]),
        ("\\", ["a\\b"]),
        ("🎉", ["party 🎉"]),
        ("nobody", []),
        ("a", ["Ünal ŞAHİN", "STRASSE 7", "a_b", "a/b", "a\\b", "party 🎉"]),
    ],
)
async def test_a_search_finds_names_whatever_their_case(
    database: Database, search: str, found: list[str]
) -> None:
    names = ["Ünal ŞAHİN", "STRASSE 7", "100% me", "a_b", "a/b", "a\\b", "party 🎉"]
    for number, name in enumerate(names):
        await _add(database, f"{number}@example.com", name)
    assert await _search(database, search) == found


async def test_the_longest_name_fits_in_every_form(database: Database) -> None:
    for number, widest in enumerate(("ΐ", "ﬃ", "\U0001f469", "ß", "İ")):
        await _add(database, f"{number}@example.com", widest * 100)
        assert await _search(database, widest * 100) == [widest * 100]


async def test_pages_of_users_neither_skip_nor_repeat(database: Database) -> None:
    ids = await add_users(database, 25)
    seen: list[int] = []
    async with database.read() as connection:
        while page := await users.page_users(
            connection, search=None, after=seen[-1] if seen else 0, limit=10
        ):
            seen += [user.id for user in page]
    assert seen == ids


async def test_when_somebody_was_last_seen_is_kept_to_the_microsecond(database: Database) -> None:
    one, two = await add_users(database, 2)
    async with database.write() as connection:
        await users.set_last_seen(connection, [one], NOW)
    async with database.read() as connection:
        found = await users.find_users(connection, [one, two])
    assert (found[one].last_seen_at, found[two].last_seen_at) == (NOW, None)
