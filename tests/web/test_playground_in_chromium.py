"""The playground as a browser runs it."""

from tests.support.chromium import run_page
from tests.support.server import RunningServer


async def test_one_login_is_enough_for_all_tabs(sqlite_chat: RunningServer) -> None:
    await run_page("playground.mjs", sqlite_chat.url)
