"""Voice notes: which they are, how long, and what is heard when; what only looks like one."""

import wave
from io import BytesIO

import pytest

from media.facts import Facts, FileKind
from tests.media.conftest import Look
from tests.support import files


def _expect_voice(facts: Facts, media_type: str, seconds: float) -> list[int]:
    assert (facts.kind, facts.media_type) == (FileKind.VOICE, media_type)
    assert (facts.width, facts.height, facts.rewritten) == (None, None, False)
    assert facts.duration_ms is not None
    assert abs(facts.duration_ms - seconds * 1000) <= 50
    assert facts.waveform is not None
    assert 1 <= len(facts.waveform) <= 100
    assert all(0 <= value <= 100 for value in facts.waveform)
    return facts.waveform


@pytest.mark.parametrize("media_type", files.VOICES)
async def test_a_recording_is_measured_and_kept_as_it_is(look: Look, media_type: str) -> None:
    content = files.voice(media_type, silence=1.5, tone=1.5)
    facts, thumbnail, kept = await look(content)
    waveform = _expect_voice(facts, media_type, 3)
    assert len(waveform) == 100
    # Silence, then a tone at half the full scale; where they meet an encoder may blur a little.
    assert max(waveform[:48]) <= 1
    assert all(44 <= value <= 54 for value in waveform[53:98])
    assert kept == content
    assert thumbnail == b""


@pytest.mark.parametrize("media_type", files.VOICES)
async def test_silence_is_all_zeros(look: Look, media_type: str) -> None:
    facts, _, _ = await look(files.voice(media_type, silence=1, tone=0))
    assert set(_expect_voice(facts, media_type, 1)) == {0}


async def test_a_recording_whose_header_knows_no_duration_is_measured(look: Look) -> None:
    content = files.live_voice(silence=0.5, tone=2)
    assert b"\x44\x89" not in content[:300]  # no Duration element (Matroska, 0x4489)
    facts, _, kept = await look(content)
    waveform = _expect_voice(facts, "audio/webm", 2.5)
    assert max(waveform[:18]) <= 1
    assert min(waveform[22:98]) >= 44
    assert kept == content


@pytest.mark.parametrize("seconds", [0.02, 0.3, 1.01, 61])
async def test_a_waveform_has_a_value_for_each_10_ms_and_no_more_than_a_hundred(
    look: Look, seconds: float
) -> None:
    facts, _, _ = await look(files.voice("audio/wav", silence=0, tone=seconds))
    waveform = _expect_voice(facts, "audio/wav", seconds)
    assert len(waveform) == min(100, round(seconds * 100))
    assert min(waveform) >= 44


async def test_an_mp3_with_a_cover_is_a_recording_still(look: Look) -> None:
    content = files.mp3_with_cover(tone=1.2)
    facts, _, kept = await look(content)
    assert min(_expect_voice(facts, "audio/mpeg", 1.2)[2:-2]) >= 40
    assert kept == content


async def test_the_loudest_is_a_hundred_and_no_more(look: Look) -> None:
    written = BytesIO()
    with wave.open(written, "wb") as recording:
        recording.setparams((2, 2, 8000, 0, "NONE", ""))
        recording.writeframes((b"\x00\x80" * 2 + b"\xff\x7f" * 2) * 4000)
    facts, _, _ = await look(written.getvalue())
    assert set(_expect_voice(facts, "audio/wav", 1)) <= {99, 100}


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le"])
async def test_a_wav_of_any_depth_is_a_recording(look: Look, codec: str) -> None:
    facts, _, _ = await look(files.sound("wav", codec))
    waveform = _expect_voice(facts, "audio/wav", 2)
    assert max(waveform[:48]) <= 1
    assert min(waveform[52:]) >= 44


@pytest.mark.parametrize(
    ("container", "codec", "media_type"),
    [("mp4", "libx264", "video/mp4"), ("webm", "libvpx", "video/webm")],
)
async def test_a_film_is_a_file_with_its_size_and_its_length(
    look: Look, container: str, codec: str, media_type: str
) -> None:
    content = files.video(container, codec, seconds=1)
    facts, thumbnail, kept = await look(content)
    assert (facts.kind, facts.media_type) == (FileKind.FILE, media_type)
    assert (facts.width, facts.height, facts.waveform) == (64, 48, None)
    assert facts.duration_ms is not None
    assert abs(facts.duration_ms - 1000) <= 100
    assert (kept, thumbnail) == (content, b"")


async def test_a_film_that_says_it_lasts_for_months_has_no_length(look: Look) -> None:
    content = files.video()
    for box in (b"mvhd", b"mdhd"):
        at = content.index(box) + 16  # version and flags, made, changed; then the units
        content = content[:at] + (1).to_bytes(4, "big") + b"\x7f\xff\xff\xff" + content[at + 8 :]
    facts, _, _ = await look(content)
    assert facts.kind is FileKind.FILE
    assert facts.duration_ms is None or facts.duration_ms < 2**31  # what GraphQL's Int can say


@pytest.mark.parametrize(
    ("container", "codec"),
    [("matroska", "aac"), ("aiff", "pcm_s16be"), ("au", "pcm_s16be"), ("mp2", "mp2")],
)
async def test_other_sound_is_a_file_and_is_not_shown(
    look: Look, container: str, codec: str
) -> None:
    content = files.sound(container, codec)
    facts, _, kept = await look(content)
    assert facts.kind is FileKind.FILE
    assert not facts.media_type.startswith(("audio/", "video/", "image/", "text/"))
    assert (facts.duration_ms, facts.waveform) == (None, None)
    assert kept == content


async def test_more_than_an_hour_is_a_file(look: Look) -> None:
    content = _hours_of_silence(3601)
    facts, _, _ = await look(content)
    assert (facts.kind, facts.waveform) == (FileKind.FILE, None)
    facts, _, _ = await look(_hours_of_silence(3599))
    assert set(_expect_voice(facts, "audio/wav", 3599)) == {0}


def _hours_of_silence(seconds: int) -> bytes:
    written = BytesIO()
    with wave.open(written, "wb") as recording:
        recording.setparams((1, 1, 1000, 0, "NONE", ""))
        recording.writeframes(b"\x80" * 1000 * seconds)
    return written.getvalue()
