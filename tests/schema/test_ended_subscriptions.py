"""Subscribers who leave in the middle of an event, again and again: who stays loses nothing."""

import asyncio
import random
from contextlib import AsyncExitStack

from tests.schema.client import Socket, open_socket
from tests.support.faces import new_account
from tests.support.server import RunningServer

EVENTS = """subscription($after: String) { events(after: $after) { cursor
  ... on MessageSent { message { content sender { displayName } replyTo { content }
    reactions { emoji users { displayName } } } } } }"""
SEND = "mutation($to: ID!, $c: String!) { sendMessage(receiverId: $to, content: $c) { id } }"
SENDS = 60
LEAVERS = 3
MOST_PAUSE = 0.004  # seconds between a subscription and its end


async def leave_again_and_again(socket: Socket, cursor: str, seed: int) -> None:
    pauses, number = random.Random(seed), 0  # no secret
    while True:
        number += 1
        await socket.subscribe(f"{number}", EVENTS, {"after": cursor})
        await asyncio.sleep(pauses.random() * MOST_PAUSE)
        await socket.send({"type": "complete", "id": f"{number}"})
        if number % 20 == 0:
            await socket.settle()
            socket.inbox.clear()


async def test_who_leaves_in_the_middle_of_an_event_stops_nobody(
    sqlite_chat: RunningServer,
) -> None:
    alice, bob = [await new_account(sqlite_chat, name) for name in ("Alice", "Bob")]
    async with AsyncExitStack() as stack:
        staying, sender, *others = [
            await stack.enter_async_context(open_socket(sqlite_chat, account))
            for account in (alice, bob, *[alice] * LEAVERS)
        ]
        begun = await staying.execute("{ conversations(first: 1) { cursor } }")
        cursor = begun["data"]["conversations"]["cursor"]
        await staying.subscribe("staying", EVENTS, {"after": cursor})
        leaving = [
            asyncio.create_task(leave_again_and_again(socket, cursor, seed))
            for seed, socket in enumerate(others)
        ]
        try:
            said = [f"message {number}" for number in range(SENDS)]
            for content in said:
                await sender.execute(SEND, {"to": alice.id, "c": content})
                # One after the other: each is heard before the next is sent.
                heard = await staying.expect(type="next", id="staying")
                message = heard["payload"]["data"]["events"]["message"]
                assert message["content"] == content
                assert message["sender"] == {"displayName": "Bob"}
        finally:
            for task in leaving:
                task.cancel()
            ended = await asyncio.gather(*leaving, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
