"""Accounts: one to an e-mail, a log-in that tells nothing, tokens of people who exist."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import bcrypt
import pytest
from sqlalchemy import text

from db.people import users
from db.people.accounts import find_account
from resolvers.context import Context
from resolvers.errors import BadInput, Conflict, Unauthenticated
from resolvers.people import auth
from resolvers.people.sessions import LoggedIn, change_password
from resolvers.people.users import get_me, list_users
from server.bearer import bearer_token
from tests.resolvers.conftest import join, running_context
from tests.resolvers.test_passwords import OLDER_HASHES
from tests.support.hashes import costs_of_hashes


def _email() -> str:
    return f"{uuid4().hex}@Example.com"


async def _register(ctx: Context, email: str, password: str = "123456") -> LoggedIn:
    return await auth.register_user(ctx, email=email, password=password, display_name="Zoë 🎉")


async def test_who_registered_can_log_in_however_the_email_is_typed(ctx: Context) -> None:
    email = _email()
    joined = await _register(ctx, email)
    assert (joined.user.email, joined.user.display_name) == (email.lower(), "Zoë 🎉")
    for typed in (email, email.upper(), f" {email.lower()} "):
        back = await auth.log_in(ctx, email=typed, password="123456")
        assert back.user == joined.user
        viewer = await auth.authenticate(ctx, back.issued.token)
        assert (await get_me(ctx.as_viewer(viewer))) == joined.user


async def test_an_email_is_taken_whatever_its_case_and_however_many_try_at_once(
    ctx: Context,
) -> None:
    email = _email()
    forms = [email, email.upper(), email.lower(), email.title(), f" {email}"]
    outcomes = await asyncio.gather(
        *(_register(ctx, form) for form in forms), return_exceptions=True
    )
    assert sum(isinstance(outcome, LoggedIn) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == len(forms) - 1
    with pytest.raises(Conflict, match="Email already used"):
        await _register(ctx, email.swapcase())


async def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(ctx: Context) -> None:
    email = _email()
    await _register(ctx, email, "x" * 72)
    wrong = [
        (email, "x" * 71),
        (email, "y" + "x" * 72),
        (email, "decoy"),
        (email, ""),
        (email, "\ud800"),
        (email, "a\0b"),
        (_email(), "x" * 72),
        (_email(), "decoy"),
        ("not an e-mail", "x" * 72),
        ("\ud800", "x"),
        ("", ""),
    ]
    for typed, password in wrong:
        with pytest.raises(BadInput) as refused:
            await auth.log_in(ctx, email=typed, password=password)
        assert refused.value.message == "Invalid email or password"
    await auth.log_in(ctx, email=email, password="x" * 72)


async def test_an_unknown_email_takes_as_long_as_a_wrong_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_context(tmp_path, bcrypt_rounds=6) as ctx:
        email = _email()
        await _register(ctx, email)
        # What takes the time is counted: a busy machine cannot make it more or less.
        costs = costs_of_hashes(monkeypatch)
        for typed, password in (
            (email, "wrong"),
            (_email(), "wrong"),
            ("not an e-mail", "wrong"),
            (email, "x" * 100),
        ):
            costs.clear()
            with pytest.raises(BadInput, match="Invalid email or password"):
                await auth.log_in(ctx, email=typed, password=password)
            assert costs == [6], typed


@pytest.mark.parametrize(("password", "hashed"), OLDER_HASHES)
async def test_accounts_of_the_older_server_log_in(
    ctx: Context, password: str, hashed: str
) -> None:
    email = _email()
    joined = await _register(ctx, email, "something else")
    async with ctx.write() as connection:
        await connection.execute(text("UPDATE users SET password_hash = :h"), {"h": hashed})
    back = await auth.log_in(ctx, email=email, password=password)
    assert back.user == joined.user


async def test_an_account_without_a_hash_lets_nobody_in(ctx: Context) -> None:
    email = _email()
    await _register(ctx, email)
    for hashed in ("", "plain", "$2b$10$short"):
        async with ctx.write() as connection:
            await connection.execute(text("UPDATE users SET password_hash = :h"), {"h": hashed})
        for password in ("decoy", "plain", "123456"):
            with pytest.raises(BadInput):
                await auth.log_in(ctx, email=email, password=password)


async def test_a_token_of_nobody_is_no_token(ctx: Context) -> None:
    with pytest.raises(Unauthenticated):
        await auth.authenticate(ctx, ctx.tokens.issue(2**40).token)
    with pytest.raises(Unauthenticated):
        await auth.authenticate(ctx, "x")


async def test_the_authorization_header_names_the_viewer(ctx: Context) -> None:
    someone = await join(ctx)
    token = ctx.tokens.issue(someone.user.id).token
    for header in (f"Bearer {token}", f"bearer {token}", f"  BEARER   {token} "):
        assert (await auth.enter_request(ctx, bearer_token(header))).user == someone.user
    refusals: dict[str | None, str] = {None: "No token provided", "": "No token provided"}
    bad = ("Bearer", "Bearer ", token, f"Basic {token}", f"Bearer {token} x", "Bearer \ud800")
    refusals |= dict.fromkeys(bad, "Invalid token")
    for wrong, refusal in refusals.items():
        nobody = await auth.enter_request(ctx, bearer_token(wrong))
        with pytest.raises(Unauthenticated, match=refusal):
            _ = nobody.user


async def test_a_search_that_is_no_unicode_is_refused(ctx: Context) -> None:
    someone = await join(ctx, "Zoë")
    for search in ("\ud800", "a\0b"):
        with pytest.raises(BadInput):
            await list_users(someone, search=search, first=10, after=0)
    found, more = await list_users(someone, search="zoe\u0308", first=10, after=0)
    assert ([user.display_name for user in found], more) == (["Zoë"], False)


async def test_an_account_of_the_older_server_comes_in_by_what_is_no_address(ctx: Context) -> None:
    password_hash = await ctx.passwords.hash("123456")
    async with ctx.write() as connection:
        made = await users.insert_user(
            connection,
            email="root@localhost",
            display_name="Root",
            password_hash=password_hash,
            created_at=datetime.now(UTC),
        )
    logged_in = await auth.log_in(ctx, email=" Root@Localhost ", password="123456")
    assert logged_in.user.id == made.id


async def test_a_login_renews_a_hash_of_another_cost(tmp_path: Path) -> None:
    async with running_context(tmp_path, bcrypt_rounds=5) as before:
        await auth.register_user(
            before, email="a@example.com", password="pass phrase", display_name="A"
        )
    async with running_context(tmp_path, bcrypt_rounds=4) as after:
        for _ in range(2):
            await auth.log_in(after, email="a@example.com", password="pass phrase")
            async with after.read() as connection:
                found = await find_account(connection, "a@example.com")
            assert found is not None
            assert found.password_hash.startswith("$2b$04$")


@pytest.mark.parametrize("bad", ["12345", "iloveyou"])
async def test_the_rules_of_new_passwords_hold_where_one_is_set_and_nowhere_else(
    tmp_path: Path, bad: str
) -> None:
    async with running_context(tmp_path, password_check="common") as ctx:
        with pytest.raises(BadInput, match="Password is"):
            await _register(ctx, _email(), bad)
        email = _email()
        me = ctx.as_viewer(
            await auth.authenticate(ctx, (await _register(ctx, email, "a good one")).issued.token)
        )
        with pytest.raises(BadInput, match="Password is"):
            await change_password(me, current="a good one", new=bad)
        # An imported account logs in with what it has, and finds its way out of it.
        async with ctx.write() as connection:
            hashed = await ctx.passwords.hash(bad)
            await connection.execute(text("UPDATE users SET password_hash = :h"), {"h": hashed})
        assert await auth.log_in(ctx, email=email, password=bad)
        assert await change_password(me, current=bad, new="a better one")


async def test_an_imported_account_logs_in_by_72_bytes_and_sets_a_password_of_no_more(
    tmp_path: Path,
) -> None:
    async with running_context(tmp_path) as ctx:
        email, long = _email(), "correct horse battery staple, " * 3
        joined = await _register(ctx, email)
        async with ctx.write() as connection:
            hashed = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(5)).decode()
            await connection.execute(text("UPDATE users SET password_hash = :h"), {"h": hashed})
        for _ in range(2):  # the first login renews the hash, which is of another cost
            assert (await auth.log_in(ctx, email=email, password=long)).user == joined.user
        me = ctx.as_viewer(await auth.authenticate(ctx, joined.issued.token))
        with pytest.raises(BadInput, match="longer than 72 bytes"):
            await change_password(me, current=long, new=long + "!")
        assert await change_password(me, current=long, new="another")


async def test_a_hash_that_cannot_be_trusted_is_a_wrong_password_and_told_in_the_log(
    ctx: Context, caplog: pytest.LogCaptureFixture
) -> None:
    email = _email()
    user = (await _register(ctx, email)).user
    async with ctx.write() as connection:
        hashed = "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
        await connection.execute(text("UPDATE users SET password_hash = :h"), {"h": hashed})
    for _ in range(3):
        with pytest.raises(BadInput, match="Invalid email or password"):
            await auth.log_in(ctx, email=email, password="U*U")
    said = [r.getMessage() for r in caplog.records if r.name == "parley.passwords"]
    assert said == [
        f"User {user.id} cannot log in: the stored password is a faulty bcrypt's ($2x$)"
    ]


async def test_an_account_can_be_made_without_a_session(ctx: Context) -> None:
    email = _email()
    made = await auth.create_account(ctx, email=email, password="123456", display_name="Zoë 🎉")
    async with ctx.read() as connection:
        rows = await connection.execute(text("SELECT COUNT(*) FROM sessions"))
        assert rows.scalar() == 0
    assert (await auth.log_in(ctx, email=email, password="123456")).user == made
