"""`main.py users …`: an operator, in a process of their own; a running server follows."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from db.engines.database import Database
from main import main
from resolvers.people import accounts
from settings import Settings
from tests.conftest import fresh_database_url, on_sqlite
from tests.db.rows import make_log
from tests.schema.client import open_socket
from tests.support.faces import PASSWORD, Account, GraphQLFace, SocketIOFace, new_account
from tests.support.server import RunningServer, running_server
from tests.support.tools import AS_INSTALLED

ROOT = Path(__file__).parent.parent


@pytest.fixture
def server(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningServer]:
    """A server with a database of its own."""
    url = fresh_database_url(engine, request, tmp_path)
    with running_server(tmp_path, database_url=url) as server:
        yield server


async def users(
    server: RunningServer, *words: str, typed: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the command against the server's database."""
    ours = {name.upper() for name in Settings.model_fields}
    clean = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    clean |= AS_INSTALLED
    url = server.settings.database_url
    assert url is not None
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore:'crypt'", str(ROOT / "main.py"), "users", *words],
        cwd=server.settings.data_dir,
        env={**clean, "DATABASE_URL": url.get_secret_value(), "BCRYPT_ROUNDS": "4", **settings},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def log_in(server: RunningServer, email: str, password: str = PASSWORD) -> httpx.Response:
    """Try to."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        body = {"email": email, "password": password}
        return await http.post("/api/auth/login", json=body)


@pytest.mark.parametrize("action", ["disable", "delete"])
async def test_a_user_who_is_disabled_or_deleted_is_out_within_a_second(
    server: RunningServer, action: str
) -> None:
    alice, bob = await new_account(server, "Alice"), await new_account(server, "Bob")
    async with (
        open_socket(server, alice) as socket,
        SocketIOFace.open(server, alice) as face,
        GraphQLFace.open(server, bob) as friend,
    ):
        sent = await face.send("kept", bob.id)
        done = await users(server, action, f" {alice.email.upper()} ")
        ended = time.monotonic()
        assert (done.returncode, alice.email in done.stdout) == (0, True), done.stderr
        assert await socket.closed() == (4401, "Session ended")
        await face.events.expect(lambda event: event == ("auth:error", "Session ended"))
        assert time.monotonic() - ended < 1
        assert sent in await friend.history()
    answer = await log_in(server, alice.email)
    if action == "disable":
        assert answer.status_code == 403
        assert answer.json()["message"] == "This account is disabled"
        assert "may log in again" in (await users(server, "enable", alice.email)).stdout
        assert (await log_in(server, alice.email)).status_code == 200
    else:
        assert answer.status_code == 400
        again = await users(server, "enable", alice.email)
        assert again.returncode == 1
        assert again.stderr.strip() == f"There is no account with the e-mail {alice.email}"
    async with httpx.AsyncClient(base_url=server.url) as http:
        headers = {"Authorization": f"Bearer {alice.token}"}
        assert (await http.get("/api/messages", headers=headers)).status_code == 401


@on_sqlite
async def test_the_list_shows_who_there_is_and_what_they_are(server: RunningServer) -> None:
    alice, bob, carol = [await new_account(server, name) for name in ("Alice", "Bob", "Carol")]
    await asyncio.to_thread(change, server, bob, carol)
    assert (await users(server, "admin", alice.email)).returncode == 0
    lines = (await users(server, "list")).stdout.splitlines()
    assert lines == [
        f"{alice.id}\t{alice.email}\tAlice\tadmin",
        f"{bob.id}\t{bob.email}\tBob\tadmin,disabled",
    ]
    assert "is no administrator" in (await users(server, "no-admin", alice.email)).stdout


@on_sqlite
async def test_an_operator_makes_accounts_where_nobody_registers(server: RunningServer) -> None:
    email = f"{uuid4().hex}@Example.com"
    done = await users(server, "add", email, " Zoë ", typed="a good one\n", REGISTRATION="off")
    assert (done.returncode, done.stdout) == (0, f"{email.lower()} may log in.\n"), done.stderr
    answer = await log_in(server, email, "a good one")
    assert answer.json()["user"]["displayName"] == "Zoë"

    again = await users(server, "add", email, "Zoë", typed="another\n")
    assert (again.returncode, again.stderr.strip()) == (1, "Email already used")
    short = await users(server, "add", f"x{email}", "Zoë", typed="short\n")
    assert (short.returncode, short.stderr.strip()) == (1, "Password is shorter than 6 characters")
    none = await users(server, "add", f"x{email}", "Zoë")
    assert (none.returncode, none.stderr.strip()) == (1, "Password is required")

    made = await users(server, "add", f"y{email}", "Yan", "--generate")
    assert made.returncode == 0, made.stderr
    said, password = made.stdout.splitlines()
    assert said == f"y{email.lower()} may log in."
    answer = await log_in(server, f"y{email}", password.removeprefix("Password: "))
    assert answer.status_code == 200


def change(server: RunningServer, disabled: Account, deleted: Account) -> None:
    """Do to these what the command would, without a process for each."""

    async def work() -> None:
        ctx = server.ctx
        async with aclosing_database(server) as database:
            log = make_log(database)
            ctx = replace(ctx, db=database, log=log)
            log.start()
            await accounts.set_admin(ctx, disabled.email, is_admin=True)
            await accounts.disable_user(ctx, disabled.email)
            await accounts.delete_user(ctx, deleted.email)
            await log.close()

    asyncio.run(work())


@asynccontextmanager
async def aclosing_database(server: RunningServer) -> AsyncIterator[Database]:
    """The server's database, for another loop."""
    database = Database(server.settings.database)
    yield database
    await database.close()


@pytest.mark.parametrize("words", [(), ("disable",), ("promote", "a@example.com")])
def test_wrong_words_are_answered_with_the_usage(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["users", *words])
    assert end.value.code == 2
    assert "usage: main.py users" in capsys.readouterr().err
