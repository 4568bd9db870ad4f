"""Uploads that hold what others need: slots by dripping, workers by pictures that take long."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.doors import client
from tests.attacks.target import Target, attacked
from tests.faults.load import register
from tests.faults.waits import until
from tests.support.files import image_file, slow_gif

pytestmark = pytest.mark.timeout(SECONDS)

HOME, MALLORY_HOME = "127.0.0.2", "127.0.0.3"
AT_ONCE = 4  # MAX_UPLOADS_AT_ONCE
PER_ADDRESS = 25  # MAX_UPLOADS_PER_ADDRESS
# What somebody with a small picture waits while others' slow ones are looked at.
PATIENCE_SECONDS = 15.0


async def upload(http: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await http.post("/api/uploads", files={"f": ("a", content)}, timeout=90)


async def drip(target: Target, token: str, stack: AsyncExitStack) -> asyncio.StreamReader:
    """Begin an upload and leave it there."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", target.port, local_addr=(MALLORY_HOME, 0)
    )
    stack.callback(writer.close)
    writer.write(
        b"POST /api/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n"
        b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx'
    )
    await writer.drain()
    return reader


async def test_dripping_uploads_from_one_address_leave_slots_to_others(
    tmp_path: Path, report: Report
) -> None:
    async with attacked(tmp_path, report, limits="on") as target:
        people = await register(target.port, PER_ADDRESS)
        async with AsyncExitStack() as stack:
            answers = [
                asyncio.create_task((await drip(target, person.token, stack)).readline())
                for person in people
                for _ in range(AT_ONCE)
            ]
            refused = AT_ONCE * len(people) - PER_ADDRESS
            await until(lambda: sum(answer.done() for answer in answers) >= refused, 15)
            async with client(target, target.alice.token, source=HOME) as http:
                for number in range(3):
                    answer = await upload(http, b"%d" % number)
                    assert answer.status_code == 201, answer.text
            told = {answer.result().split()[1] for answer in answers if answer.done()}
            assert told <= {b"429", b"408", b"400"}, told
            for waiting in answers:
                waiting.cancel()


async def test_pictures_that_take_long_keep_nobody_elses_waiting(
    tmp_path: Path, report: Report
) -> None:
    slow, small = slow_gif(), image_file("PNG")
    async with attacked(tmp_path, report, limits="on", media_workers=1) as target:
        crowd = await register(target.port, 2)
        async with AsyncExitStack() as stack:
            attacks = []
            for person in [target.mallory, *crowd][: times(2, 3)]:
                http = await stack.enter_async_context(
                    client(target, person.token, source=MALLORY_HOME)
                )
                attacks += [asyncio.create_task(upload(http, slow)) for _ in range(AT_ONCE)]
            await asyncio.sleep(3)  # they are being looked at
            longest = 0.0
            async with client(target, target.alice.token, source=HOME) as http:
                for _ in range(times(3, 10)):
                    began = time.monotonic()
                    answer = await upload(http, small)
                    longest = max(longest, time.monotonic() - began)
                    assert answer.status_code == 201, answer.text
            report(f"a small picture waited {longest:.1f} s at most")
            assert longest < PATIENCE_SECONDS
            for attack in attacks:
                attack.cancel()
            await asyncio.gather(*attacks, return_exceptions=True)
