"""What our CORS answers is what Starlette's answers."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.middleware.cors import CORS


def app(kind: Any, origins: list[str]) -> Starlette:
    async def answer(request: Request) -> Response:
        response = Response(b"hello")
        for vary in request.query_params.getlist("vary"):
            response.headers.append("Vary", vary)
        return response

    options = {
        "allow_origins": origins,
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["*"],
    }
    return Starlette(
        routes=[Route("/", answer)], middleware=[Middleware(kind, **options, max_age=600)]
    )


@pytest.mark.parametrize("origins", [["*"], ["https://ours.example"]], ids=str)
@pytest.mark.parametrize("origin", [None, "https://ours.example", "https://other.example"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("query", ["", "?vary=Accept", "?vary=Accept&vary=Authorization"])
async def test_every_answer_is_starlettes(
    origins: list[str], origin: str | None, method: str, query: str
) -> None:
    asked = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
    sent = {**asked, **({} if origin is None else {"Origin": origin})}
    answers = []
    for kind in (CORSMiddleware, CORS):
        transport = httpx.ASGITransport(app(kind, origins))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.request(method, f"/{query}", headers=sent)
            assert "Origin" in answer.headers["vary"] or origin is not None
            answers.append((answer.status_code, answer.content, sorted(answer.headers.items())))
    assert answers[0] == answers[1]
