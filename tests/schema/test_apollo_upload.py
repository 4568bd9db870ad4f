"""Uploads by other people's client under Node: apollo-upload-client with @apollo/client."""

import hashlib

import pytest

from tests.support.faces import new_account
from tests.support.node import run_node
from tests.support.server import RunningServer

TEXT = b"hello from Apollo"


@pytest.mark.parametrize("header", ["GraphQL-Preflight", "Apollo-Require-Preflight"])
async def test_apollo_uploads_and_sends(sqlite_chat: RunningServer, header: str) -> None:
    alice = await new_account(sqlite_chat)
    options = {"token": alice.token, "preflight": {header: "true"}}
    run = await run_node("apollo_upload.mjs", f"{sqlite_chat.url}/graphql", options)
    assert run.code == 0, run.stderr
    said = {line.pop("name"): line for line in run.lines}
    one = said["one"]["data"]["uploadAttachment"]
    assert one["filename"] == "grüße 🎉.txt"
    assert (one["kind"], one["size"]) == ("FILE", len(TEXT))
    assert one["sha256"] == hashlib.sha256(TEXT).hexdigest()
    two = said["two"]["data"]
    assert (two["a"]["sha256"], two["b"]["filename"]) == (one["sha256"], "b.txt")
    same = said["same"]["data"]
    assert same["a"]["sha256"] == same["b"]["sha256"] == one["sha256"]
    assert said["blob"]["data"]["uploadAttachment"]["size"] == len(b"a blob")
    [error] = said["no file"]["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert said["plain"]["data"]["me"]["id"] == str(alice.id)
    sent = said["send"]["data"]["sendMessage"]
    assert (sent["content"], sent["attachment"]["id"]) == ("by Apollo", one["id"])


async def test_apollo_without_the_header_is_told_of_it(sqlite_chat: RunningServer) -> None:
    alice = await new_account(sqlite_chat)
    options = {"token": alice.token, "preflight": {}}
    run = await run_node("apollo_upload.mjs", f"{sqlite_chat.url}/graphql", options)
    [line] = [line for line in run.lines if line["name"] == "one"]
    assert "GraphQL-Preflight" in line["errors"][0]["message"]
