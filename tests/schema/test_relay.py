"""Relay as it comes, told where the ids that no two things share are: compiler and runtime."""

from tests.support.faces import new_account
from tests.support.node import run_node
from tests.support.server import RunningServer


async def test_relay_keeps_a_message_and_its_sender_apart(sqlite_chat: RunningServer) -> None:
    alice, bob = await new_account(sqlite_chat, "Alice"), await new_account(sqlite_chat, "Bob")
    options = {"token": alice.token, "to": str(bob.id)}
    run = await run_node("relay.mjs", f"{sqlite_chat.url}/graphql", options)
    assert run.code == 0, run.stderr
    said = {line["name"]: line["data"] for line in run.lines}
    sent, [message] = said["sent"], said["messages"]
    assert (message["content"], message["sender"]["displayName"]) == ("by Relay", "Alice")
    assert message["createdAt"] == sent["createdAt"]
    # With ids that a user and a message share, each had the other's time.
    assert message["sender"]["createdAt"] == sent["sender"]["createdAt"] < sent["createdAt"]
    types = [record.get("__typename") for record in said["records"]]
    assert (types.count("User"), types.count("Message")) == (1, 1)
    found = {line["type"]: line["data"] for line in run.lines if line["name"] == "node"}
    assert found["User"]["displayName"] == "Alice"
    assert found["Message"]["content"] == "by Relay"
