"""Sound and video: which containers and codecs they are, how long, and how loud over time."""

import io
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
from media.formats import ends
from media.formats.frames import tags_start

# The containers that are opened, each named: left to guess, FFmpeg knows playlists too, and opens
# whatever they name.
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
    "u8",
    "s16le",
    "s24le",
    "s32le",
    "f32le",
    "alaw",
    "mulaw",
    "s16be",
    "s24be",
    "s32be",
    "f32be",
)
# A voice note is one of these, by container and codec.
VOICE_TYPES = {
    **{("ogg", codec): "audio/ogg" for codec in ("opus", "vorbis", "flac")},
    **{("matroska", codec): "audio/webm" for codec in ("opus", "vorbis", "pcm_f32le")},
    **{("mov", codec): "audio/mp4" for codec in ("aac", "opus", "mp3", "alac", "flac")},
    **{("mov", codec): "audio/3gpp" for codec in ("amr_nb", "amr_wb")},
    **{("caf", codec): "audio/x-caf" for codec in ("aac", "opus", "alac", "mp3")},
    **{("caf", f"pcm_{kind}"): "audio/x-caf" for kind in PCM},
    **{("wav", f"pcm_{kind}"): "audio/wav" for kind in PCM},
    ("mp3", "mp3"): "audio/mpeg",
    ("aac", "aac"): "audio/aac",
    ("amr", "amr_nb"): "audio/amr",
    ("amr", "amr_wb"): "audio/amr-wb",
    ("flac", "flac"): "audio/flac",
}
VIDEO_TYPES = {"matroska": "video/webm", "mov": "video/mp4"}

# Beyond this, sound is a file like any other: nobody speaks for so long, and it is not decoded.
MAX_VOICE_SECONDS = 3600
SAMPLES_PER_SECOND = 8000
MAX_SAMPLES = MAX_VOICE_SECONDS * SAMPLES_PER_SECOND
WINDOW = 80  # samples: the waveform is gathered in steps of 10 ms
FULL_SCALE = 32767
MAX_INT = 2**31 - 1  # what a column of integers takes, and GraphQL
# Their frames say when they are to be heard: silence may be left out between them. Of the others
# FFmpeg makes the times up.
TIMED = {"ogg", "matroska", "mov"}
# Times are rounded to milliseconds, and frames to their own length.
GAP_SAMPLES = 30 * SAMPLES_PER_SECOND // 1000
SAME_END_SAMPLES = SAMPLES_PER_SECOND // 2


def inspect_sound(file: BinaryIO, demuxer: str) -> Facts | None:
    """Return what the recording or video is; None when the file is neither. Raises Unreadable.

    `demuxer` is FFmpeg's name of the container that the file seems to be.
    """
    certain = demuxer not in {"mp3", "aac"}  # other files may happen to begin like these
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


class _Beginning(io.RawIOBase, BinaryIO):
    """A file without what stands behind a place in it."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file = file
        self._end = end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            return self._file.seek(self._end + offset)
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))


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
    heard = _Heard()
    for at, piece in _decode(container, timed=demuxer in TIMED):
        if not heard.add(at, piece):
            return Facts(kind=FileKind.FILE, media_type=media_type)
    peaks = heard.finish(_header_ms(container) if demuxer in {"mov", "matroska"} else None)
    duration_ms = heard.samples * 1000 // SAMPLES_PER_SECOND
    if not peaks:
        if demuxer in {"mp3", "aac"}:
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
    duration_ms = _header_ms(container)
    if duration_ms is None:
        duration_ms = _last_ms(container)
    return Facts(
        kind=FileKind.FILE,
        media_type=VIDEO_TYPES.get(demuxer, "application/octet-stream"),
        width=width or None,
        height=height or None,
        duration_ms=duration_ms,
    )


def _header_ms(container: InputContainer) -> int | None:
    # In units of FFmpeg's AV_TIME_BASE; a live recording's header has none.
    duration = container.duration
    if duration is None or duration <= 0:
        return None
    promised = duration * 1000 // av.time_base
    return promised if promised <= MAX_INT else None  # months: it is not so


def _last_ms(container: InputContainer) -> int | None:
    """Return when the last packet of a film ends whose header does not know."""
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


class _Heard:
    """How loud it is over time, in one channel: silence that was left out counts."""

    def __init__(self) -> None:
        self.samples = 0
        self._peaks: list[int] = []
        self._waiting = array("h")
        self._first: int | None = None  # when the first is heard, by its own time
        self._origin = 0

    def add(self, at: int | None, piece: "array[int]") -> bool:
        """Add what is heard from then on; False when it is more than is listened to."""
        if at is not None:
            if self._first is None:
                self._first = self._origin = at
            gap = at - self._origin - self.samples
            if gap < -SAMPLES_PER_SECOND:  # the times begin anew
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

        When the header counts from zero, so does the recording: it may begin with silence.
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
    """Yield the sound, in one channel of 16-bit samples, and when each piece is to be heard."""
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    resampler, of = None, None
    for frame in _frames(container, stream):
        if of != (frame.format.name, frame.layout.name, frame.sample_rate):
            of = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLES_PER_SECOND)
        at = None
        if timed and frame.pts is not None and frame.time_base:
            at = int(frame.pts * frame.time_base * SAMPLES_PER_SECOND)
        frame.pts = None  # else a gap would be filled twice
        assert resampler is not None  # noqa: S101  # made with the first frame
        for resampled in resampler.resample(frame):
            yield at, _samples(resampled)
            at = None
    if resampler is not None:
        for resampled in resampler.resample(None):
            yield None, _samples(resampled)


def _frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Yield what can be decoded: a player leaves out a frame that is damaged, and goes on."""
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
