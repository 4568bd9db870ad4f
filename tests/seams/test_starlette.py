"""Starlette: its CORS, its paths, and its responses, where ours are other ones."""

from typing import Any

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Router

from compat.errors import JSONAnswer
from server.middleware.cors import CORS
from server.middleware.sockets import Application
from tests.seams.reading import inherited_by, missing, unlike


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("x")(scope, receive, send)


async def _sent(app: Any, method: str = "GET", **headers: str) -> dict[str, str]:
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "query_string": b"",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    await app(scope, None, send)
    return {name.decode(): value.decode() for name, value in told[0]["headers"]}


def test_cors_has_what_ours_takes_from_it() -> None:
    cors = CORSMiddleware(_app, allow_origins=["https://a.example"])
    assert missing(inherited_by(CORS), cors) == []
    assert unlike(CORS, CORSMiddleware, ["preflight_response", "__call__"]) == []


async def test_cors_tells_an_allowed_page_and_no_other() -> None:
    cors = CORS(_app, allow_origins=["https://a.example"], allow_credentials=True)
    allowed = await _sent(cors, origin="https://a.example")
    assert allowed["access-control-allow-origin"] == "https://a.example"
    for headers in ({}, {"origin": "https://b.example"}):
        answer = await _sent(cors, **headers)
        assert "access-control-allow-origin" not in answer
        assert answer["vary"] == "Origin"
    asked = await _sent(
        cors, "OPTIONS", origin="https://b.example", access_control_request_method="POST"
    )
    assert "access-control-allow-credentials" not in asked


def test_an_application_has_the_routes_and_the_switch_that_ours_sets() -> None:
    app = Starlette(routes=[Mount("/m", app=Router([]))])
    assert app.router.redirect_slashes is True
    assert missing(inherited_by(Application), app) == []
    [mount] = [route for route in app.routes if isinstance(route, Mount)]
    assert mount.path == "/m"


def test_a_json_answer_is_made_by_render() -> None:
    assert unlike(JSONAnswer, JSONResponse, ["render"]) == []
    assert JSONAnswer({"a": "é"}).body == '{"a":"é"}'.encode()
