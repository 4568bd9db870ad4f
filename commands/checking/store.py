"""Whether the store of files keeps a file, gives it back, and removes it."""

import asyncio
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from commands.checking.findings import Finding, ok, wrong
from db.files import FileMissing, FileStore, StoreUnavailable, StoreUnsuitable
from settings import Settings

PROBE_BYTES = 1024


async def check_store(settings: Settings) -> list[Finding]:
    """Return how the store took a probe."""
    parts = urlsplit(settings.storage)
    place = parts.path if parts.scheme == "file" else f"{parts.scheme}://{parts.netloc}{parts.path}"
    if parts.scheme == "file":
        remedy = f"let the server's user write in {place}, or name another place in STORAGE_URL"
    else:
        remedy = "look at the bucket's name, region and rights, and the keys in STORAGE_URL"
    if parts.scheme == "file" and not await asyncio.to_thread(Path(unquote(parts.path)).exists):
        # The server makes it: made by another user now, it would be closed to the server.
        return [ok(f"{place}: not there yet; the first start makes it")]
    try:
        # A directory on a dead disk must not stop the other parts.
        store = await asyncio.to_thread(FileStore, settings.storage)
        await _try(store)
    except StoreUnsuitable as error:
        return [wrong(f"{place} cannot be a store: {error}", remedy)]
    except FileMissing:
        return [wrong(f"{place} does not give back what it was given", remedy)]
    except StoreUnavailable as error:
        return [wrong(f"{place}: {error}", remedy)]
    return [ok(f"{place}: a probe was written, read and deleted")]


async def _try(store: FileStore) -> None:
    """Write, read and delete a probe. Raises what the store does, FileMissing for other bytes."""
    content = secrets.token_bytes(PROBE_BYTES)
    name = f"parley-check-{secrets.token_hex(8)}"
    await store.put(name, content)
    try:
        given = b"".join([chunk async for chunk in store.read(name, 0, PROBE_BYTES)])
        if given != content:
            raise FileMissing(name)
    finally:
        await store.delete(name)
    if await store.has(name, PROBE_BYTES):
        raise StoreUnavailable("a deleted file is still there")
