"""Malformed Engine.IO and Socket.IO: packets, attachments, polling, sessions, upgrades."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.attacks import hostile
from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.http import check, hostile_headers
from tests.attacks.storm import Assailant, storm
from tests.attacks.target import attacked
from tests.attacks.wires import (
    BINARY,
    CLOSE,
    SOCKETIO_WS,
    TEXT,
    Answer,
    Ended,
    Wire,
    client_frame,
    http_request,
)
from tests.attacks.wires import websocket as open_websocket

pytestmark = pytest.mark.timeout(SECONDS)

POLLING = "/socket.io/?EIO=4&transport=polling"
# A bad packet, too large a one, the client's own or the server's goodbye.
CODES = {1000, 1002, 1005, 1007, 1009}
EVENTS = ("auth:login", "message:private", "message:send", "message:new", "connect", "disconnect")
PLACEHOLDERS: tuple[Any, ...] = (
    {"_placeholder": True, "num": 0},
    {"_placeholder": True, "num": 1},
    {"_placeholder": True, "num": -1},
    {"_placeholder": True, "num": 10**12},
    {"_placeholder": True, "num": "0"},
    {"_placeholder": True, "num": True},
    {"_placeholder": True},
    {"_placeholder": 1, "num": 0},
    {"_placeholder": True, "num": {"_placeholder": True, "num": 0}},
)
ODD_PACKETS = (
    "",
    "0",
    "1",
    "2",
    "2probe",
    "3",
    "3probe",
    "5",
    "6",
    "7",
    "4",
    "40",
    "40{}",
    "40[]",
    '40{"token":"x"}',
    "40/admin,",
    "40/admin",
    '40/admin,{"a":1}',
    "40/?token=x,",
    "41",
    "41/admin,",
    "42",
    "42[]",
    "42[1]",
    "42[null]",
    '42{"a":1}',
    '42"message:send"',
    '42/admin,["message:send"]',
    '4299999999999999999999["message:send",{}]',
    '42١["message:send",{}]',
    "43",
    "43[]",
    "431[]",
    "43999[1,2,3]",
    "44",
    '44{"message":"x"}',
    "45",
    "450-",
    "451-",
    '451-["message:send",{"_placeholder":true,"num":0}]',
    '459-["message:send"]',
    '4599999999999999-["message:send"]',
    '45-["message:send"]',
    '451["message:send"]',
    '461-1["x"]',
    "46",
    "47",
    "49",
    "b",
    "bAAAA",
    "b!!!!",
    "4" + "2" * 5000,
    "42" + "[" * 5000,
)


def packet(rng: Random) -> str | bytes:
    """Return an Engine.IO packet, of which anything may be wrong."""
    way = rng.random()
    if way < 0.3:
        return rng.choice(ODD_PACKETS)
    if way < 0.38:
        return rng.randbytes(rng.randrange(30))
    event = rng.choice(EVENTS) if rng.random() < 0.9 else hostile.text(rng)
    said: list[Any] = [event]
    for _ in range(rng.choice((0, 1, 1, 1, 1, 3))):
        body = {
            "token": hostile.value(rng),
            "content": rng.choice(("Hello", hostile.value(rng))),
            "toUserId": rng.choice((1, 2, 3, hostile.value(rng))),
            "after": hostile.value(rng),
            "kind": rng.choice(("TEXT", hostile.value(rng))),
            "attachmentId": rng.choice((None, hostile.value(rng))),
            "clientMessageId": rng.choice((None, hostile.value(rng))),
        }
        kept = {name: value for name, value in body.items() if rng.random() < 0.5}
        said.append(kept if rng.random() < 0.85 else hostile.value(rng))
    number = rng.choice(("", str(rng.randrange(10**6)), "0", "00", "9" * 15, "9" * 16))
    head = f"42{number}"
    if rng.random() < 0.2:
        said.append(rng.choice(PLACEHOLDERS))
        head = f"45{rng.choice(('0', '1', '2', '4', '5', '01', '999', ''))}-{number}"
    text = json.dumps(said, ensure_ascii=rng.random() < 0.5)
    data = (head + text).encode("utf-8", "replace")
    return (hostile.mutated(rng, data) if rng.random() < 0.15 else data).decode(errors="replace")


class Emitter:
    """Speaks Socket.IO over a websocket, badly; a WebSocket ping shows that the server goes on."""

    def __init__(self, port: int, token: str) -> None:
        self.said: list[object] = []
        self._port = port
        self._token = token
        self._wire: Wire | None = None

    async def attack(self, rng: Random) -> None:
        """Send packets and judge what follows."""
        wire = self._wire = self._wire or await self._connect(rng)
        # Acknowledged packets come in order: an event of ours behind them shows them handled.
        data = b""
        for _ in range(rng.choice((1, 1, 1, 3))):
            said = packet(rng)
            self.said.append(said)
            if isinstance(said, bytes):
                data += client_frame(said, BINARY)
            else:
                data += client_frame(said.encode("utf-8", "replace"), TEXT)
        data += client_frame(b'42777000777777["message:send"]')
        try:
            await wire.send(data)
            while True:
                frame = await wire.frame()
                if frame.opcode == CLOSE:
                    assert frame.code in CODES, frame
                    break
                assert b'"INTERNAL"' not in frame.payload, frame
                if frame.payload.startswith(b"43777000777777["):
                    return
        except Ended:
            pass  # it closed while we still wrote
        await self.close()

    async def close(self) -> None:
        """End."""
        if self._wire is not None:
            self._wire.abort()
        self._wire = None

    async def _connect(self, rng: Random) -> Wire:
        wire = await open_websocket(self._port, SOCKETIO_WS)
        assert (await wire.frame()).payload.startswith(b"0{")
        if rng.random() < 0.85:
            await wire.send(client_frame(b"40"))
            assert (await wire.frame()).payload.startswith(b"40{")
            if rng.random() < 0.6:
                login = json.dumps(["auth:login", {"token": self._token}])
                await wire.send(client_frame(f"42{login}".encode()))
        return wire


class Poller:
    """Speaks Engine.IO over polling, badly."""

    def __init__(self, port: int) -> None:
        self.said: list[object] = []
        self._port = port
        self._wire: Wire | None = None
        self._sids: list[str] = []

    async def attack(self, rng: Random) -> None:
        """Send one request; every one is answered."""
        if not self._sids or rng.random() < 0.2:
            await self._open()
        sid = rng.choice(self._sids)
        way = rng.random()
        if way < 0.15:
            await self._odd_url(rng, sid)
        elif way < 0.3:
            await self._probe(rng, sid)
        elif way < 0.35:
            await self._overlap(sid)
        else:
            await self._post(rng, sid)
        del self._sids[:-3]

    async def close(self) -> None:
        """End."""
        if self._wire is not None:
            self._wire.abort()

    async def _open(self) -> None:
        answer = await self._ask("GET", POLLING)
        assert answer.status == 200, answer
        sid = json.loads(answer.body[1:].partition(b"\x1e")[0])["sid"]
        self._sids.append(sid)
        await self._ask("POST", f"{POLLING}&sid={sid}", body=b"40")

    async def _post(self, rng: Random, sid: str) -> None:
        parts = [packet(rng) for _ in range(rng.choice((1, 1, 2, 20, 300)))]
        texts = [p if isinstance(p, str) else "b" + p.hex() for p in parts]
        body = "\x1e".join(texts).encode("utf-8", "replace")
        if rng.random() < 0.2:
            body = hostile.mutated(rng, body)
        answer = await self._ask("POST", f"{POLLING}&sid={sid}", hostile_headers(rng), body)
        assert answer.status in {200, 400, 413}, answer
        if answer.status != 200:
            self._sids.remove(sid)
        elif rng.random() < 0.3:
            answer = await self._ask("GET", f"{POLLING}&sid={sid}")
            assert answer.status in {200, 400}, answer

    async def _odd_url(self, rng: Random, sid: str) -> None:
        value = hostile.text(rng).encode("utf-8", "replace").hex()[:2000]
        query = rng.choice(
            (
                "",
                "EIO=4",
                "EIO=3&transport=polling",
                "EIO=&transport=polling",
                "EIO=4&transport=websocket",
                f"EIO=4&transport=websocket&sid={sid}",
                f"EIO=4&transport={value}",
                f"EIO=4&transport=polling&sid={value}",
                "EIO=4&transport=polling&sid=",
                f"EIO=4&transport=polling&sid={sid}&sid=x",
                f"EIO=4&EIO=3&transport=polling&sid={'x' * 2000}",
                "EIO=4&transport=polling&j=0",
                f"EIO=4&transport=polling&sid={sid}%00",
                "EIO=4&transport=polling&b64=1",
            )
        )
        method = rng.choice(("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"))
        headers = hostile_headers(rng)
        answer = await self._ask(method, f"/socket.io/?{query}", headers, b"4" * rng.randrange(9))
        assert answer.status < 500, answer

    async def _probe(self, rng: Random, sid: str) -> None:
        """Upgrade in a wrong order, or half of it."""
        frames = rng.choices(
            (b"2probe", b"5", b"2", b"3probe", b"6", b"4", b"40", b"1", b"2probe2", b""), k=3
        )
        if rng.random() < 0.4:
            frames = [b"2probe", rng.choice((b"5", b"2probe", b"4")), packet_bytes(rng)]
        self.said += [sid, *frames]
        try:
            wire = await open_websocket(self._port, f"{SOCKETIO_WS}&sid={sid}")
        except Ended as error:
            if "answered 403" not in str(error):
                raise AssertionError(str(error)) from error
            return
        try:
            await wire.send(b"".join(map(client_frame, frames)))
            if rng.random() < 0.5:
                await self._ask("POST", f"{POLLING}&sid={sid}", body=b"3")
        except Ended:
            pass
        finally:
            wire.abort()
        self._sids.remove(sid)

    async def _overlap(self, sid: str) -> None:
        """Two GETs at once: both are answered."""
        one, other = await Wire.open(self._port), await Wire.open(self._port)
        request = http_request("GET", f"{POLLING}&sid={sid}")
        try:
            for wire in (one, other):
                await wire.send(request)
            await self._ask("POST", f"{POLLING}&sid={sid}", body=b"1")
            for wire in (one, other):
                assert (await wire.answer()).status in {200, 400}
        except Ended:
            raise AssertionError("a GET was not answered") from None
        finally:
            one.abort()
            other.abort()
        self._sids.remove(sid)

    async def _ask(self, method: str, path: str, headers: str = "", body: bytes = b"") -> Answer:
        self.said.append((method, path, body))
        for _ in range(2):
            wire = self._wire = self._wire or await Wire.open(self._port)
            try:
                await wire.send(http_request(method, path, headers, body))
                answer = await wire.answer(method)
                if answer.status == 100:
                    answer = await wire.answer(method)
                break
            except Ended:
                await self.close()
                self._wire = None
        else:
            raise AssertionError("no answer")
        check(answer)
        if answer.headers.get("connection") == "close":
            await self.close()
            self._wire = None
        return answer


def packet_bytes(rng: Random) -> bytes:
    """Return a packet as a text frame carries it."""
    said = packet(rng)
    return said if isinstance(said, bytes) else said.encode("utf-8", "replace")


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_malformed_packets_are_refused(
    transport: str, tmp_path: Path, report: Report
) -> None:
    async with attacked(tmp_path, report) as target:

        async def make() -> Assailant:
            if transport == "polling":
                return Poller(target.port)
            return Emitter(target.port, target.mallory.token)

        await storm(target, times(3_000, 50_000), make, report)
