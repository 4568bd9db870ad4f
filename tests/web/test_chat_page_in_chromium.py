"""The chat page in real Chromium, with two people in two browser contexts."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schema.test_node_clients import Parley
from tests.support.chromium import SECONDS, page_process, run_page
from tests.support.files import image_file
from tests.support.server import RunningServer, running_server

# What the whole page may be over the wire, and until when somebody who comes back sees the newest
# message: a fifth of it, on a machine at rest.
LARGEST_PAGE = 150_000
SEEN_WITHIN_MS = 5000


@pytest.fixture
def house(tmp_path: Path) -> Iterator[RunningServer]:
    """A server without other tests' people: the page finds people by their names."""
    with running_server(tmp_path, search="on") as server:
        yield server


async def test_two_people_talk(house: RunningServer) -> None:
    await run_page("talk.mjs", house.url)


async def test_they_send_pictures_files_and_voice_notes(house: RunningServer) -> None:
    picture = base64.b64encode(image_file("PNG", 320, 240)).decode()
    await run_page("files.mjs", house.url, picture=picture)


async def test_groups_blocks_and_own_settings(house: RunningServer) -> None:
    await run_page("groups.mjs", house.url)


async def test_who_logs_out_leaves_nothing_to_the_next_user(house: RunningServer) -> None:
    await run_page("door.mjs", house.url)


async def test_a_long_history_scrolls_and_is_searched(house: RunningServer) -> None:
    await run_page("history.mjs", house.url)


async def test_a_cut_network_and_a_restart_lose_and_repeat_nothing(tmp_path: Path) -> None:
    server = Parley(tmp_path)
    await asyncio.to_thread(server.start)
    try:
        async with page_process("cuts.mjs", server.url) as process:
            await process.expect_type("restart", timeout=SECONDS)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await process.send("go")
            await process.expect_type("done", timeout=SECONDS)
    finally:
        await asyncio.to_thread(server.stop)


async def test_it_is_accessible_fits_a_phone_and_is_quick(house: RunningServer) -> None:
    run = await run_page("looks.mjs", house.url)
    [speed] = [line for line in run.lines if line["type"] == "speed"]
    assert speed["bytes"] < LARGEST_PAGE
    assert speed["seen"] < SEEN_WITHIN_MS
