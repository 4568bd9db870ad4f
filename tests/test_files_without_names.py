"""A part without a filename is a field (RFC 7578 §4.2): its sender is told so, on both faces."""

import json

import httpx
import pytest

from tests.support.faces import Account, new_account
from tests.support.files import image_file
from tests.support.server import RunningServer

PNG = image_file("PNG", 40, 30)
UPLOAD = "mutation($f: Upload!) { uploadAttachment(file: $f) { id } }"


def form(**parts: bytes) -> bytes:
    lines = [
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in parts.items()
    ]
    return b"".join(lines) + b"--x--\r\n"


def client(server: RunningServer, account: Account) -> httpx.AsyncClient:
    headers = {
        "Authorization": f"Bearer {account.token}",
        "Content-Type": "multipart/form-data; boundary=x",
        "GraphQL-Preflight": "1",
    }
    return httpx.AsyncClient(base_url=server.url, headers=headers)


@pytest.mark.parametrize("content", [b"just text", PNG, b"x" * 2_000_000], ids=len)
async def test_rest_names_the_cause(sqlite_chat: RunningServer, content: bytes) -> None:
    async with client(sqlite_chat, await new_account(sqlite_chat)) as http:
        answer = await http.post("/api/uploads", content=form(photo=content))
    assert answer.status_code in (400, 413)
    assert "filename" in answer.json()["message"]


@pytest.mark.parametrize("content", [b"just text", PNG], ids=len)
async def test_graphql_names_the_cause(sqlite_chat: RunningServer, content: bytes) -> None:
    operations = json.dumps({"query": UPLOAD, "variables": {"f": None}}).encode()
    parts = {"operations": operations, "map": b'{"photo": ["variables.f"]}', "photo": content}
    async with client(sqlite_chat, await new_account(sqlite_chat)) as http:
        answer = await http.post("/graphql", content=form(**parts))
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "filename" in error["message"]
