"""What a large upload costs a server in memory: it is streamed in, and streamed out."""

import hashlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.test_storage import Served, served

MIB = 1024 * 1024
SIZE = 200 * MIB
# Beside the pieces in flight: the allocator's and the threads' own, which do not grow with it.
MAY_GROW = 64 * MIB
BOUNDARY = "just-a-boundary"


def peak_memory(server: Served) -> int:
    """Return the most that the process has held (VmHWM)."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


async def large_form(digest: "hashlib._Hash") -> AsyncIterator[bytes]:
    """Yield a form with a large file, of which no part is twice the same."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n'
    yield head.encode()
    block = os.urandom(MIB - 8)
    for number in range(SIZE // MIB):
        piece = number.to_bytes(8, "big") + block
        digest.update(piece)
        yield piece
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
async def test_an_upload_of_200_mib_and_its_download_cost_little_memory(tmp_path: Path) -> None:
    async with (
        served(tmp_path, MAX_FILE_BYTES=str(256 * MIB)) as server,
        server.client() as http,
    ):
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        small = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx'
        warm = await http.post(
            "/api/uploads", content=f"{small}\r\n--{BOUNDARY}--\r\n", headers=headers
        )
        assert (await http.get(warm.json()["url"])).content == b"x"
        before = peak_memory(server)
        sent, got = hashlib.sha256(), hashlib.sha256()
        answer = await http.post("/api/uploads", content=large_form(sent), headers=headers)
        assert answer.status_code == 201, answer.text
        uploaded = answer.json()
        assert (uploaded["size"], uploaded["sha256"]) == (SIZE, sent.hexdigest())
        received = peak_memory(server)
        async with http.stream("GET", uploaded["url"]) as opened:
            async for chunk in opened.aiter_bytes():
                got.update(chunk)
        assert got.hexdigest() == sent.hexdigest()
        served_too = peak_memory(server)
        print(f"{before / MIB:.0f}, {received / MIB:.0f}, {served_too / MIB:.0f} MiB")  # noqa: T201  # for whoever tunes it
        assert received - before < MAY_GROW
        assert served_too - before < MAY_GROW
