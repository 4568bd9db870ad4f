"""Sound and video: the container and codec, how long it lasts, and how loud it is over time."""

import os
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

import av

# PyAV imports these for the streams of a file; a contained worker can import nothing more.
import av.audio.stream
import av.subtitles.stream
import av.video.stream
from av.container import InputContainer
from av.stream import Disposition

from media.facts import WAVEFORM_VALUES, Facts, FileKind, Unreadable
from media.formats import ends
from media.formats.frames import tags_start

# The containers that FFmpeg may open, with our names of them. Left to guess, it would read
# playlists too, and open the files that they name.
DEMUXERS = {
    "ogg": "Ogg",
    "matroska": "WebM",
    "mov": "MP4",
    "mp3": "MP3",
    "wav": "WAV",
    "aac": "AAC",
    "amr": "AMR",
    "caf": "CAF",
    "flac": "FLAC",
}
PCM = (
    "pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_alaw pcm_mulaw"
    " pcm_s16be pcm_s24be pcm_s32be pcm_f32be"
)
# A voice note is in one of these containers, by one of these codecs.
VOICE_TYPES = {
    (container, codec): media_type
    for container, codecs, media_type in (
        ("ogg", "opus vorbis flac", "audio/ogg"),
        ("matroska", "opus vorbis pcm_f32le", "audio/webm"),
        ("mov", "aac opus mp3 alac flac", "audio/mp4"),
        ("mov", "amr_nb amr_wb", "audio/3gpp"),
        ("caf", f"aac opus alac mp3 {PCM}", "audio/x-caf"),
        ("wav", PCM, "audio/wav"),
        ("mp3", "mp3", "audio/mpeg"),
        ("aac", "aac", "audio/aac"),
        ("amr", "amr_nb", "audio/amr"),
        ("amr", "amr_wb", "audio/amr-wb"),
        ("flac", "flac", "audio/flac"),
    )
    for codec in codecs.split()
}
VIDEO_TYPES = {"matroska": "video/webm", "mov": "video/mp4"}

# Longer sound is a file like any other, and is not decoded: nobody speaks for so long.
MAX_VOICE_SECONDS = 3600
SAMPLES_PER_SECOND = 8000
MAX_SAMPLES = MAX_VOICE_SECONDS * SAMPLES_PER_SECOND
WINDOW = 80  # samples: the waveform is measured in steps of 10 ms
FULL_SCALE = 32767
MAX_INT = 2**31 - 1  # of a column of integers, and of GraphQL
# The containers whose frames have times: silence may be left out between frames. For the others
# FFmpeg makes times up.
TIMED = {"ogg", "matroska", "mov"}
# Frames without a container: a file of another kind may begin like these.
BARE = {"mp3", "aac"}
# A shorter gap is no silence: times are rounded to milliseconds, and to the length of frames.
GAP_SAMPLES = 30 * SAMPLES_PER_SECOND // 1000
SAME_END_SAMPLES = SAMPLES_PER_SECOND // 2


def inspect_sound(file: BinaryIO, demuxer: str) -> Facts | None:
    """Return what the recording or video is; None when the file is neither. Raises Unreadable.

    `demuxer` is FFmpeg's name of the container that the file seems to be.
    """
    certain = demuxer not in BARE
    sound = file if certain else _Beginning(file, tags_start(file))
    sound.seek(0)
    try:
        with av.open(
            sound,
            "r",
            format=demuxer,
            metadata_errors="ignore",
            options={"protocol_whitelist": "none", "format_whitelist": _names(demuxer)},
        ) as container:
            return _inspect(container, file, demuxer)
    except av.FFmpegError as error:
        if not certain:
            return None
        raise Unreadable(f"The {DEMUXERS[demuxer]} file is damaged or cut short") from error


class _Beginning:
    """The first bytes of a file, up to a place in it, as a file that PyAV reads."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file = file
        self._end = end
        self.tell = file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            return self._file.seek(self._end + offset)
        return self._file.seek(offset, whence)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, max(0, self._end - self._file.tell())))


def _names(demuxer: str) -> str:
    return {"mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm"}.get(demuxer, demuxer)


def _inspect(container: InputContainer, file: BinaryIO, demuxer: str) -> Facts | None:
    videos = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if videos:
        return _film(container, videos[0], file, demuxer)
    if not container.streams.audio:
        return Facts(kind=FileKind.FILE)
    codec = container.streams.audio[0].codec_context.codec.canonical_name
    media_type = VOICE_TYPES.get((demuxer, codec))
    if media_type is None:
        return Facts(kind=FileKind.FILE)
    heard = _Loudness()
    for at, piece in _decode(container, timed=demuxer in TIMED):
        if not heard.add(at, piece):
            return Facts(kind=FileKind.FILE, media_type=media_type)
    peaks = heard.finish(_header_ms(container) if demuxer in {"mov", "matroska"} else None)
    duration_ms = heard.samples * 1000 // SAMPLES_PER_SECOND
    if not peaks:
        if demuxer in BARE:
            return None
        raise Unreadable(f"The {DEMUXERS[demuxer]} file has no sound in it")
    if ends.is_cut_short(file, demuxer) or ends.missing_frames(file, demuxer, duration_ms / 1000):
        raise Unreadable(f"The {DEMUXERS[demuxer]} file is cut short")
    return Facts(
        kind=FileKind.VOICE,
        media_type=media_type,
        duration_ms=duration_ms,
        waveform=_waveform(peaks),
    )


def _film(container: InputContainer, film: av.VideoStream, file: BinaryIO, demuxer: str) -> Facts:
    if ends.is_cut_short(file, demuxer):
        raise Unreadable(f"The {DEMUXERS[demuxer]} file is cut short")
    width, height = film.width, film.height
    shape = film.sample_aspect_ratio
    if shape is not None and shape > 0 and shape != 1:
        width = min(MAX_INT, round(width * shape))
    turned = {"mov": ends.is_mp4_turned, "matroska": ends.is_webm_turned}.get(demuxer)
    if turned is not None and turned(file):
        width, height = height, width
    return Facts(
        kind=FileKind.FILE,
        media_type=VIDEO_TYPES.get(demuxer, "application/octet-stream"),
        width=width or None,
        height=height or None,
        duration_ms=_header_ms(container) or _last_ms(container),
    )


def _header_ms(container: InputContainer) -> int | None:
    """Return the duration that the header says; None where it says none, or one of months."""
    duration = (container.duration or 0) * 1000 // av.time_base
    return duration if 0 < duration <= MAX_INT else None


def _last_ms(container: InputContainer) -> int | None:
    """Return when the last packet of a film ends: a live recording's header has no duration."""
    first = last = None
    for packet in container.demux():
        if packet.pts is not None:
            start = packet.pts * packet.time_base
            first = start if first is None else min(first, start)
            end = start + (packet.duration or 0) * packet.time_base
            last = end if last is None else max(last, end)
    if first is None or last is None or not 0 < (last - first) * 1000 <= MAX_INT:
        return None
    return int((last - first) * 1000)


class _Loudness:
    """How loud a recording is over time; silence that was left out between frames counts."""

    def __init__(self) -> None:
        self.samples = 0
        self._peaks: list[int] = []
        self._waiting = array("h")  # samples that do not fill a window yet
        self._first: int | None = None  # the time of the first frame, in samples
        self._origin = 0

    def add(self, at: int | None, piece: "array[int]") -> bool:
        """Add samples that play from the time `at` on; False beyond MAX_SAMPLES."""
        if at is not None:
            if self._first is None:
                self._first = self._origin = at
            gap = at - self._origin - self.samples
            if gap < -SAMPLES_PER_SECOND:  # the file's times start again from the beginning
                self._origin, gap = at - self.samples, 0
            if gap > GAP_SAMPLES:
                if self.samples + gap > MAX_SAMPLES:
                    return False
                self._append(array("h", bytes(2 * gap)))
        self._append(piece)
        return self.samples <= MAX_SAMPLES

    def _append(self, piece: "array[int]") -> None:
        self.samples += len(piece)
        self._waiting.extend(piece)
        whole = len(self._waiting) - len(self._waiting) % WINDOW
        for start in range(0, whole, WINDOW):
            window = self._waiting[start : start + WINDOW]
            self._peaks.append(max(max(window), -min(window)))
        del self._waiting[:whole]

    def finish(self, header_ms: int | None) -> list[int]:
        """Return the loudest sample of each window.

        Where the header's duration counts from zero, the recording begins with silence.
        """
        if self._waiting:
            self._peaks.append(max(max(self._waiting), -min(self._waiting)))
        first = self._first
        if header_ms is not None and first is not None and first > GAP_SAMPLES:
            ends_at = header_ms * SAMPLES_PER_SECOND // 1000
            if abs(first + self.samples - ends_at) <= SAME_END_SAMPLES:
                self._peaks[:0] = [0] * (first // WINDOW)
                self.samples += first
        return self._peaks


def _decode(container: InputContainer, *, timed: bool) -> Iterator[tuple[int | None, "array[int]"]]:
    """Yield the sound in one channel of 16-bit samples, with the time at which each piece plays."""
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    resampler, form = None, None
    for frame in _frames(container, stream):
        if resampler is None or form != (frame.format.name, frame.layout.name, frame.sample_rate):
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLES_PER_SECOND)
        at = None
        if timed and frame.pts is not None and frame.time_base:
            at = int(frame.pts * frame.time_base * SAMPLES_PER_SECOND)
        frame.pts = None  # else the resampler would fill a gap too
        for resampled in resampler.resample(frame):
            yield at, _samples(resampled)
            at = None
    if resampler is not None:
        for resampled in resampler.resample(None):
            yield None, _samples(resampled)


def _frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Yield the frames that can be decoded: like players, without the damaged ones."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _samples(frame: av.AudioFrame) -> "array[int]":
    samples = array("h")
    samples.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
    return samples


def _waveform(peaks: list[int]) -> list[int]:
    count = min(WAVEFORM_VALUES, len(peaks))
    edges = [place * len(peaks) // count for place in range(count + 1)]
    loudest = [max(peaks[start:end]) for start, end in pairwise(edges)]
    return [min(100, round(peak * 100 / FULL_SCALE)) for peak in loudest]
