"""Real files of every kind, made by the libraries that know them, and hostile ones."""

import io
import math
import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import pillow_heif
from av.container import OutputContainer
from PIL import Image, ImageCms, PngImagePlugin

# The colours of a picture's quarters, as it is meant to be seen: left to right, top to bottom.
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
QUARTERS = (RED, GREEN, BLUE, WHITE)

# What a picture must not tell of: each is found in the bytes of a file that has it.
CAMERA = "Tattletale 3000"
COMMENT = "made at home"
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a secret</x:xmpmeta>"
PLACE = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}

# How a camera that was held so stores a picture that is meant to be seen upright (EXIF 2.3, 4.6.4).
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

Colour = int | tuple[int, ...]


def picture(
    width: int = 640, height: int = 480, mode: str = "RGB", quarters: Iterable[Colour] = QUARTERS
) -> Image.Image:
    """Return a picture of four quarters; its colours are RGB, whatever its mode."""
    image = Image.new("RGB" if mode in {"CMYK", "P"} else mode, (width, height))
    for number, colour in enumerate(quarters):
        left, top = number % 2 * width // 2, number // 2 * height // 2
        right, bottom = (width, width // 2)[number % 2 == 0], (height, height // 2)[number < 2]
        if right > left and bottom > top:
            image.paste(_plain(image.mode, colour, right - left, bottom - top), (left, top))
    return image.convert(mode)


def _plain(mode: str, colour: Colour, width: int, height: int) -> Image.Image:
    if mode == "I;16" and isinstance(colour, int):  # Pillow takes its lower byte alone
        return Image.frombytes(mode, (width, height), struct.pack("<H", colour) * width * height)
    return Image.new(mode, (width, height), colour)


def exif(*, orientation: int | None = None, place: bool = False) -> Image.Exif:
    """Return what a camera tells of a picture."""
    told = Image.Exif()
    told[0x0110] = CAMERA
    if orientation is not None:
        told[0x0112] = orientation
    if place:
        told.get_ifd(0x8825).update(PLACE)
    return told


def encode(image: Image.Image, format_: str, **options: Any) -> bytes:
    """Return the picture as a file of this format, as Pillow writes it."""
    if format_ == "HEIF":
        pillow_heif.register_heif_opener()
    written = io.BytesIO()
    image.save(written, format_, **options)
    return written.getvalue()


def image_file(format_: str, width: int = 640, height: int = 480) -> bytes:
    """Return a clean picture: JPEG, PNG, GIF, WEBP, AVIF or HEIF."""
    return encode(picture(width, height), format_)


def photo(
    format_: str,
    *,
    orientation: int | None = None,
    place: bool = True,
    width: int = 640,
    height: int = 480,
) -> bytes:
    """Return a picture, so large when it is upright, with what a camera tells of it."""
    image = picture(width, height)
    if orientation in _STORED:
        image = image.transpose(_STORED[orientation])
    options: dict[str, Any] = {"exif": exif(orientation=orientation, place=place)}
    if format_ in {"JPEG", "WEBP", "AVIF"}:
        options |= {"xmp": XMP}
    if format_ == "JPEG":
        options |= {"comment": COMMENT}
    if format_ == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", COMMENT)
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    return encode(image, format_, **options)


def colour_profile() -> bytes:
    """Return an ICC profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def animation(
    format_: str, frames: int = 3, width: int = 64, height: int = 48, **options: Any
) -> bytes:
    """Return a picture that changes its colour, each 80 ms: GIF, PNG, WEBP or AVIF."""
    shades = [Image.new("RGB", (width, height), (80 * n % 256, 40, 200)) for n in range(frames)]
    return encode(
        shades[0], format_, save_all=True, append_images=shades[1:], duration=80, **options
    )


# Sound and video: each kind by its container and codec, as FFmpeg names them.
VOICES = {
    "audio/ogg": ("ogg", "libopus"),
    "audio/webm": ("webm", "libopus"),
    "audio/mp4": ("mp4", "aac"),
    "audio/mpeg": ("mp3", "libmp3lame"),
    "audio/wav": ("wav", "pcm_s16le"),
}
_RATE = 48_000
_PIECE = 960  # samples: 20 ms


def voice(media_type: str, *, silence: float = 1.0, tone: float = 1.0, **options: str) -> bytes:
    """Return a recording: so many seconds of silence, then of a tone at half the full scale."""
    return sound(*VOICES[media_type], silence=silence, tone=tone, **options)


def live_voice(*, silence: float = 1.0, tone: float = 1.0) -> bytes:
    """Return WebM as a browser's MediaRecorder writes it: its header does not know how long."""
    return voice("audio/webm", silence=silence, tone=tone, live="1")


def sound(
    container: str, codec: str, *, silence: float = 1.0, tone: float = 1.0, **options: str
) -> bytes:
    """Return a recording in any container and codec; the options are the container's."""
    written = io.BytesIO()
    with av.open(written, "w", format=container, options=options) as output:
        _add_sound(output, codec, silence, tone)
    return written.getvalue()


def mp3_with_cover(*, tone: float = 1.0) -> bytes:
    """Return an MP3 with a picture of its cover before the sound (ID3v2, APIC)."""
    cover = b"\0image/jpeg\0\3\0" + image_file("JPEG", 100, 100)
    frame = b"APIC" + struct.pack(">IH", len(cover), 0) + cover
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame + voice("audio/mpeg", silence=0, tone=tone)


def video(
    container: str = "mp4", codec: str = "libx264", *, seconds: float = 1.0, rotated: int = 0
) -> bytes:
    """Return a film of 64 by 48 pixels, without sound, which players turn by so many degrees."""
    written = io.BytesIO()
    with av.open(written, "w", format=container) as output:
        stream = output.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if rotated:
            stream.set_display_rotation(rotated)
        for number in range(round(seconds * 10)):
            shade = Image.new("RGB", (64, 48), (number * 20 % 256, 0, 0))
            frame = av.VideoFrame.from_image(shade)  # type: ignore[no-untyped-call]  # PyAV's own
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return written.getvalue()


def _add_sound(output: OutputContainer, codec: str, silence: float, tone: float) -> None:
    stream = output.add_stream(codec, rate=_RATE, layout="mono")
    assert isinstance(stream, av.AudioStream)
    resampler = av.AudioResampler(
        format=stream.format.name, layout="mono", rate=_RATE, frame_size=stream.frame_size or _PIECE
    )
    for frame in _frames(silence, tone):
        for fitting in resampler.resample(frame):
            output.mux(stream.encode(fitting))
    for fitting in resampler.resample(None):
        output.mux(stream.encode(fitting))
    output.mux(stream.encode(None))


def _frames(silence: float, tone: float) -> Iterator[av.AudioFrame]:
    samples = array("h", bytes(2 * round(silence * _RATE)))
    samples.extend(
        round(16_000 * math.sin(2 * math.pi * 440 * n / _RATE)) for n in range(round(tone * _RATE))
    )
    for start in range(0, len(samples), _PIECE):
        piece = samples[start : start + _PIECE]
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(piece))
        frame.planes[0].update(piece.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts, frame.time_base = _RATE, start, Fraction(1, _RATE)
        yield frame


# Hostile ones.
HTML = b"<!DOCTYPE html><html><script>alert(document.domain)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def polyglot(format_: str = "JPEG") -> bytes:
    """Return a picture with a page behind it, which a browser that guesses may run."""
    return image_file(format_) + HTML


def truncated(content: bytes, part: float = 0.5) -> bytes:
    """Return the beginning of a file that was cut off."""
    return content[: int(len(content) * part)]


def png_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """Return a small PNG that is a black square of these dimensions: all of it is there."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row * 100) for _ in range(height // 100))
    packed += packer.compress(row * (height % 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def gif_bomb(frames: int, width: int = 8000, height: int = 8000) -> bytes:
    """Return a small GIF of many frames, each one pixel on a canvas of these dimensions."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    # A delay of 0.1 s; one pixel at the left top; the codes are clear, 0, end.
    frame = b"!\xf9\4\0\n\0\0\0," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2D\1\0"
    return b"GIF89a" + screen + frame * frames + b";"


def slow_gif(frames: int = 990, side: int = 1000) -> bytes:
    """Return 1.8 MB that take long to write anew: a comment in them is to be taken out."""
    image = Image.new("P", (side, side), 1)
    image.putpalette([0, 0, 0] + [255, 0, 0] * 255)
    one = encode(image, "GIF")
    begin = one.index(b",", 13 + (3 << (one[10] & 7) + 1))
    return one[:begin] + b"!\xfe\5hello\0" + one[begin:-1] * frames + b";"


def webp_bomb(frames: int, width: int = 8000, height: int = 8000) -> bytes:
    """Return a small animated WebP of many frames on a canvas of these dimensions."""
    still = encode(Image.new("RGB", (2, 2)), "WEBP", lossless=True)[12:]
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = _riff(b"ANMF", bytes(6) + b"\1\0\0\1\0\0" + b"\x64\0\0\0" + still)
    chunks = _riff(b"VP8X", b"\2\0\0\0" + sizes) + _riff(b"ANIM", bytes(6)) + frame * frames
    return _riff(b"RIFF", b"WEBP" + chunks)


def _riff(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def playlist(path: str) -> bytes:
    """Return a playlist (HLS) of another file."""
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{path}\n#EXT-X-ENDLIST\n".encode()


def mp4_elsewhere(path: str) -> bytes:
    """Return an MP4 whose sound is said to be in another file, by an alias (QuickTime, `alis`)."""
    named = path.encode()
    named += bytes(len(named) % 2)
    alias = bytes(150) + struct.pack(">HH", 2, len(named)) + named + b"\xff\xff\0\0"
    entry = struct.pack(">I4sI", len(alias) + 12, b"alis", 0) + alias
    references = struct.pack(">I4sII", len(entry) + 16, b"dref", 0, 1) + entry

    def rewrite(content: bytes) -> bytes:
        made = b""
        while content:
            size, name = struct.unpack_from(">I4s", content)
            box, content = content[:size], content[size:]
            if name in {b"moov", b"trak", b"mdia", b"minf", b"dinf"}:
                inner = rewrite(box[8:])
                box = struct.pack(">I4s", len(inner) + 8, name) + inner
            made += references if name == b"dref" else box
        return made

    return rewrite(voice("audio/mp4"))
