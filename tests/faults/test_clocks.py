"""The machine's clock set forward and back under open connections: nothing is lost or stuck."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from resolvers.guards.tokens import RECENT_SECONDS
from tests.faults.outages import Patient
from tests.faults.processes import Parley, parleys
from tests.faults.wire import PRESENCE, Cut
from tests.support.tools import missing

pytestmark = pytest.mark.timeout(120)

PLACES = [f"{place}/faketime/libfaketimeMT.so.1" for place in ("lib", "lib/*", "local/lib")]
DAY = 24 * 3600
LEASE_SECONDS = 1.0


def library() -> Path:
    """Return libfaketime, which answers a program's questions for the time."""
    found = [path for place in PLACES for path in Path("/usr").glob(place)]
    return found[0] if found else missing("libfaketime is not installed")


class Clock:
    """The wall clock of one server; its monotonic one goes on as ever."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self.settings: dict[str, Any] = {
            "ld_preload": str(library()),
            "faketime_timestamp_file": str(self._file),
            "faketime_no_cache": "1",
            "faketime_dont_fake_monotonic": "1",
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """Set it so much forward of the true one."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n")
        new.replace(self._file)


async def status(patient: Patient, path: str = "/api/messages") -> int:
    # For so long the server does not look at a token again, and nothing tells that it is over.
    await asyncio.sleep(RECENT_SECONDS + 0.1)
    return (await patient.http.get(path)).status_code


async def logged_in(parley: Parley) -> dict[str, str]:
    body = {"email": "clock@example.com", "password": "123456", "displayName": "C"}
    async with httpx.AsyncClient(base_url=parley.url) as http:
        await http.post("/api/auth/register", json=body)
        token = (await http.post("/api/auth/login", json=body)).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert (await http.get("/api/messages", headers=headers)).status_code == 200
        return headers


async def test_a_clock_that_jumps(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    leases: dict[str, Any] = {
        "presence_lease_seconds": LEASE_SECONDS,
        "presence_renewal_seconds": LEASE_SECONDS / 3,
        "presence_sweep_seconds": LEASE_SECONDS / 4,
    }
    everything: dict[str, Any] = {"broadcast_history": "everything"}  # also for who is new
    with parleys(tmp_path, **clock.settings, **leases, **everything) as [parley]:
        async with Patient(parley) as patient:
            changes: list[dict[str, Any]] = []
            await patient.watching.watch(PRESENCE, lambda data: changes.append(data["presence"]))
            upload = await patient.http.post("/api/uploads", files={"f": ("a.bin", b"kept")})
            file = upload.json()
            assert (await patient.http.get(file["url"])).content == b"kept"

            for seconds in (5, -5, 3 * DAY, 0, -5):
                clock.set(seconds)
                assert await status(patient) == 200
                await patient.sends_all()

            # Forward by more than an address lasts: it has ended, and a fresh one opens.
            clock.set(3 * DAY)
            assert (await patient.http.get(file["url"])).status_code == 404
            await patient.http.get(f"/files/{file['id']}")
            # Back by an hour: tokens of what is now the future are good all the same.
            clock.set(-3600)
            assert await status(patient) == 200
            past = await logged_in(parley)
            for face in ("graphql", "socketio"):
                assert await patient.send(face, patient.draft())

            # Right again: all of them are good, the connections are those of the beginning, and
            # what was sent is in the order in which it was sent, whatever its times say.
            clock.set(0)
            assert await status(patient) == 200
            answer = await patient.http.get("/api/messages", headers=past)
            rows = answer.json()
            assert [row["id"] for row in rows] == sorted(patient.stored, reverse=True)
            times = [row["createdAt"] for row in reversed(rows)]
            assert times != sorted(times), "the clock never jumped"
            await patient.recovers()
            mine = [c for c in changes if int(c["user"]["id"]) == patient.user.id]
            assert [change["online"] for change in mine] == [True]

            # Forward by more than a token lasts: it has ended, with its connections; a new one is
            # for the asking.
            clock.set(8 * DAY)
            assert await status(patient) == 401
            with pytest.raises(Cut):
                await patient.sends_all()
            await logged_in(parley)
        assert parley.starts == 1
