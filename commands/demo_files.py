"""What the demo's people send each other, made in code: a lake, portraits, a tune."""

import io
import math
import struct
import wave

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]

LAKE = (960, 640)
HORIZON = 380
RATE = 16_000
# Each note of the tune: half steps above the A of 440 Hz, and how long it lasts in seconds.
NOTES = ((3, 0.4), (7, 0.4), (10, 0.4), (15, 0.8), (12, 0.4), (10, 0.4), (7, 0.4), (3, 1.0))


def lake() -> bytes:
    """Return a lake in the evening, as JPEG."""
    picture = _gradient(LAKE, (72, 60, 120), (250, 176, 120))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((560, HORIZON - 120, 690, HORIZON + 10), fill=(255, 226, 160))
    for height, colour in ((120, (88, 70, 120)), (70, (62, 52, 96))):
        ridge = [
            (x, HORIZON - height * (0.6 + 0.4 * math.sin(x / 97 + height) * math.cos(x / 41)))
            for x in range(0, LAKE[0] + 8, 8)
        ]
        draw.polygon([(0, HORIZON), *ridge, (LAKE[0], HORIZON)], fill=colour)
    above = picture.crop((0, HORIZON - (LAKE[1] - HORIZON), LAKE[0], HORIZON))
    water = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).filter(ImageFilter.GaussianBlur(4))
    water = Image.blend(water, Image.new("RGB", water.size, (40, 52, 92)), 0.4)
    picture.paste(water, (0, HORIZON))
    return _encoded(picture, "JPEG")


def portrait(colour: Colour) -> bytes:
    """Return somebody in front of a wall of this colour, as PNG."""
    light = (min(255, colour[0] + 70), min(255, colour[1] + 70), min(255, colour[2] + 70))
    picture = _gradient((256, 256), light, colour)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((84, 52, 172, 148), fill=(255, 236, 214))
    draw.ellipse((36, 164, 220, 360), fill=(255, 255, 255))
    return _encoded(picture, "PNG")


def tune() -> bytes:
    """Return some bars of a tune, as WAV."""
    samples: list[int] = []
    for half_steps, seconds in NOTES:
        pitch = 440 * 2 ** (half_steps / 12)
        count = round(seconds * RATE)
        for index in range(count):
            loudness = min(1, index / 400) * (1 - index / count) ** 1.5  # struck, then fading
            samples.append(round(20_000 * loudness * math.sin(2 * math.pi * pitch * index / RATE)))
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return written.getvalue()


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    mask = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), mask)


def _encoded(picture: Image.Image, form: str) -> bytes:
    written = io.BytesIO()
    picture.save(written, form)
    return written.getvalue()
