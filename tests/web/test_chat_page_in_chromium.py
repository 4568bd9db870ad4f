"""The chat page in real Chromium, with two people in two browser contexts."""

import base64

from tests.support.chromium import run_page
from tests.support.files import image_file
from tests.support.server import RunningServer


async def test_two_people_talk(sqlite_chat: RunningServer) -> None:
    await run_page("talk.mjs", sqlite_chat.url)


async def test_they_send_pictures_files_and_voice_notes(sqlite_chat: RunningServer) -> None:
    picture = base64.b64encode(image_file("PNG", 320, 240)).decode()
    await run_page("files.mjs", sqlite_chat.url, picture=picture)
