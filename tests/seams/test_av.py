"""PyAV: how a container is opened without its guesses, and what it says of a stream."""

import io
import wave
from typing import Any

import av
import pytest
from av.stream import Disposition

SECONDS = 0.5
RATE = 8000


def _wav() -> io.BytesIO:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE)
        written.writeframes(b"\1\0" * int(RATE * SECONDS))
    file.seek(0)
    return file


def test_a_container_is_opened_as_what_we_say_and_tells_its_stream() -> None:
    options = {"protocol_whitelist": "none", "format_whitelist": "wav"}
    with av.open(_wav(), "r", format="wav", metadata_errors="ignore", options=options) as found:
        [stream] = found.streams
        assert stream.type == "audio"
        assert stream.codec_context.name == "pcm_s16le"
        assert not stream.disposition & Disposition.attached_pic
        frames: list[Any] = [*found.decode(stream)]
        assert sum(frame.samples for frame in frames) == RATE * SECONDS
        assert frames[0].pts == 0
        assert frames[0].time_base is not None


def test_no_other_format_than_the_one_we_say_is_opened() -> None:
    options = {"protocol_whitelist": "none", "format_whitelist": "ogg"}
    with pytest.raises(av.FFmpegError):
        av.open(_wav(), "r", format="wav", metadata_errors="ignore", options=options)


def test_its_errors_are_not_the_systems() -> None:
    # media/worker.py tells by the module that an error's number is FFmpeg's.
    assert av.FFmpegError.__module__.startswith("av.")
    for error in (av.error.InvalidDataError, av.error.EOFError):
        assert issubclass(error, av.FFmpegError)
        assert error.__module__ != "builtins"
