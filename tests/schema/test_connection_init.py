"""The ways in which clients say, or do not say yet, who they are as they begin."""

from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.schema.client import SUBPROTOCOL, Socket, bare_socket
from tests.support.faces import new_account
from tests.support.server import RunningServer

ME = "{ me { id } }"


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": ""},
        {"Authorization": ""},
        {"authorization": "   "},
        {"authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer null"},
        {"authorization": "Bearer undefined"},
        {"token": ""},
        {"authToken": "", "accessToken": None},
        {"headers": {"Authorization": ""}},
        {"headers": None},
        {"headers": "none"},
        {"headers": {}},
    ],
    ids=str,
)
async def test_an_empty_token_begins_as_nobody(sqlite_chat: RunningServer, payload: Any) -> None:
    async with bare_socket(sqlite_chat) as socket:
        await socket.init(payload)
        [error] = (await socket.execute(ME))["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", ["Authorization", "authorization", "authToken"])
@pytest.mark.parametrize("scheme", ["", "Bearer "])
async def test_a_token_may_stand_among_headers(
    sqlite_chat: RunningServer, name: str, scheme: str
) -> None:
    alice = await new_account(sqlite_chat)
    async with bare_socket(sqlite_chat) as socket:
        await socket.init({"headers": {name: scheme + alice.token}})
        assert (await socket.execute(ME))["data"] == {"me": {"id": str(alice.id)}}


@pytest.mark.parametrize("payload", [None, {}, {"authorization": ""}], ids=str)
async def test_the_handshakes_own_authorization_counts(
    sqlite_chat: RunningServer, payload: Any
) -> None:
    alice = await new_account(sqlite_chat)
    for sent, known in ((f"Bearer {alice.token}", True), ("Basic eDp5", False)):
        async with connect(
            sqlite_chat.ws_url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": sent},
        ) as connection:
            socket = Socket(connection)
            await socket.init(payload)
            answer = await socket.execute(ME)
            assert answer["data"] == ({"me": {"id": str(alice.id)}} if known else None)


async def test_connection_init_goes_before_the_handshake(sqlite_chat: RunningServer) -> None:
    alice, bob = [await new_account(sqlite_chat) for _ in range(2)]
    async with connect(
        sqlite_chat.ws_url,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {alice.token}"},
    ) as connection:
        socket = Socket(connection)
        await socket.init({"authorization": bob.token})
        assert (await socket.execute(ME))["data"] == {"me": {"id": str(bob.id)}}
