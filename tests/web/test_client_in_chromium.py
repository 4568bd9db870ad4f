"""web/client in a browser: what only browsers have, such as tabs that share a storage."""

from tests.support.chromium import run_page
from tests.support.server import RunningServer


async def test_two_tabs_send_each_message_once(sqlite_chat: RunningServer) -> None:
    await run_page("tabs.mjs", sqlite_chat.url)
