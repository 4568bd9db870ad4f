"""Sound and video: which containers and codecs they are, how long, and how loud over time."""

from array import array
from collections.abc import Iterator
from typing import BinaryIO

import av

# What PyAV imports only when a file has such a stream: by then, the worker can open nothing.
import av.audio.stream
import av.subtitles.stream
import av.video.stream
from av.container import InputContainer
from av.stream import Disposition

from media.facts import WAVEFORM_VALUES, Facts, FileKind, Unreadable

# The containers that are opened, each named: left to guess, FFmpeg knows playlists too, and opens
# whatever they name.
DEMUXERS = {"ogg": "Ogg", "matroska": "WebM", "mov": "MP4", "mp3": "MP3", "wav": "WAV"}
# A voice note is one of these, by container and codec.
VOICE_TYPES = {
    ("ogg", "opus"): "audio/ogg",
    ("matroska", "opus"): "audio/webm",
    ("mov", "aac"): "audio/mp4",
    ("mp3", "mp3"): "audio/mpeg",
    ("wav", "pcm_u8"): "audio/wav",
    ("wav", "pcm_s16le"): "audio/wav",
    ("wav", "pcm_s24le"): "audio/wav",
    ("wav", "pcm_s32le"): "audio/wav",
    ("wav", "pcm_f32le"): "audio/wav",
}
VIDEO_TYPES = {"matroska": "video/webm", "mov": "video/mp4"}

# Beyond this, sound is a file like any other: nobody speaks for so long, and it is not decoded.
MAX_VOICE_SECONDS = 3600
SAMPLES_PER_SECOND = 8000
WINDOW = 80  # samples: the waveform is gathered in steps of 10 ms
FULL_SCALE = 32767
MAX_INT = 2**31 - 1  # what a column of integers takes, and GraphQL
# How much of what the container promises may be missing: encoders round and pad.
MISSING_SECONDS = 1.0
MISSING_PART = 0.1


def inspect_sound(file: BinaryIO, demuxer: str) -> Facts | None:
    """Return what the recording or video is; None when the file is neither. Raises Unreadable.

    `demuxer` is FFmpeg's name of the container that the file seems to be.
    """
    file.seek(0)
    certain = demuxer != "mp3"  # two bytes of any file may look like the start of one
    try:
        with av.open(
            file,
            "r",
            format=demuxer,
            metadata_errors="ignore",
            options={"protocol_whitelist": "none", "format_whitelist": _names(demuxer)},
        ) as container:
            return _inspect(container, demuxer)
    except av.FFmpegError as error:
        if not certain:
            return None
        raise Unreadable(f"The {DEMUXERS[demuxer]} file is damaged or cut short") from error


def _names(demuxer: str) -> str:
    return {"mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm"}.get(demuxer, demuxer)


def _inspect(container: InputContainer, demuxer: str) -> Facts:
    videos = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if videos:
        size = videos[0]
        return Facts(
            kind=FileKind.FILE,
            media_type=VIDEO_TYPES.get(demuxer, "application/octet-stream"),
            width=size.width or None,
            height=size.height or None,
            duration_ms=_promised_ms(container),
        )
    if not container.streams.audio:
        return Facts(kind=FileKind.FILE)
    codec = container.streams.audio[0].codec_context.codec.canonical_name
    media_type = VOICE_TYPES.get((demuxer, codec))
    if media_type is None:
        return Facts(kind=FileKind.FILE)
    promised = _promised_ms(container)
    if promised is not None and promised > MAX_VOICE_SECONDS * 1000:
        return Facts(kind=FileKind.FILE, media_type=media_type)
    peaks, samples = _listen(container)
    if samples > MAX_VOICE_SECONDS * SAMPLES_PER_SECOND:
        return Facts(kind=FileKind.FILE, media_type=media_type)
    duration_ms = samples * 1000 // SAMPLES_PER_SECOND
    if not peaks:
        raise Unreadable(f"The {DEMUXERS[demuxer]} file has no sound in it")
    if promised is not None:
        missing = promised - duration_ms
        if missing > MISSING_SECONDS * 1000 and missing > promised * MISSING_PART:
            raise Unreadable(f"The {DEMUXERS[demuxer]} file is cut short")
    return Facts(
        kind=FileKind.VOICE,
        media_type=media_type,
        duration_ms=duration_ms,
        waveform=_waveform(peaks),
    )


def _promised_ms(container: InputContainer) -> int | None:
    # In units of FFmpeg's AV_TIME_BASE; a live recording's header has none.
    duration = container.duration
    if duration is None or duration <= 0:
        return None
    promised = duration * 1000 // av.time_base
    return promised if promised <= MAX_INT else None  # months: it is not so


def _listen(container: InputContainer) -> tuple[list[int], int]:
    """Return the loudest sample of each window, and how many samples there are."""
    peaks: list[int] = []
    samples = 0
    waiting = array("h")
    for piece in _decode(container):
        samples += len(piece)
        waiting.extend(piece)
        whole = len(waiting) - len(waiting) % WINDOW
        for start in range(0, whole, WINDOW):
            window = waiting[start : start + WINDOW]
            peaks.append(max(max(window), -min(window)))
        del waiting[:whole]
        if samples > MAX_VOICE_SECONDS * SAMPLES_PER_SECOND:
            break
    if waiting:
        peaks.append(max(max(waiting), -min(waiting)))
    return peaks, samples


def _decode(container: InputContainer) -> Iterator["array[int]"]:
    """Yield the sound, in one channel of 16-bit samples."""
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLES_PER_SECOND)
    for frame in container.decode(stream):
        for resampled in resampler.resample(frame):
            yield _samples(resampled)
    for resampled in resampler.resample(None):
        yield _samples(resampled)


def _samples(frame: av.AudioFrame) -> "array[int]":
    samples = array("h")
    samples.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
    return samples


def _waveform(peaks: list[int]) -> list[int]:
    count = min(WAVEFORM_VALUES, len(peaks))
    return [
        min(
            100,
            round(
                max(peaks[i * len(peaks) // count : (i + 1) * len(peaks) // count])
                * 100
                / FULL_SCALE
            ),
        )
        for i in range(count)
    ]
