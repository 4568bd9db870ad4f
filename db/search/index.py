"""The index as it lies in a directory of its own.

One process writes: it holds the directory's lock. All processes read: each sees a commit as soon
as it looks again. A commit is atomic, and says how far the index has come (documents.State). So a
process that is killed leaves the index as it was at the last commit.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from tantivy import FieldType, Index, IndexWriter, Query, Searcher

from db.private import DIRECTORY_MODE, FILE_MODE, OTHERS, close_to_others
from db.search.documents import (
    VERSION,
    State,
    Text,
    document_of,
    make_schema,
    open_index,
    read_state,
    state_document,
)

# The writer's memory for what is not committed yet; the least that the library takes.
WRITER_BYTES = 16 * 1024 * 1024
_META = "meta.json"  # replaced by each commit
_SCHEMA = make_schema()
_STATE = Query.term_query(_SCHEMA, "filters", "state", "basic")


class IndexDamaged(Exception):
    """The files of the index cannot be used: it has to be made anew."""


# How the library tells of a failure of the system: a full disk, too many open files. Only a file
# that is missing (2) is damage.
_SYSTEM_FAILURE = re.compile(r"(?:os error|code:) (?!2\b)\d+")


@contextmanager
def _noticing_damage() -> Iterator[None]:
    """Raise IndexDamaged where the library finds files that it cannot read.

    Raises OSError where the system has failed: the files are good.
    """
    try:
        yield
    except BaseException as error:
        # A Rust library panics where it has not expected to fail. That is not an Exception, so that
        # it ends the program; but here the files can be made anew.
        if not isinstance(error, OSError | ValueError) and type(error).__name__ != "PanicException":
            raise
        if _SYSTEM_FAILURE.search(str(error)):
            raise OSError(str(error)) from error
        raise IndexDamaged(str(error)) from error


class IndexPlace:
    """Where the indexes of this machine are: one for each log and each version."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def directory(self) -> Path:
        """What holds all of it."""
        return self._directory

    def path_of(self, epoch: str) -> Path:
        """Return the directory of the index of this log."""
        return self._directory / f"v{VERSION}-{epoch or 'first'}"

    def lock(self) -> int | None:
        """Hold the place as its only writer; None while another process does. Raises OSError.

        The hold lasts until `unlock`, or until the process ends, however it does.
        """
        self._directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        close_to_others(self._directory)
        lock = os.open(self._directory / "writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return None
            raise
        return lock

    def unlock(self, lock: int) -> None:
        """Let another process write."""
        os.close(lock)

    def clear(self, *, but: str) -> None:
        """Remove the indexes of other logs and of other versions."""
        for path in self._directory.iterdir():
            if path.is_dir() and path != self.path_of(but):
                shutil.rmtree(path, ignore_errors=True)


class Snapshot(NamedTuple):
    """The index as of one commit."""

    searcher: Searcher
    state: State
    committed_at: float


class ReadableIndex:
    """Reads an index, as of its last commit. The call is blocking."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index: Index | None = None
        self._seen: tuple[int, int] | None = None
        self._snapshot: Snapshot | None = None
        self._turns = Lock()

    def snapshot(self) -> Snapshot | None:
        """Return the last commit; None while there is none. Raises IndexDamaged."""
        with self._turns:
            try:
                found = (self._path / _META).stat()
            except OSError:
                self._index = self._snapshot = self._seen = None
                return None
            seen = (found.st_mtime_ns, found.st_ino)
            if seen != self._seen:
                self._snapshot = self._look(found.st_mtime)
                self._seen = seen
            return self._snapshot

    def _look(self, committed_at: float) -> Snapshot | None:
        with _noticing_damage():
            if self._index is None:
                self._index = open_index(str(self._path))
            else:
                self._index.reload()
            searcher = self._index.searcher()
        state = state_of(searcher)
        return None if state is None else Snapshot(searcher, state, committed_at)


class WritableIndex:
    """Writes an index. All calls are blocking; nobody sees what was added before the commit."""

    def __init__(self, path: Path) -> None:
        """Open the index, or make it. Raises IndexDamaged, OSError."""
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self._path = path
        self._index = _opened(path)
        self._state = state_of(self._index.searcher())
        with _noticing_damage():
            self._writer: IndexWriter = self._index.writer(WRITER_BYTES, 1)
        self.added = 0  # since the last commit

    @property
    def state(self) -> State | None:
        """What the index has, as of the last commit; None for nothing."""
        return self._state

    def add(self, texts: Iterable[Text]) -> None:
        """Add messages that the index does not have yet. Raises OSError."""
        try:
            for text in texts:
                self._writer.add_json(document_of(text))
                self.added += 1
        except ValueError as error:  # the library's own thread has failed
            raise OSError(str(error)) from error

    def remove(self, ids: Iterable[int]) -> None:
        """Remove these messages, as far as the index has them."""
        # By a query: the library's own call finds no number that has no sign.
        if removed := [*ids]:
            theirs = Query.term_set_query(_SCHEMA, "id", removed)
            self._writer.delete_documents_by_query(theirs)
            self.added += len(removed)

    def remove_range(self, first: int, last: int) -> None:
        """Remove all messages from one position to another, both included."""
        theirs = Query.range_query(_SCHEMA, "id", FieldType.Unsigned, first, last)
        self._writer.delete_documents_by_query(theirs)
        self.added += 1

    def commit(self, state: State) -> None:
        """Store what was added and removed, and what the index has from now on. Raises OSError."""
        try:
            self._writer.delete_documents_by_query(_STATE)
            self._writer.add_json(state_document(state))
            self._writer.commit()
        except ValueError as error:  # the files of the last commit are still there
            raise OSError(str(error)) from error
        self._state, self.added = state, 0
        self._close_to_others()

    def close(self) -> None:
        """Forget what was not committed, and let the files go."""
        del self._writer, self._index

    def _close_to_others(self) -> None:
        # The library makes its files as the umask says.
        with os.scandir(self._path) as files:
            for file in files:
                try:
                    if file.stat().st_mode & OTHERS:
                        os.chmod(file.path, FILE_MODE)
                except FileNotFoundError:  # merged with others meanwhile
                    continue


def state_of(searcher: Searcher) -> State | None:
    """Return what the index has; None for nothing. Raises IndexDamaged."""
    with _noticing_damage():
        if searcher.num_docs == 0:
            return None
        hits = searcher.search(_STATE, 1, count=False).hits
        if not hits:
            raise IndexDamaged("it does not say what it has")
        return read_state(searcher.doc(hits[0][1])["state"][0])


def _opened(path: Path) -> Index:
    with _noticing_damage():
        return open_index(str(path))
