"""One process of a machine runs the indexer, and another one when that has ended."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from db.engines.database import Database
from db.search import keeper
from db.search.search import Found, MessageSearch
from tests.db.rows import add_messages, add_users, draft, running_log
from tests.db.test_search_follower import ROOT, SECONDS, Head, again_and_again, has, until


@asynccontextmanager
async def keeping(database: Database, directory: Path, head: Head) -> AsyncIterator[MessageSearch]:
    """Search as a server does while the block lasts."""
    search = MessageSearch(
        database.url, directory, head=lambda: head.position, epoch=lambda: head.epoch
    )
    search.start()
    try:
        yield search
    finally:
        await search.close()


async def filled(database: Database) -> tuple[Head, int, int]:
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 3)
    head = Head(database)
    await head.look()
    return head, ann, bob


def with_id(id_: int) -> Callable[[Found], bool]:
    return lambda found: id_ in found.ids


def indexers(directory: Path) -> list[int]:
    """The indexers of this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            if entry.name.isdigit():
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"db.search.indexer" in words and str(directory).encode() in words:
                    found.append(int(entry.name))
    return found


async def only_indexer(directory: Path, *, but: int = 0) -> int:
    """Wait for exactly one, which is another than the one before."""
    async with asyncio.timeout(SECONDS):
        async for _ in again_and_again():
            found = await asyncio.to_thread(indexers, directory)
            if len(found) == 1 and but not in found:
                return found[0]
    raise AssertionError


async def no_indexer(directory: Path) -> None:
    async with asyncio.timeout(SECONDS):
        async for _ in again_and_again():
            if not await asyncio.to_thread(indexers, directory):
                return


async def test_new_messages_are_found_and_one_process_ends_with_the_server(
    database: Database, tmp_path: Path
) -> None:
    head, ann, bob = await filled(database)
    async with keeping(database, tmp_path, head) as search:
        await until(search, "3", ann, has(3))
        pid = await only_indexer(tmp_path)
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        assert b"sqlite" not in (Path("/proc") / str(pid) / "cmdline").read_bytes()
        async with running_log(database) as log:
            sent = await log.append(draft(ann, bob, "something new"))
            head.position = sent.id
            began = asyncio.get_running_loop().time()
            await until(search, "someth", bob, has(sent.id))
            assert asyncio.get_running_loop().time() - began < 5  # a tenth, on a machine at rest
    assert indexers(tmp_path) == []


async def test_a_new_message_is_indexed_without_a_search(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The indexer is started, and told of the head, by the server alone."""
    monkeypatch.setattr(keeper, "START_SECONDS", 0.1)
    head, _, _ = await filled(database)
    async with keeping(database, tmp_path, head) as search:
        async with asyncio.timeout(SECONDS):
            async for _ in again_and_again():
                snapshot = search._reader[1].snapshot() or None
                path = search._place.path_of("one")
                if snapshot is not None or (path / "meta.json").exists():
                    break
        await only_indexer(tmp_path)


async def test_nothing_is_started_while_there_is_nothing_to_index(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "START_SECONDS", 0.0)
    [ann] = await add_users(database, 1)
    async with keeping(database, tmp_path, Head(database)) as search:
        for _ in range(20):
            await until(search, "word", ann, has())
        assert indexers(tmp_path) == []


async def test_a_killed_indexer_is_started_again(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head, ann, bob = await filled(database)
    async with keeping(database, tmp_path, head) as search:
        await until(search, "3", ann, has(3))
        pid = await only_indexer(tmp_path)
        os.kill(pid, signal.SIGKILL)
        other = await only_indexer(tmp_path, but=pid)
        async with running_log(database) as log:
            sent = await log.append(draft(ann, bob, "after its end"))
        head.position = sent.id
        await until(search, "end", ann, has(sent.id))
        os.kill(other, signal.SIGTERM)
        await only_indexer(tmp_path, but=other)
    ends = [record.message for record in caplog.records if "indexer ended" in record.message]
    assert [end.partition(";")[0] for end in ends] == [
        "The search's indexer ended (status -9)",
        "The search's indexer ended (status 0)",
    ]


async def test_one_writes_and_the_other_takes_over(database: Database, tmp_path: Path) -> None:
    head, ann, bob = await filled(database)
    async with (
        keeping(database, tmp_path, head) as one,
        keeping(database, tmp_path, head) as other,
    ):
        await until(one, "3", ann, has(3))
        await until(other, "3", ann, has(3))
        pid = await only_indexer(tmp_path)
        async with running_log(database) as log:
            first = await log.append(draft(ann, bob, "before its end"))
            head.position = first.id
            # The other one's searches are heard too.
            await until(other, "before", bob, has(first.id))
            await one.close()
            await only_indexer(tmp_path, but=pid)
            second = await log.append(draft(ann, bob, "after its end"))
            head.position = second.id
            await until(other, "end", bob, has(second.id, first.id))


async def test_the_newest_of_two_thousand_messages_a_second_is_found(
    database: Database, tmp_path: Path
) -> None:
    """Each search finds what was stored before it began, though nothing waits for the index."""
    head, ann, bob = await filled(database)
    async with keeping(database, tmp_path, head) as search, running_log(database) as log:
        await until(search, "3", ann, has(3))
        loop = asyncio.get_running_loop()
        slowest = 0.0
        for second in range(3):
            began = loop.time()
            sends = [log.append(draft(ann, bob, f"word{second}")) for _ in range(2000)]
            last = max([sent.id for sent in await asyncio.gather(*sends)])
            head.position = last
            asked = loop.time()
            found = await until(search, f"word{second}", bob, with_id(last))
            slowest = max(slowest, loop.time() - asked)
            assert len(found.ids) == 2000
            await asyncio.sleep(max(0, began + 1 - loop.time()))
    assert slowest < 5  # 0.2 s, on a machine at rest


SERVING = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from tests.db.rows import open_database
    from tests.db.test_search_follower import Head
    from tests.db.test_search_keeper import keeping

    async def main() -> None:
        url, directory = sys.argv[1:]
        database = open_database(url)
        head = Head(database)
        await head.look()
        async with keeping(database, Path(directory), head):
            await asyncio.sleep(60)

    asyncio.run(main())
    """
)


async def test_a_killed_server_takes_its_indexer_with_it_and_another_goes_on(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    head, ann, _ = await filled(database)
    process = subprocess.Popen(  # noqa: ASYNC220  # it is only started here
        [sys.executable, "-c", SERVING, database_url, str(tmp_path)], cwd=ROOT
    )
    try:
        pid = await only_indexer(tmp_path)
        async with keeping(database, tmp_path, head) as search:
            await until(search, "3", ann, has(3))
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert await only_indexer(tmp_path, but=pid)
    finally:
        process.kill()
        process.wait()
    await no_indexer(tmp_path)
