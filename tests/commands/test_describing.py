"""The descriptions that machines read: valid, printed from the code, and complete."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest
import yaml
from starlette.routing import Mount

from commands.describing.rest import ROUTES, openapi
from commands.describing.socketio import RECEIVED, SENT, asyncapi
from commands.describing.yaml import as_yaml
from commands.schema import FACES, VERSION
from compat.chat import ChatServer
from compat.rest.routes import ENDPOINTS, client_library
from tests.support.node import SCRIPTS, node_packages
from tests.support.server import RunningServer

ROOT = Path(__file__).parent.parent.parent
FILES = {
    "graphql": "schema/schema.graphql",
    "openapi": "docs/openapi.json",
    "asyncapi": "docs/asyncapi.yaml",
}


@pytest.mark.parametrize("face", FACES)
def test_the_committed_file_is_what_is_printed(face: str) -> None:
    assert (ROOT / FILES[face]).read_text() == FACES[face](), "run: make schema"


def test_rest_is_valid_openapi() -> None:
    document = json.loads((ROOT / FILES["openapi"]).read_text())
    openapi_spec_validator.validate(document)
    assert document["openapi"] == "3.1.0"


def test_every_route_is_described_and_no_other() -> None:
    served = {path for _, path, endpoint in ENDPOINTS if endpoint is not client_library}
    assert served == ROUTES.keys()
    described = openapi(VERSION)["paths"]
    assert {(method.upper(), path) for path in described for method in described[path]} == {
        (method, path) for method, path, endpoint in ENDPOINTS if endpoint is not client_library
    }


def test_socketio_is_valid_asyncapi() -> None:
    node_packages()
    schemas = SCRIPTS / "node_modules" / "@asyncapi" / "specs" / "schemas"
    schema = json.loads((schemas / "3.0.0.json").read_text())
    document = yaml.safe_load((ROOT / FILES["asyncapi"]).read_text())
    jsonschema.Draft7Validator(schema).validate(document)
    wrong = {**document, "operations": {"x": {"action": "shout"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(wrong)
    for reference in re.findall(r'"#/[^"]+"', json.dumps(document)):
        place: Any = document
        for step in json.loads(reference)[2:].split("/"):
            place = place[step]


def test_every_event_is_described_and_no_other(sqlite_chat: RunningServer) -> None:
    mounts = [route.app for route in sqlite_chat.app.routes if isinstance(route, Mount)]
    [server] = [app for app in mounts if isinstance(app, ChatServer)]
    assert {event.name for event in RECEIVED} == {*server._handlers}
    sent = r'(?:encode_event|\.tell)\(\s*"([a-z]+:[a-z]+)"'
    code = "".join(path.read_text() for path in (ROOT / "compat").rglob("*.py"))
    assert {event.name for event in SENT} == {*re.findall(sent, code)}
    operations = asyncapi(VERSION)["operations"]
    assert len(operations) == len(RECEIVED) + len(SENT)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [{"b": 1, "c": [1, [2, {"d": None}]]}, [], {}], "on": "yes", "x: y": "# no comment"},
        {"text": 'a "quoted"\nline, ünï', "number": 1.5, "flag": True, "empty": ""},
    ],
)
def test_yaml_is_read_as_what_it_was(value: Any) -> None:
    assert yaml.safe_load(as_yaml(value)) == value
