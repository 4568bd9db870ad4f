"""Files and directories that no other user of the machine may read, whatever the umask says."""

import logging
import os
import stat
import tempfile
from pathlib import Path

logger = logging.getLogger("parley.private")

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
OTHERS = 0o077
# What SQLite keeps beside a database.
BESIDE = ("-wal", "-shm", "-journal")


class DirectoryUnusable(OSError):
    """The directory cannot be made, or nothing can be written in it; the text says why."""


def open_directory(path: Path, *, name: str) -> None:
    """Make the directory when it is missing, and close it to others. Raises DirectoryUnusable.

    `name` is the setting that names it.
    """
    try:
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        close_to_others(path)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, FileExistsError):  # not of the directory: that may exist
            why = "a link that leads nowhere" if path.is_symlink() else "it is no directory"
        raise DirectoryUnusable(f"{name}={path} cannot be used: {why}") from error


def open_database_file(path: Path) -> None:
    """Make the file of a SQLite database when it is missing, and close it to others.

    SQLite gives the files that it keeps beside it the same mode. Raises DirectoryUnusable.
    """
    try:
        path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
    except OSError as error:
        why = error.strerror or str(error)
        raise DirectoryUnusable(f"{path} cannot be used: {why}") from error
    for kept in (path, *(path.with_name(path.name + end) for end in BESIDE)):
        if kept.exists():
            close_to_others(kept)


def close_to_others(path: Path, *, quietly: bool = False) -> bool:
    """Remove all rights of other users; return whether they had any.

    A file of another user, and a directory that many share (/tmp), stay as they are.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & OTHERS:
        return False
    is_directory = path.is_dir()
    if is_directory and mode & stat.S_ISVTX:
        logger.warning("%s is shared by all users of this machine: choose another place", path)
        return False
    try:
        path.chmod(DIRECTORY_MODE if is_directory else FILE_MODE)
    except PermissionError:
        logger.warning("%s is open to other users (mode %o), and is not ours to close", path, mode)
        return False
    if not quietly:
        logger.warning("%s was open to other users (mode %o); it is closed now", path, mode)
    return True
