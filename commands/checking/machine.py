"""Whether the machine has room: open files, the disk, and whose the files are."""

import os
import pwd
import resource
import shutil
import sys
from pathlib import Path

from commands.checking.findings import Finding, note, ok, wrong
from settings import VERSION, Settings

# A server's own files, a database's pool and a few hundred clients.
FEW_DESCRIPTORS = 1024
USUAL_DESCRIPTORS = 65_536
LITTLE_ROOM_BYTES = 1024**3
NO_ROOM_BYTES = 64 * 1024**2


def check_machine(settings: Settings) -> list[Finding]:
    """Return what there is too little of."""
    found = [*_check_descriptors(), *_check_data_dir(settings)]
    python = ".".join(map(str, sys.version_info[:3]))
    return [ok(f"Parley {VERSION} on Python {python}"), *found]


def _check_descriptors() -> list[Finding]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= USUAL_DESCRIPTORS:
        return []
    said = f"a process may have {hard:,} files open, so about {hard * 7 // 8:,} connections"
    remedy = f"LimitNOFILE={USUAL_DESCRIPTORS} in the systemd unit, or ulimit -Hn"
    return [(wrong if hard < FEW_DESCRIPTORS else note)(said, remedy)]


def _check_data_dir(settings: Settings) -> list[Finding]:
    place = settings.data_dir
    there = next((path for path in (place, *place.absolute().parents) if path.exists()), Path("/"))
    if not os.access(there, os.W_OK | os.X_OK):
        who = pwd.getpwuid(os.geteuid()).pw_name if _is_known(os.geteuid()) else str(os.geteuid())
        said = f"DATA_DIR={place}: {who} may not write in {there}"
        return [wrong(said, "run this as the server's user, or give it the directory (chown)")]
    if not there.is_dir():
        return [wrong(f"DATA_DIR={place} is no directory", "name a directory")]
    found = []
    owner = there.stat().st_uid
    if there == place and owner != os.geteuid():
        said = f"DATA_DIR={place} belongs to user {owner}, and this is user {os.geteuid()}"
        found.append(note(said, "run check as the server's user, to see what the server sees"))
    free = shutil.disk_usage(there).free
    if free < LITTLE_ROOM_BYTES:
        said = f"{free / 1024**2:,.0f} MB are free where DATA_DIR is"
        found.append((wrong if free < NO_ROOM_BYTES else note)(said, "make room on that disk"))
    return found


def _is_known(user_id: int) -> bool:
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True
