"""Malformed graphql-transport-ws: types, ids, payloads, order, tokens, subprotocols."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.attacks import documents, hostile
from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.storm import storm
from tests.attacks.target import attacked
from tests.attacks.wires import BINARY, CLOSE, GRAPHQL_WS, TEXT, Ended, Wire, client_frame
from tests.attacks.wires import websocket as open_websocket

pytestmark = pytest.mark.timeout(SECONDS)

TYPES = ("connection_init", "ping", "pong", "subscribe", "complete", "next", "error", "start", "ka")
# What docs/protocol.md lets a client's own doing end with.
CODES = {1007, 1009, 4400, 4401, 4403, 4409, 4429}
PROTOCOLS = (
    "",
    "Sec-WebSocket-Protocol: graphql-ws\r\n",
    "Sec-WebSocket-Protocol: \r\n",
    "Sec-WebSocket-Protocol: ,,graphql-transport-ws,\r\n",
    "Sec-WebSocket-Protocol: \xff\r\n",
    "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99\r\n",
    "Sec-WebSocket-Extensions: ;;=\r\n",
    "Cookie: \xff\r\n",
    "Origin: http://evil.example\r\n",
    "Origin: \xff\r\n",
)


class Talker:
    """Speaks the protocol badly; a `ping` after each input shows that the server goes on."""

    def __init__(self, port: int, token: str) -> None:
        self.said: list[object] = []
        self._port = port
        self._token = token
        self._wire: Wire | None = None
        self._sentinel = 0
        self._open: set[str] = set()

    async def attack(self, rng: Random) -> None:
        """Send one message and judge what follows."""
        if rng.random() < 0.04:
            await self._begin_badly(rng)
            return
        wire = self._wire = self._wire or await self._connect()
        data = bytearray()
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            opcode, payload = self._message(rng)
            self.said.append(payload)
            data += client_frame(payload, opcode)
        for id_ in rng.sample(sorted(self._open), min(len(self._open), 2)):
            data += client_frame(json.dumps({"id": id_, "type": "complete"}).encode())
            self._open.discard(id_)
        self._sentinel += 1
        ping = {"type": "ping", "payload": {"sentinel": self._sentinel}}
        data += client_frame(json.dumps(ping).encode())
        try:
            await wire.send(bytes(data))
        except Ended:
            await self._drop()
            return  # it closed while we still wrote; the next input finds a server, or fails
        if await self._judged(wire):
            await self._drop()

    async def close(self) -> None:
        """End."""
        await self._drop()

    async def _judged(self, wire: Wire) -> bool:
        """Read up to the sentinel's answer; true when the connection ended, as it may."""
        while True:
            frame = await wire.frame()
            if frame.opcode == CLOSE:
                assert frame.code in CODES, frame
                return True
            if frame.opcode != TEXT:
                continue
            message = json.loads(frame.payload)
            if message["type"] in {"next", "error"}:
                payload = message["payload"]
                errors = payload if message["type"] == "error" else payload.get("errors", [])
                codes = [error.get("extensions", {}).get("code") for error in errors]
                assert "INTERNAL" not in codes, message
            elif message == {"type": "pong", "payload": {"sentinel": self._sentinel}}:
                return False

    async def _connect(self) -> Wire:
        wire = await open_websocket(self._port, GRAPHQL_WS)
        init = {"type": "connection_init", "payload": {"token": self._token}}
        await wire.send(client_frame(json.dumps(init).encode()))
        assert (await wire.frame()).payload == b'{"type":"connection_ack"}', "not let in"
        return wire

    async def _drop(self) -> None:
        if self._wire is not None:
            self._wire.abort()
        self._wire = None
        self._open.clear()

    async def _begin_badly(self, rng: Random) -> None:
        """Open a connection as none should be, and say something at once."""
        headers = rng.choice(PROTOCOLS)
        init: Any = {"type": "connection_init"}
        if rng.random() < 0.8:
            name = rng.choice(("token", "authorization", "Authorization"))
            init["payload"] = rng.choice(({name: hostile.value(rng)}, hostile.value(rng)))
        first, second = hostile.encoded(rng, init), self._message(rng)[1]
        self.said += [headers, first, second]
        try:
            wire = await open_websocket(self._port, GRAPHQL_WS, headers)
        except Ended as error:
            if "answered 5" in str(error):
                raise AssertionError(f"{headers!r}: {error}") from error
            return
        try:
            await wire.send(client_frame(first) + client_frame(second) + client_frame(b"bye"))
            while (frame := await wire.frame()).opcode != CLOSE:
                pass
            assert frame.code in CODES | {4406}, frame
        except Ended:
            pass  # it closed while we still wrote
        finally:
            wire.abort()

    def _message(self, rng: Random) -> tuple[int, bytes]:
        if rng.random() < 0.02:
            return BINARY, rng.randbytes(20)
        if rng.random() < 0.03:
            return TEXT, hostile.mutated(rng, b'{"type":"ping"}')
        if rng.random() < 0.8:
            id_ = str(rng.randrange(1, 10**6)) if rng.random() < 0.9 else hostile.text(rng)
            self._open.add(id_)
            message: dict[str, Any] = {
                "id": id_,
                "type": "subscribe",
                "payload": documents.request(rng),
            }
        else:
            message = {"type": rng.choice(TYPES)}
            for name in ("id", "payload"):
                if rng.random() < 0.5:
                    message[name] = hostile.value(rng)
        if rng.random() < 0.05:
            message[rng.choice(("id", "type", "payload", "extra"))] = hostile.value(rng)
        text = json.dumps(message, ensure_ascii=rng.random() < 0.5)
        data = text.encode("utf-8", "replace")
        return TEXT, hostile.mutated(rng, data) if rng.random() < 0.05 else data


async def test_malformed_messages_are_refused(tmp_path: Path, report: Report) -> None:
    async with attacked(tmp_path, report) as target:

        async def make() -> Talker:
            return Talker(target.port, target.mallory.token)

        await storm(target, times(5_000, 100_000), make, report)
