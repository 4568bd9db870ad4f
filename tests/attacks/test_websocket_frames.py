"""Raw WebSocket frames, sound and broken: each gets what RFC 6455 says, on both WebSockets."""

import asyncio
import json
from pathlib import Path
from random import Random

import pytest

from tests.attacks.conftest import SECONDS, Report, times
from tests.attacks.frames import LATE, Face, Script, SocketIOFace, make_script
from tests.attacks.storm import storm
from tests.attacks.target import attacked
from tests.attacks.wires import CLOSE, PONG, TEXT, Ended, Frame, Wire, client_frame, websocket

pytestmark = pytest.mark.timeout(SECONDS)

END_SECONDS = 15.0


class Framer:
    """Sends scripts over one connection while it lasts, cut anywhere into pieces."""

    def __init__(self, port: int, face: Face) -> None:
        self.said: list[object] = []
        self._port = port
        self._face = face
        self._wire: Wire | None = None

    async def attack(self, rng: Random) -> None:
        """Play a script and compare."""
        script = make_script(rng, self._face)
        self.said += script.shown
        wire = self._wire = self._wire or await self._connect()
        pieces = rng.choice((1, 1, 1, 2, 4, 11))
        try:
            await self._send(rng, wire, bytes(script.data), pieces)
        except Ended:
            assert script.codes is not None, "the connection ended"
        pongs, answers, close = await self._read(wire, script)
        if script.codes is None:
            assert close is None, f"closed with {close}"
            assert pongs == script.pongs
            assert answers == script.answers
            return
        # What is behind a violation may fall, and what is before it too, but nothing is made up.
        assert pongs == script.pongs[: len(pongs)], pongs
        assert answers == script.answers[: len(answers)], answers
        if close is not None:
            assert close.code in script.codes, f"{close}, not {set(script.codes)}"
            close.payload[2:].decode()
        else:
            # It closed while we still sent: the reset may take its last word with it.
            late = script.shown[-1] == LATE
            assert late or pieces > 1, "ended without a close frame"
        await self._leave(rng, wire)

    async def close(self) -> None:
        """End."""
        if self._wire is not None:
            self._wire.abort()

    async def _connect(self) -> Wire:
        wire = await websocket(self._port, self._face.path)
        if isinstance(self._face, SocketIOFace):
            await wire.frame()  # the opening
            await wire.send(client_frame(b"40"))
            assert (await wire.frame()).payload.startswith(b"40")
        return wire

    async def _send(self, rng: Random, wire: Wire, data: bytes, pieces: int) -> None:
        for _ in range(pieces - 1):
            cut = rng.randrange(len(data) + 1)
            await wire.send(data[:cut])
            await asyncio.sleep(rng.choice((0, 0, 0.0005)))
            data = data[cut:]
        await wire.send(data)

    async def _read(
        self, wire: Wire, script: Script
    ) -> tuple[list[bytes], list[object], Frame | None]:
        pongs: list[bytes] = []
        answers: list[object] = []
        while script.codes is not None or (
            len(pongs) < len(script.pongs) or len(answers) < len(script.answers)
        ):
            try:
                frame = await wire.frame()
            except Ended:
                return pongs, answers, None
            if frame.opcode == CLOSE:
                return pongs, answers, frame
            if frame.opcode == PONG:
                pongs.append(frame.payload)
            elif frame.opcode == TEXT:
                answers += self._answer(frame.payload.decode())
        return pongs, answers, None

    def _answer(self, text: str) -> list[object]:
        if not isinstance(self._face, SocketIOFace):
            message = json.loads(text)
            return [] if message["type"] in {"ping", "connection_ack"} else [message]
        if not text.startswith("43"):
            return []
        number, _, rest = text[2:].partition("[")
        return [(int(number), json.loads(f"[{rest}")[0]["code"])]

    async def _leave(self, rng: Random, wire: Wire) -> None:
        if rng.random() < 0.05:
            # Whoever answers the close sees the connection end.
            try:
                await wire.send(client_frame(b"\x03\xe8", CLOSE))
                await wire.rest(END_SECONDS)
            except Ended:
                pass
        wire.abort()
        self._wire = None


@pytest.mark.parametrize("face", [Face(), SocketIOFace()], ids=["graphql", "socketio"])
async def test_frames_get_what_the_rfc_says(face: Face, tmp_path: Path, report: Report) -> None:
    settings = {"connection_init_seconds": 3600}
    async with attacked(tmp_path, report, **settings) as target:

        async def make() -> Framer:
            return Framer(target.port, face)

        await storm(target, times(3_000, 30_000), make, report)
