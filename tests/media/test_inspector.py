"""The worker's limits, and what the server is told when one of them ends it."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from media.facts import FileKind
from media.inspector import FileRefused, InspectionFailed, Inspector, TooManyFiles
from media.worker import NICENESS
from tests.media.conftest import look_at
from tests.support import files

linux = pytest.mark.skipif(sys.platform != "linux", reason="what /proc tells is Linux's")


def _inspector(*, memory: int = 1024**3, seconds: int = 60) -> Inspector:
    return Inspector(workers=1, memory_bytes=memory, seconds=seconds)


def _heavy() -> bytes:
    """Return what takes its worker some seconds: 64 megapixels, to be turned."""
    return files.encode(Image.new("RGB", (8000, 8000)), "JPEG", exif=files.exif(orientation=6))


def _find_worker() -> int | None:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            started = b"media.worker" in (path / "cmdline").read_bytes()
            limits = (path / "limits").read_text().splitlines()
        except OSError:  # it ended meanwhile
            continue
        # The last of its limits: from then on it opens nothing.
        if parent == os.getpid() and started and _limits(limits)["Max open files"][0] == "0":
            return int(path.name)
    return None


def _limits(lines: list[str]) -> dict[str, list[str]]:
    return {line[:25].strip(): line[26:].split()[:2] for line in lines}


async def _worker() -> int:
    """Return the id of the worker that is looking, once it has limited itself."""
    async with asyncio.timeout(30):
        while (found := _find_worker()) is None:  # noqa: ASYNC110  # the system does not tell
            await asyncio.sleep(0.01)
    return found


@linux
async def test_a_worker_has_none_of_our_secrets_and_its_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JWT_SECRET", "the secret of the server")
    monkeypatch.setenv("DB_PASS", "the secret of the database")
    inspector = _inspector(memory=700 * 1024**2, seconds=77)
    inheritable = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    looking = asyncio.create_task(look_at(inspector, _heavy()))
    seen = _Seen.of(await _worker())
    await asyncio.gather(looking, return_exceptions=True)
    os.close(inheritable)
    assert b"secret" not in seen.environment
    assert {line.partition(b"=")[0] for line in seen.environment.split(b"\0") if line} <= {
        b"PYTHONDONTWRITEBYTECODE",
        b"OMP_NUM_THREADS",
        b"LC_CTYPE",  # Python's own, for UTF-8 in a locale that has none
    }
    size = 4 * len(_heavy()) + 4 * 1024**2
    assert seen.limits["Max address space"] == [str(700 * 1024**2)] * 2
    assert seen.limits["Max cpu time"] == ["77"] * 2
    assert seen.limits["Max file size"] == [str(size)] * 2
    assert seen.limits["Max open files"] == ["0"] * 2
    assert seen.limits["Max core file size"] == ["0"] * 2
    assert seen.niceness >= NICENESS
    # Its three, and nothing of the server's, not even what could be inherited.
    assert seen.open_files == {0, 1, 2}


class _Seen(NamedTuple):
    """What the system tells of a process."""

    environment: bytes
    limits: dict[str, list[str]]
    open_files: set[int]
    niceness: int

    @classmethod
    def of(cls, id_: int) -> "_Seen":
        process = Path("/proc") / str(id_)
        return cls(
            (process / "environ").read_bytes(),
            _limits((process / "limits").read_text().splitlines()),
            {int(path.name) for path in (process / "fd").iterdir()},
            int((process / "stat").read_text().rpartition(")")[2].split()[16]),
        )


async def test_more_memory_than_a_worker_has_is_a_refusal_or_costs_the_thumbnail() -> None:
    inspector = _inspector(memory=256 * 1024**2)
    kept = await look_at(inspector, files.png_bomb(8000, 8000))
    assert (kept.facts.kind, kept.thumbnail) == (FileKind.IMAGE, b"")
    with pytest.raises(FileRefused, match="memory"):
        await look_at(inspector, files.photo("JPEG", orientation=6, width=9000, height=7000))
    # The next is not the worse for it.
    found = await look_at(inspector, files.image_file("PNG"))
    assert found.facts.kind is FileKind.IMAGE


async def test_a_worker_that_has_no_memory_at_all_is_a_refusal() -> None:
    with pytest.raises(FileRefused):
        await look_at(_inspector(memory=1024), files.image_file("PNG"))


async def test_more_time_than_a_worker_has_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.inspector.PROGRAM", ("-c", MISTAKEN.format("while True: pass")))
    async with asyncio.timeout(30):
        with pytest.raises(FileRefused):
            await look_at(_inspector(seconds=1), b"x")


@linux
async def test_a_worker_that_hangs_is_ended() -> None:
    looking = asyncio.create_task(look_at(_inspector(seconds=3), _heavy()))
    worker = await _worker()
    os.kill(worker, signal.SIGSTOP)
    with pytest.raises(FileRefused, match="too long"):
        await looking
    assert _find_worker() is None


@linux
async def test_a_worker_is_ended_when_nobody_waits_for_it_any_more() -> None:
    inspector = _inspector()
    looking = asyncio.create_task(look_at(inspector, _heavy()))
    await _worker()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert _find_worker() is None
    assert (await look_at(inspector, files.image_file("GIF"))).facts.kind is FileKind.IMAGE


@linux
@pytest.mark.parametrize("end", [signal.SIGSEGV, signal.SIGKILL])
async def test_a_worker_that_crashes_fails_its_own_file_alone(
    end: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    inspector = _inspector()
    with caplog.at_level("INFO", "parley.media"):
        looking = asyncio.create_task(look_at(inspector, _heavy()))
        os.kill(await _worker(), end)
        with pytest.raises(FileRefused, match="cannot be read"):
            await looking
    assert f"status {-end}" in caplog.text
    assert (await look_at(inspector, files.image_file("GIF"))).facts.kind is FileKind.IMAGE


@linux
async def test_a_file_whose_turn_does_not_come_is_refused_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("media.inspector.WAIT_SECONDS", 0.2)
    inspector = _inspector()
    looking = asyncio.create_task(look_at(inspector, _heavy()))
    worker = await _worker()
    os.kill(worker, signal.SIGSTOP)
    waiting = [look_at(inspector, b"x") for _ in range(3)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TooManyFiles] * 3
    # What is not looked at has not to wait either.
    assert (await look_at(inspector, b"x", FileKind.FILE)).kept == b"x"
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(FileRefused):
        await looking
    assert (await look_at(inspector, b"x")).facts.kind is FileKind.FILE


@pytest.mark.parametrize(
    "said",
    [
        b'{"kind":"IMAGE","width":-1}',
        b'{"kind":"IMAGE","width":4294967296}',
        b'{"kind":"VOICE","waveform":[101]}',
        b'{"kind":"VOICE","duration_ms":99999999999}',
        b'{"kind":"FILE","media_type":"text/html\\r\\nSet-Cookie: a=b"}',
        b'{"kind":"TEXT"}',
        b'{"refused":' + b'"x' * 500,
        b"[]",
        b"",
        b"\xff",
    ],
)
async def test_a_worker_that_was_taken_over_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: bytes
) -> None:
    (tmp_path / "said").write_bytes(said)
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat '{tmp_path / 'said'}'\n")
    program.chmod(0o700)
    monkeypatch.setattr("media.inspector.sys.executable", str(program))
    with pytest.raises(FileRefused, match="cannot be read"):
        await look_at(_inspector(), b"x")


def test_a_file_that_is_written_anew_may_not_fill_the_disk() -> None:
    # As the inspector starts it, with room for less than the picture takes.
    noise = Image.effect_noise((600, 600), 90)
    content = files.encode(noise, "PNG", exif=files.exif(place=True))
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        ended = subprocess.run(
            [sys.executable, "-m", "media.worker", str(1024**3), "60", "1000"],
            stdin=file,
            capture_output=True,
            timeout=60,
        )
        file.seek(0)
        assert len(file.read()) <= len(content)
    assert b'"kind"' not in ended.stdout


MISTAKEN = """
import sys
from media import worker
def mistaken(file):
    {}
worker.prepare = lambda file: mistaken
worker.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "mistake",
    [
        "import av; av.open(file, metadata_mistakes='ignore')",
        "file.no_such_method()",
        "no_such_name",
        "import no_such_module",
        "open('/dev/null')",
        "sys.exit('wrong')",
    ],
)
async def test_a_mistake_of_ours_is_not_told_as_the_file_s(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mistake: str
) -> None:
    inspector = _inspector()
    # Ours is what stands in the program here, which has no file.
    program = f"import media.worker\nmedia.worker.OURS = '<string>'\n{MISTAKEN.format(mistake)}"
    monkeypatch.setattr("media.inspector.PROGRAM", ("-c", program))
    with pytest.raises(InspectionFailed):
        await look_at(inspector, b"x")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_decoder_s_own_mistake_is_the_file_s_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = "exec(compile('None.x', 'PIL/Decoder.py', 'exec'))"
    monkeypatch.setattr("media.inspector.PROGRAM", ("-c", MISTAKEN.format(body)))
    with pytest.raises(FileRefused, match="damaged"):
        await look_at(_inspector(), b"x")
