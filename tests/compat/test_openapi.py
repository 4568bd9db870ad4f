"""The server answers REST as its OpenAPI document says, to whatever schemathesis makes up."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from compat.bodies import RECEIVER_FIELDS
from tests.support.server import RunningServer, running_server

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "openapi.json"
EXAMPLES = 20
PASSWORD = "123456"
# Each ends the session of the token that it is called with.
ENDING = ("/api/auth/logout", "/api/auth/logout-everywhere", "/api/auth/change-password")
load_all_checks()
CHOSEN = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)
rest = schemathesis.openapi.from_dict(
    json.loads(DOCUMENT.read_text()), config=SchemathesisConfig.from_dict({})
)


class Target:
    """A server with somebody who calls it."""

    def __init__(self, server: RunningServer) -> None:
        self.url = server.url
        self._register("caller@example.com")
        self._register("leaver@example.com")
        self.token = self.log_in("caller@example.com")
        self.file = self._upload()

    def _register(self, email: str) -> None:
        body = {"email": email, "password": PASSWORD, "displayName": "Somebody"}
        httpx.post(f"{self.url}/api/auth/register", json=body).raise_for_status()

    def _upload(self) -> int:
        headers = {"Authorization": f"Bearer {self.token}"}
        files = {"file": ("notes.txt", b"as a client has written it")}
        answer = httpx.post(f"{self.url}/api/uploads", files=files, headers=headers)
        return int(answer.json()["id"])

    def log_in(self, email: str) -> str:
        """Return a token of a new session."""
        body = {"email": email, "password": PASSWORD}
        return str(httpx.post(f"{self.url}/api/auth/login", json=body).json()["token"])


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server of these tests' own."""
    with running_server(tmp_path_factory.mktemp("openapi")) as server:
        yield Target(server)


def point_at_real_things(case: Any, target: Target) -> None:
    """Have every other case name what is there, or nobody: made-up ids are all unknown."""
    if len(repr(case.body) + repr(case.headers)) % 2:
        return
    if case.path.startswith("/files/"):
        case.path_parameters["id"] = str(target.file)
    elif case.path.endswith("/send") and isinstance(case.body, dict):
        for name in (*RECEIVER_FIELDS, "attachmentId"):
            case.body.pop(name, None)


@rest.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[*HealthCheck],
)
def test_every_answer_is_one_that_the_document_says(case: Any, target: Target) -> None:
    token = target.log_in("leaver@example.com") if case.path in ENDING else target.token
    point_at_real_things(case, target)
    case.call_and_validate(
        base_url=target.url,
        headers={"Authorization": f"Bearer {token}"},
        checks=[CHECKS.get_one(name) for name in CHOSEN],
    )
