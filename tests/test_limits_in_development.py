"""On a development server a limit names its setting, and one's own machine has more room."""

from collections.abc import Iterator

import httpx
import pytest

from resolvers.errors import ParleyError
from tests.support.faces import new_account
from tests.support.server import RunningServer, running_server


@pytest.fixture(params=["development", "test"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server with narrow limits, of each kind."""
    narrow = {"registrations_per_address": "3/hour", "sends_per_user": "2/minute"}
    kind = {"env": request.param, "limits": True, "max_message_bytes": 100}
    with running_server(tmp_path_factory.mktemp("limits"), **kind, **narrow) as running:
        yield running
    ParleyError.names_settings = False


async def test_an_error_names_its_setting_in_development_alone(server: RunningServer) -> None:
    alice = await new_account(server)
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:

        async def refusal(content: str) -> str:
            body = {"content": content, "toUserId": alice.id}
            answer = await http.post("/api/messages/send", json=body)
            return str(answer.json().get("message"))

        too_large = await refusal("x" * 101)
        await refusal("x")
        await refusal("x")
        too_many = await refusal("x")
    named = server.settings.env == "development"
    assert ("(MAX_MESSAGE_BYTES)" in too_large) is named
    assert ("(SENDS_PER_USER)" in too_many) is named
    assert "larger than 100 bytes" in too_large
    assert "try again in" in too_many


async def test_from_loopback_registrations_are_ten_times_as_wide(server: RunningServer) -> None:
    room = 30 if server.settings.env == "development" else 3
    codes = []
    async with httpx.AsyncClient(base_url=server.url) as http:
        for number in range(room + 1):
            body = {"email": f"{number}@example.com", "password": "123456", "displayName": "X"}
            codes.append((await http.post("/api/auth/register", json=body)).status_code)
    assert codes == [200] * room + [429]
