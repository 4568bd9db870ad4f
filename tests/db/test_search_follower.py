"""The index follows the log: soon, after a kill, with several processes, and when it is damaged."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from db.engines.database import Database
from db.facts import insert_facts, lock_head, move_head
from db.messages import head_position
from db.models import LogHead, Message
from db.search import follower
from db.search.follower import Follower
from db.search.index import IndexPlace, ReadableIndex
from db.search.queries import Filters, Search, SearchOrder, Seen
from db.search.question import read_question
from db.search.requests import RequestPipe, read_requests
from db.search.search import Found, MessageSearch, SearchUnavailable
from events.facts import Fact, MessageEdited, People
from tests.db.rows import NOW, add_messages, add_users, draft, running_log

ROOT = Path(__file__).parent.parent.parent
SECONDS = 20


class Head:
    """What a process knows of the log."""

    def __init__(self, database: Database, epoch: str = "one") -> None:
        self.database = database
        self.position = 0
        self.epoch = epoch

    async def look(self) -> None:
        async with self.database.read() as connection:
            self.position = await head_position(connection)


@asynccontextmanager
async def searching(
    database: Database, directory: Path, head: Head | None = None
) -> AsyncIterator[MessageSearch]:
    """Follow the log in a directory while the block lasts, in this process."""
    if head is None:
        head = Head(database)
        await head.look()
    place = IndexPlace(directory)
    while (lock := place.lock()) is None:  # noqa: ASYNC110  # another one has it
        await asyncio.sleep(0.01)
    executor = ThreadPoolExecutor(2)
    follower = Follower(database, place, executor)
    pipe = RequestPipe(directory).open()

    def hear() -> None:
        follower.tell(head.position, head.epoch)
        for request in read_requests(pipe):
            follower.ask(request)

    loop = asyncio.get_running_loop()
    loop.add_reader(pipe, hear)
    follower.tell(head.position, head.epoch)
    follower.start()
    search = MessageSearch(
        database.url, directory, head=lambda: head.position, epoch=lambda: head.epoch
    )
    try:
        yield search
    finally:
        loop.remove_reader(pipe)
        os.close(pipe)
        await follower.close()
        executor.shutdown()
        place.unlock(lock)
        await search.close()


async def find(search: MessageSearch, query: str, viewer_id: int) -> Found:
    seen = Seen(viewer_id, 0, (), ())
    asked = Search(read_question(query), seen, Filters(), SearchOrder.NEWEST)
    return await search.find(asked, before=None, limit=10_000)


async def until(
    search: MessageSearch, query: str, viewer_id: int, is_right: Callable[[Found], bool]
) -> Found:
    """Search again and again, until the answer is right."""
    async with asyncio.timeout(SECONDS):
        async for _ in again_and_again():
            if is_right(found := await find(search, query, viewer_id)):
                return found
    raise AssertionError


async def again_and_again() -> AsyncIterator[None]:
    """Nothing tells of a commit but the index itself."""
    while True:
        yield
        await asyncio.sleep(0.01)


def has(*ids: int) -> Callable[[Found], bool]:
    return lambda found: found.is_complete and [*found.ids] == [*ids]


async def test_older_messages_and_new_ones_are_found(database: Database, tmp_path: Path) -> None:
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 5)
    head = Head(database)
    await head.look()
    async with searching(database, tmp_path / "search", head) as search:
        await until(search, "3", ann, has(3))
        async with running_log(database) as log:
            first = await log.append(draft(ann, bob, "something new"))
            head.position = first.id
            await until(search, "someth", bob, has(first.id))
            second = await log.append(draft(bob, None, "something for everybody"))
            head.position = second.id
            await until(search, "something", ann, has(second.id, first.id))


async def test_a_gap_of_any_size_is_stepped_over(database: Database, tmp_path: Path) -> None:
    """Messages that were moved in keep their ids, which may be moments in microseconds."""
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 5)
    later = {4: 2**40, 5: 2**50}
    async with database.write() as connection:
        for id_, moved in later.items():
            await connection.execute(update(Message).where(col(Message.id) == id_).values(id=moved))
        await connection.execute(update(LogHead).values(position=2**50))
    head = Head(database)
    await head.look()
    async with searching(database, tmp_path / "search", head) as search:
        for word in range(1, 6):
            await until(search, str(word), ann, has(later.get(word, word)))


async def test_the_newest_are_found_first(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the older ones of a new index are still being read."""
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 2500)
    monkeypatch.setattr(follower, "MAX_UNCOMMITTED", 1000)
    head = Head(database)
    await head.look()
    async with searching(database, tmp_path / "search", head) as search:
        early = await until(search, "250", ann, lambda found: bool(found.ids))
        assert early.ids[0] == 2500
        late = await until(search, "250", ann, lambda found: found.is_complete)
        assert late.ids == [2500, 250]


async def test_without_a_search_what_is_new_is_committed_later(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "COMMIT_SECONDS", 0.3)
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 3)
    head = Head(database)
    await head.look()
    reader = ReadableIndex(IndexPlace(tmp_path).path_of("one"))
    executor = ThreadPoolExecutor(1)
    following = Follower(database, IndexPlace(tmp_path), executor)
    following.tell(head.position, head.epoch)
    following.start()
    try:
        for position in (head.position, head.position + 1):
            async with asyncio.timeout(SECONDS):
                async for _ in again_and_again():
                    snapshot = reader.snapshot()
                    if snapshot is not None and snapshot.state.last == position:
                        break
            async with running_log(database) as log:
                sent = await log.append(draft(ann, bob, "something new"))
            following.tell(sent.id, head.epoch)
    finally:
        await following.close()
        executor.shutdown()


async def test_a_changed_message_is_read_again(database: Database, tmp_path: Path) -> None:
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 3)
    head = Head(database)
    await head.look()
    async with searching(database, tmp_path / "search", head) as search:
        await until(search, "2", ann, has(2))
        await edit(database, 2, ann, bob, "corrected")
        await head.look()
        await until(search, "corrected", ann, has(2))
        await until(search, "2", ann, has())


async def test_the_words_of_a_changed_text_leave_the_files(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of a word's messages has removed ones too, as long as a file has the word."""
    monkeypatch.setattr(follower, "RENEW_SECONDS", 0.5)
    monkeypatch.setattr(follower, "RENEWED", 10)
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 25)
    head = Head(database)
    await head.look()
    path = IndexPlace(tmp_path / "search").path_of("one")
    reader = ReadableIndex(path)

    def count(word: str) -> int:
        snapshot = reader.snapshot()
        assert snapshot is not None
        return snapshot.searcher.doc_freq("words", word)

    async with searching(database, tmp_path / "search", head) as search:
        await until(search, "12", ann, has(12))
        before = {file.name for file in path.glob("*.term")}
        await edit(database, 12, ann, bob, "corrected")
        await head.look()
        await until(search, "corrected", ann, has(12))
        assert count("12") == 1, "it is still in a file"
        async with asyncio.timeout(SECONDS):
            async for _ in again_and_again():
                if not count("12") and not before & {file.name for file in path.glob("*.term")}:
                    break
        for number in range(1, 26):
            expected = [] if number == 12 else [number]
            assert [*(await find(search, f'"{number}"', ann)).ids] == expected
        snapshot = reader.snapshot()
        assert snapshot is not None
        assert (snapshot.state.stale_since, snapshot.state.renewed_from) == (0, 0)
        assert snapshot.searcher.num_docs == 25 + 1  # and the state


async def edit(database: Database, id_: int, ann: int, bob: int, content: str) -> None:
    async with database.write() as connection:
        position, _ = await lock_head(connection)
        changed = update(Message).where(col(Message.id) == id_).values(content=content)
        await connection.execute(changed)
        fact = Fact(position + 1, NOW, ann, People((ann, bob)), MessageEdited(id_, ann, 2))
        await insert_facts(connection, [fact])
        await move_head(connection, position + 1, 0)


async def test_it_goes_on_from_where_it_was(database: Database, tmp_path: Path) -> None:
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 3)
    async with searching(database, tmp_path) as search:
        await until(search, "3", ann, has(3))
    async with running_log(database) as log:
        sent = await log.append(draft(ann, bob, "while it was away"))
    # What is in the index is not read again: it is found though it is another text now.
    async with database.write() as connection:
        await connection.execute(update(Message).where(col(Message.id) == 1).values(content="x"))
    async with searching(database, tmp_path) as search:
        await until(search, "away", ann, has(sent.id))
        assert [*(await find(search, "1", ann)).ids] == [1]


async def test_an_index_that_missed_forgotten_changes_is_made_anew(
    database: Database, tmp_path: Path
) -> None:
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 3)
    async with searching(database, tmp_path) as search:
        await until(search, "3", ann, has(3))
    async with database.write() as connection:
        changed = update(Message).where(col(Message.id) == 3).values(content="corrected")
        await connection.execute(changed)
        await move_head(connection, 10, 0)
        await connection.execute(update(LogHead).values(pruned_position=10))
    async with searching(database, tmp_path) as search:
        await until(search, "corrected", ann, has(3))


async def test_another_log_gets_another_index(database: Database, tmp_path: Path) -> None:
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 3)
    head = Head(database)
    await head.look()
    async with searching(database, tmp_path, head) as search:
        await until(search, "3", ann, has(3))
        async with database.write() as connection:
            changed = update(Message).where(col(Message.id) == 3).values(content="another")
            await connection.execute(changed)
        head.epoch = "two"
        await until(search, "another", ann, has(3))
        await until(search, "3", ann, has())
    place = IndexPlace(tmp_path)
    assert not place.path_of("one").exists()


async def test_a_damaged_index_is_made_anew(database: Database, tmp_path: Path) -> None:
    [ann, bob] = await add_users(database, 2)
    await add_messages(database, [(ann, bob)] * 3)
    async with searching(database, tmp_path) as search:
        await until(search, "3", ann, has(3))
    for path in IndexPlace(tmp_path).path_of("one").glob("*.store"):
        path.write_bytes(b"garbage")
    async with searching(database, tmp_path) as search:
        async with asyncio.timeout(SECONDS):
            async for _ in again_and_again():
                with suppress(SearchUnavailable):
                    if has(3)(await find(search, "3", ann)):
                        break


INDEXING = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from db.search import follower
    from tests.db.rows import open_database
    from tests.db.test_search_follower import Head, searching

    async def main() -> None:
        url, directory = sys.argv[1:]
        follower.MAX_UNCOMMITTED = 200
        follower.WINDOW = 100
        database = open_database(url)
        head = Head(database)
        await head.look()
        async with searching(database, Path(directory), head):
            print("started", flush=True)
            await asyncio.sleep(60)

    asyncio.run(main())
    """
)


async def test_a_kill_in_the_middle_loses_and_doubles_nothing(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    [ann, bob] = await add_users(database, 2)
    number = 4000
    await add_messages(database, [(ann, bob)] * number)
    reader = ReadableIndex(IndexPlace(tmp_path).path_of("one"))
    firsts: list[int] = []
    for _ in range(4):
        process = subprocess.Popen(  # noqa: ASYNC220  # it is only started here
            [sys.executable, "-c", INDEXING, database_url, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        async with asyncio.timeout(SECONDS):
            before = firsts[-1] if firsts else number + 1
            async for _ in again_and_again():
                now = reader.snapshot()
                if now is not None and now.state.first < before:
                    break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        snapshot = reader.snapshot()
        assert snapshot is not None
        firsts.append(snapshot.state.first)
        if firsts[-1] == 1:
            break
    assert len(firsts) > 1, "it was never killed in the middle"
    async with searching(database, tmp_path) as search:
        found = await until(search, "1", ann, lambda found: found.is_complete)
        assert found.ids == [n for n in range(number, 0, -1) if str(n) == "1"]
        snapshot = reader.snapshot()
        assert snapshot is not None
        assert snapshot.searcher.num_docs == number + 1  # and the state
