"""`GET /avatars/{key}/{side}`: pictures for `<img>`, which browsers keep for good."""

import io
import re
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.compat.test_uploads import upload
from tests.support.faces import Account, new_account
from tests.support.files import image_file
from tests.support.server import RunningServer, running_server

UPDATE = (
    "mutation($id: ID, $status: String, $name: String)"
    " { updateProfile(avatarId: $id, statusText: $status, displayName: $name)"
    " { id displayName statusText small: avatarUrl large: avatarUrl(size: LARGE) } }"
)
WITHOUT = UPDATE.replace("avatarId: $id, ", "").replace("$id: ID, ", "")
USER = "query($id: ID!) { user(id: $id) { id displayName statusText avatarUrl } }"


async def ask(server: RunningServer, account: Account, query: str, **variables: Any) -> Any:
    """Return the data of a query or a mutation, or its first error's code."""
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        body = {"query": query, "variables": variables}
        answer = (await http.post("/graphql", json=body)).json()
    if "errors" in answer:
        return answer["errors"][0]["extensions"]["code"]
    [value] = answer["data"].values()
    return value


async def with_picture(server: RunningServer, account: Account, **image: int) -> Any:
    """Give somebody a picture; return the profile."""
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        uploaded = await upload(http, image_file("JPEG", **image), "me.jpg")
    return await ask(server, account, UPDATE, id=str(uploaded["id"]))


async def test_a_picture_opens_to_anybody_with_its_address_and_is_kept_for_good(
    chat: RunningServer,
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    profile = await with_picture(chat, alice)
    assert (await ask(chat, bob, USER, id=str(alice.id)))["avatarUrl"] == profile["small"]
    async with httpx.AsyncClient(base_url=chat.url) as http:
        for path, side in ((profile["small"], 64), (profile["large"], 256)):
            assert re.fullmatch(rf"/avatars/[0-9a-f]{{32}}/{side}", path)
            answer = await http.get(path, headers={"Origin": "https://elsewhere.example"})
            assert answer.status_code == 200
            image = Image.open(io.BytesIO(answer.content))
            assert (image.format, image.size) == ("WEBP", (side, side))
            assert answer.headers["content-type"] == "image/webp"
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in answer.headers["content-security-policy"]
            assert "vary" not in answer.headers or "auth" not in answer.headers["vary"].lower()
            known = {"If-None-Match": answer.headers["etag"]}
            assert (await http.get(path, headers=known)).status_code == 304
            head = await http.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == str(len(answer.content))


async def test_another_picture_has_another_address_and_the_old_one_is_gone(
    sqlite_chat: RunningServer,
) -> None:
    alice = await new_account(sqlite_chat)
    first = await with_picture(sqlite_chat, alice)
    second = await with_picture(sqlite_chat, alice, width=300, height=200)
    assert first["small"] != second["small"]
    kept = await ask(sqlite_chat, alice, WITHOUT, status="x")
    assert (kept["small"], kept["statusText"]) == (second["small"], "x")
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as http:
        assert (await http.get(first["large"])).status_code == 404
        assert (await http.get(second["large"])).status_code == 200
        gone = await ask(sqlite_chat, alice, UPDATE, id=None, status=None)
        assert (gone["small"], gone["large"], gone["statusText"]) == (None, None, None)
        assert (await http.get(second["large"])).status_code == 404


async def test_null_and_nothing_clear_and_what_is_left_out_stays(
    sqlite_chat: RunningServer,
) -> None:
    alice = await new_account(sqlite_chat, "Alice")
    await with_picture(sqlite_chat, alice)
    for query, left in (
        ('mutation { updateProfile(statusText: "x") { statusText avatarUrl } }', (True, True)),
        ('mutation { updateProfile(displayName: "B") { statusText avatarUrl } }', (True, True)),
        ('mutation { updateProfile(statusText: "") { statusText avatarUrl } }', (False, True)),
        ('mutation { updateProfile(statusText: "x") { statusText avatarUrl } }', (True, True)),
        ("mutation { updateProfile(statusText: null) { statusText avatarUrl } }", (False, True)),
        ("mutation { updateProfile { statusText avatarUrl } }", (False, True)),
        ('mutation { updateProfile(avatarId: "") { statusText avatarUrl } }', (False, False)),
    ):
        profile = await ask(sqlite_chat, alice, query)
        assert (profile["statusText"] is not None, profile["avatarUrl"] is not None) == left, query
    assert (await ask(sqlite_chat, alice, USER, id=str(alice.id)))["displayName"] == "B"


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"id": "nonsense"}, "NOT_FOUND"),
        ({"id": "1099511627776"}, "NOT_FOUND"),
        ({"status": "x" * 141}, "BAD_USER_INPUT"),
        ({"name": ""}, "BAD_USER_INPUT"),
        ({"name": "Deleted user"}, "BAD_USER_INPUT"),
    ],
    ids=str,
)
async def test_odd_profiles_are_refused(
    sqlite_chat: RunningServer, variables: dict[str, str], code: str
) -> None:
    alice = await new_account(sqlite_chat)
    query = UPDATE if "id" in variables else WITHOUT
    assert await ask(sqlite_chat, alice, query, **variables) == code


@pytest.mark.parametrize(
    "path",
    [
        f"/avatars/{'0' * 32}/64",
        "/avatars/x/64",
        "/avatars/%00/64",
        "/avatars/..%2f..%2fetc/64",
        f"/avatars/{'0' * 32}/65",
        f"/avatars/{'0' * 32}/%C2%B2",
        f"/avatars/{'é' * 32}/64",
        f"/avatars/{'0' * 9000}/64",
    ],
)
async def test_an_address_of_nobody_is_not_found(sqlite_chat: RunningServer, path: str) -> None:
    async with httpx.AsyncClient(base_url=sqlite_chat.url) as http:
        answer = await http.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"
    assert "immutable" not in answer.headers.get("cache-control", "")


async def test_the_address_stands_behind_the_public_url(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("public")
    with running_server(directory, public_url="https://chat.example.com/app/") as server:
        profile = await with_picture(server, await new_account(server))
        assert profile["small"].startswith("https://chat.example.com/app/avatars/")
