"""How often a client is pinged, and how long it has, is one setting for every face."""

from pathlib import Path

import httpx
import msgspec

from tests.support.server import running_server


async def test_socketio_is_told_what_the_settings_say(tmp_path: Path) -> None:
    given = {"ping_interval_seconds": 6.5, "ping_timeout_seconds": 9}
    with running_server(tmp_path, **given) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            opened = await http.get("/socket.io/?EIO=4&transport=polling")
            limits = (await http.get("/api/limits")).json()
    told = msgspec.json.decode(opened.text[1:])
    assert (told["pingInterval"], told["pingTimeout"]) == (7000, 9000)
    assert (limits["pingIntervalSeconds"], limits["pingTimeoutSeconds"]) == (6.5, 9)
