"""The store: a file is there whole, or not at all; what is gone is gone."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from db.files import READ_BYTES, FileMissing, FileStore, StoreUnavailable, StoreUnsuitable
from tests.support.ports import free_port

NAME = "ab/abcdef-0123"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the store keeps its files."""
    return tmp_path / "kept files"


@pytest.fixture
def store(directory: Path) -> FileStore:
    """An empty store, in a directory that was not there."""
    return FileStore(directory.as_uri())


async def _read(store: FileStore, name: str, start: int = 0, end: int = 2**40) -> bytes:
    return b"".join([chunk async for chunk in store.read(name, start, end)])


def _everything(directory: Path) -> list[str]:
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )


async def test_what_is_put_is_read_whole_and_in_parts(store: FileStore) -> None:
    content = os.urandom(3 * 1024 * 1024 + 17)
    await store.put(NAME, content)
    assert await _read(store, NAME, 0, len(content)) == content
    for start, end in ((0, 1), (5, 5), (9, 3), (17, 200_001), (len(content) - 1, len(content))):
        assert await _read(store, NAME, start, end) == content[start:end]


async def test_what_is_read_comes_in_small_pieces(store: FileStore) -> None:
    await store.put(NAME, bytes(1_000_000))
    pieces = [len(chunk) async for chunk in store.read(NAME, 0, 1_000_000)]
    assert sum(pieces) == 1_000_000
    assert max(pieces) <= 4 * READ_BYTES


async def test_a_file_is_put_from_where_it_stands(store: FileStore) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(6_000_000) + b"end")
        file.seek(0)
        await store.put(NAME, file)
    assert await _read(store, NAME, 6_000_000, 6_000_003) == b"end"
    await store.put("empty", io.BytesIO())
    assert await _read(store, "empty", 0, 0) == b""


async def test_putting_again_replaces(store: FileStore) -> None:
    await store.put(NAME, b"one")
    await store.put(NAME, b"other")
    assert await _read(store, NAME, 0, 5) == b"other"


async def test_what_was_never_put_is_missing(store: FileStore) -> None:
    with pytest.raises(FileMissing):
        await _read(store, NAME)


async def test_deleting_leaves_nothing_and_may_be_repeated(
    store: FileStore, directory: Path
) -> None:
    await store.put(NAME, b"x")
    await store.put(f"{NAME}.webp", b"y")
    await store.delete(NAME)
    assert _everything(directory) == [f"{NAME}.webp"]
    with pytest.raises(FileMissing):
        await _read(store, NAME)
    await store.delete(NAME)
    await store.delete(f"{NAME}.webp")
    assert _everything(directory) == []


class Breaking(io.BytesIO):
    """A file that ends with an error, as one on a broken disk."""

    def read(self, size: int | None = -1) -> bytes:
        """Return what there is, until it breaks."""
        if self.tell() > 2_000_000:
            raise OSError("the disk is broken")
        return super().read(size)


async def test_what_fails_while_it_is_put_is_not_there_at_all(store: FileStore) -> None:
    with pytest.raises(Exception, match="broken"):
        await store.put(NAME, Breaking(bytes(9_000_000)))
    with pytest.raises(FileMissing):
        await _read(store, NAME)


async def test_a_killed_put_leaves_nothing_to_read_and_nothing_after_deleting(
    store: FileStore, directory: Path
) -> None:
    program = (
        "import asyncio, io, sys, time; from db.files import FileStore\n"
        "class Slow(io.BytesIO):\n"
        "    def read(self, size=-1):\n"
        "        if self.tell() > 8_000_000: print('half', flush=True); time.sleep(60)\n"
        "        return super().read(size)\n"
        f"asyncio.run(FileStore(sys.argv[1]).put({NAME!r}, Slow(bytes(30_000_000))))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, directory.as_uri(), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    # Else this would show nothing.
    assert _everything(directory)
    with pytest.raises(FileMissing):
        await _read(store, NAME)
    await store.put("ab/another", b"x")
    await store.delete(NAME)
    assert _everything(directory) == ["ab/another"]


def test_files_are_the_servers_alone(store: FileStore, directory: Path) -> None:
    assert directory.stat().st_mode & 0o077 == 0


async def test_a_directory_that_is_none_any_more_is_said(store: FileStore, directory: Path) -> None:
    os.rmdir(directory)
    os.symlink("/dev/null", directory)
    with pytest.raises(StoreUnavailable):
        await store.put(NAME, b"x")


async def test_a_store_that_is_down_is_said() -> None:
    url = (
        f"s3://bucket/files?region=eu-west-1&endpoint=http://127.0.0.1:{free_port()}"
        "&access_key_id=a&secret_access_key=b"
    )
    store = FileStore(url)
    async with asyncio.timeout(60):
        for call in (store.put(NAME, b"x"), _read(store, NAME), store.delete(NAME)):
            with pytest.raises(StoreUnavailable) as error:
                await call
            assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["", "files", "ftp://example.com/files", "s3://", "file:///dev/null/files", "s3://b?x=y"]
)
def test_a_url_that_can_be_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreUnsuitable):
        FileStore(url)


async def test_a_name_with_spaces_and_percent_signs_is_a_directory_as_any(tmp_path: Path) -> None:
    directory = tmp_path / "a b%20c é"
    store = FileStore(directory.as_uri())
    await store.put(NAME, b"x")
    assert (directory / NAME).read_bytes() == b"x"
    assert await _read(FileStore(directory.as_uri()), NAME, 0, 1) == b"x"
