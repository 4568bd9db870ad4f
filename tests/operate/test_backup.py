"""docs/operate/backup.md: each command, beside people who write and clients that go on after it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from db.engines.database import DatabaseUnsuitable
from tests.commands.backing_up import download, history, run_backup, run_restore, send, upload
from tests.operate.page import Page
from tests.support.faces import Account, new_account
from tests.support.mariadb import MariaDB
from tests.support.node import SCRIPTS, node_packages
from tests.support.ports import free_port
from tests.support.server import RunningServer, running_server
from tests.support.tools import require
from tests.web.test_guides import GUIDES, Program, start

SECRET = "a secret of the page, long enough to sign tokens with"
# What shows CURSOR_EXPIRED by following anew, and what keeps bare ids and goes on.
WITH_CURSORS, WITH_IDS = ("graphql-ws", "gql"), ("socketio-js", "socketio-python")
# What a client does is no matter of the database: two run on each, so that each is run.
CLIENTS = {"sqlite": ("graphql-ws", "socketio-python"), "mariadb": ("gql", "socketio-js")}
FIRST, LOST, NEW = (
    [f"{word} {number}" for number in range(3)] for word in ("first", "lost", "new")
)


# The words that name each block of the page.
BACKUP, CHECK, RESTORE = (
    ("backup --to backups/monday",),
    ("sha256sum --check",),
    ("restore --from backups/monday",),
)
DUMP, LOAD = ("mariadb-dump", "backup --to backups/files"), ("DROP DATABASE", "restore --from")
EPOCH = ("restore --epoch",)
RUN = (BACKUP, CHECK, RESTORE, DUMP, LOAD, EPOCH)


class Operated:
    """A page's machine: its commands, and the server that they are about."""

    def __init__(self, page: Page, **settings: Any) -> None:
        self.page = page
        self._settings = {"jwt_secret": SECRET, "port": free_port(), **settings}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[RunningServer]:
        """Serve while the block lasts."""
        with running_server(self.page.directory / "data", **self._settings) as server:
            yield server


@pytest.fixture
def operated(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Operated:
    """A machine on each engine; the page's database is called parley."""
    told = {"DATA_DIR": str(tmp_path / "data"), "JWT_SECRET": SECRET}
    if engine == "sqlite":
        return Operated(Page("backup", tmp_path, **told))
    require("mariadb-dump")
    server: MariaDB = request.getfixturevalue("mariadb")
    server.execute("DROP DATABASE IF EXISTS parley")
    url = server.url("parley")
    (tmp_path / "parley.cnf").write_text(
        f"[client]\nhost={server.host}\nport={server.port}\nuser={server.user}\n"
        f"password={server.password}\n"
    )
    page = Page("backup", tmp_path, **told, DATABASE_URL=url.replace("+asyncmy", ""))
    return Operated(page, database_url=url)


async def back_up(page: Page, engine: str) -> None:
    if engine == "sqlite":
        await page.run(*BACKUP)
        assert '"parley-backup"' in await page.run(*CHECK)
    else:
        await page.run(*DUMP)


async def restore(page: Page, engine: str) -> str:
    if engine == "sqlite":
        return await page.run(*RESTORE)
    return await page.run(*LOAD)


async def test_clients_go_on_after_a_restore(operated: Operated, engine: str) -> None:
    """Those with cursors query anew, those with ids miss nothing; what is new comes once to all."""
    node_packages()
    page = operated.page
    async with AsyncExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(dir=SCRIPTS / "node_modules"))
        folder = Path(made)
        shutil.copy(GUIDES / "resuming.js", folder / "resuming.js")
        (folder / "package.json").write_text('{"type": "module"}')
        programs: dict[str, Program] = {}
        async with operated.serving() as server:
            ann, ben = await new_account(server, "Ann"), await new_account(server, "Ben")
            file = await upload(server, ann, "notes.txt", b"notes " * 100)
            kept = await send(server, ann, "kept", toUserId=ben.id, attachmentId=file)
            for guide in CLIENTS[engine]:
                programs[guide] = await start(guide, folder, server.url, ben.token)
                stack.push_async_callback(programs[guide].end)
            for program in programs.values():
                await program.prints("following")
            await say(server, ann, ben, FIRST)
            busy = Busy(server, ann, ben)
            await busy.has_sent(5)
            before = busy.sent
            await back_up(page, engine)
            told = await busy.end()
            await say(server, ann, ben, LOST)
            for program in programs.values():
                await program.prints(LOST[-1])
        said = await restore(page, engine)
        assert "under the new epoch" in said
        async with operated.serving() as server:
            for guide in programs.keys() & {*WITH_CURSORS}:
                await follows_again(programs[guide])
            # Those that keep ids have logged in once they hear of it.
            await say(server, ann, ben, NEW)
            for program in programs.values():
                await program.prints(NEW[-1])
            found = await history(server, ben)
            download_of = next(message for message in found if message["id"] == kept)
            assert await download(server, download_of) == b"notes " * 100
        contents = [message["content"] for message in found]
        assert contents[: 1 + len(FIRST)] == ["kept", *FIRST]
        assert contents[-len(NEW) :] == NEW
        stored = contents[1 + len(FIRST) : -len(NEW)]
        # One moment: a beginning of what was sent, with all that was acknowledged before.
        assert stored == [f"busy {number}" for number in range(len(stored))]
        assert before <= len(stored) <= told
        for guide, program in programs.items():
            await program.end()
            lines = [line for line in program.lines if not line.startswith(("busy", "following"))]
            assert lines == [*FIRST, *LOST, *NEW], guide


async def follows_again(program: Program) -> None:
    """Wait until a program has queried anew."""
    async with asyncio.timeout(60), program._changed:
        await program._changed.wait_for(lambda: program.lines.count("following") == 2)


async def say(server: RunningServer, sender: Account, to: Account, contents: list[str]) -> None:
    for content in contents:
        await send(server, sender, content, toUserId=to.id)


class Busy:
    """Somebody who writes one message after the other until the end."""

    def __init__(self, server: RunningServer, sender: Account, to: Account) -> None:
        self.sent = 0
        self._over = asyncio.Event()
        self._moved = asyncio.Condition()
        self._task = asyncio.create_task(self._write(server, sender, to))

    async def _write(self, server: RunningServer, sender: Account, to: Account) -> None:
        while not self._over.is_set():
            await say(server, sender, to, [f"busy {self.sent}"])
            async with self._moved:
                self.sent += 1
                self._moved.notify_all()

    async def has_sent(self, count: int) -> None:
        """Wait until so many are acknowledged."""
        async with asyncio.timeout(60), self._moved:
            await self._moved.wait_for(lambda: self.sent >= count)

    async def end(self) -> int:
        """Stop; return how many were acknowledged."""
        self._over.set()
        await self._task
        return self.sent


async def test_a_database_that_was_put_back_alone_gets_its_epoch(
    operated: Operated, engine: str
) -> None:
    page = operated.page
    async with operated.serving() as server:
        ann = await new_account(server, "Ann")
        last = await send(server, ann, "kept")
        epoch = server.ctx.control.epoch
    assert "under the new epoch" in await page.run(*EPOCH)
    async with operated.serving() as server:
        assert server.ctx.control.epoch != epoch
        assert await send(server, ann, "new") > last + 1_000_000
        assert (await new_account(server, "Ben")).id > ann.id + 1000


async def test_a_restore_waits_for_the_servers_of_mysql_to_be_stopped(
    mariadb: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.engines.sole_server.OTHERS_SECONDS", 0.5)
    mariadb.execute("DROP DATABASE IF EXISTS served")
    with running_server(tmp_path / "data", database_url=mariadb.url("served")) as server:
        ann = await new_account(server, "Ann")
        file = await upload(server, ann, "notes.txt", b"notes " * 100)
        await send(server, ann, "kept", attachmentId=file)
        await run_backup(server.settings, tmp_path / "backup")
        for words in (["--from", tmp_path / "backup", "--force"], ["--epoch"]):
            with pytest.raises(DatabaseUnsuitable, match="other connections use it"):
                await run_restore(server.settings, *words)
        [kept] = await history(server, ann)
        assert await download(server, kept) == b"notes " * 100
    mariadb.execute("DROP DATABASE served; CREATE DATABASE served CHARACTER SET utf8mb4")
    with pytest.raises(SystemExit, match=r"Nothing was restored: .* has no tables of Parley's"):
        await run_restore(server.settings, "--from", tmp_path / "backup", "--force")


def test_every_command_of_the_page_is_run(tmp_path: Path) -> None:
    blocks = Page("backup", tmp_path).blocks
    run = [[block for block in blocks if all(w in block for w in words)] for words in RUN]
    assert sorted(block for found in run for block in found) == sorted(blocks)
