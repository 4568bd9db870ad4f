"""What browsers, phones and editors write: the whole recording is taken, as long as it plays."""

from pathlib import Path

import pytest

from media.facts import FileKind
from media.inspector import FileRefused
from tests.media.conftest import Look, Looked
from tests.support import files, sounds

# As Chromium writes MP4.
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"


def _expect(looked: Looked, media_type: str, seconds: float, by: float = 0.15) -> list[int]:
    facts = looked.facts
    assert (facts.kind, facts.media_type) == (FileKind.VOICE, media_type)
    assert facts.duration_ms is not None
    assert abs(facts.duration_ms - seconds * 1000) <= by * 1000
    assert facts.waveform
    return facts.waveform


@pytest.mark.parametrize(
    ("container", "codec", "rate", "media_type"),
    [
        ("mp4", "libopus", 48000, "audio/mp4"),
        ("ipod", "aac", 44100, "audio/mp4"),
        ("ipod", "alac", 44100, "audio/mp4"),
        ("mov", "aac", 44100, "audio/mp4"),
        ("3gp", "aac", 16000, "audio/mp4"),
        ("3gp", "libopencore_amrnb", 8000, "audio/3gpp"),
        ("amr", "libopencore_amrnb", 8000, "audio/amr"),
        ("adts", "aac", 44100, "audio/aac"),
        ("adts", "aac", 16000, "audio/aac"),
        ("mp3", "libmp3lame", 8000, "audio/mpeg"),  # MPEG-2.5
        ("mp3", "libmp3lame", 22050, "audio/mpeg"),  # MPEG-2
        ("caf", "alac", 44100, "audio/x-caf"),
        ("caf", "pcm_s16be", 44100, "audio/x-caf"),
        ("flac", "flac", 44100, "audio/flac"),
        ("ogg", "flac", 44100, "audio/ogg"),
        ("wav", "pcm_mulaw", 8000, "audio/wav"),
    ],
)
async def test_what_phones_and_browsers_record_is_a_voice_note(
    look: Look, container: str, codec: str, rate: int, media_type: str
) -> None:
    content = sounds.phone_voice(container, codec, rate)
    looked = await look(content)
    waveform = _expect(looked, media_type, 2)
    assert min(waveform[10:-10]) >= 30
    assert looked.kept == content


async def test_opus_in_mp4_that_was_written_as_it_came_is_a_voice_note(look: Look) -> None:
    content = sounds.phone_voice("mp4", "libopus", 48000, movflags=FRAGMENTS)
    _expect(await look(content), "audio/mp4", 2)


async def test_an_mp3_with_checksums_is_a_voice_note(look: Look) -> None:
    _expect(await look(sounds.silent_mp3_with_checksums()), "audio/mpeg", 2.4)


GAPS = [("audio/webm", "webm", {}), ("audio/webm", "webm", {"live": "1"}), ("audio/mp4", "mp4", {})]


@pytest.mark.parametrize(("media_type", "container", "options"), GAPS)
async def test_silence_that_was_left_out_is_silence(
    look: Look, media_type: str, container: str, options: dict[str, str]
) -> None:
    spoken = files.voice(media_type, silence=0, tone=4)
    content = sounds.with_gap(spoken, container, gap=6, **options)
    waveform = _expect(await look(content), media_type, 10)
    assert min(waveform[2:18]) >= 40
    assert max(waveform[25:75]) <= 1
    assert min(waveform[82:98]) >= 40


async def test_an_estimate_of_the_bit_rate_is_no_promise(look: Look) -> None:
    # VBR without a header: quiet frames first make FFmpeg think that it is much longer.
    content = sounds.bare_mp3(files.voice("audio/mpeg", silence=6, tone=3))
    _expect(await look(content), "audio/mpeg", 9)


@pytest.mark.parametrize("where", ["ape", "lyrics", "all"])
async def test_tags_behind_an_mp3_are_not_heard(look: Look, where: str) -> None:
    content = sounds.bare_mp3(files.voice("audio/mpeg", silence=0, tone=2))
    tags = {
        "ape": sounds.ape_tag(content * 5),
        "lyrics": sounds.lyrics_tag() + sounds.id3v1_tag(),
        "all": sounds.lyrics_tag() + sounds.ape_tag(content * 5) + sounds.id3v1_tag(),
    }
    looked = await look(content + tags[where])
    _expect(looked, "audio/mpeg", 2)
    assert looked.kept == content + tags[where]


@pytest.mark.parametrize(
    ("media_type", "options"),
    [
        ("audio/webm", {}),
        ("audio/webm", {"live": "1"}),
        ("audio/ogg", {}),
        ("audio/wav", {}),
        ("audio/mp4", {}),
        ("audio/mp4", {"movflags": FRAGMENTS, "frag_duration": "500000"}),
    ],
)
async def test_what_ends_within_a_part_is_refused(
    look: Look, media_type: str, options: dict[str, str]
) -> None:
    whole = files.voice(media_type, silence=0, tone=4, **options)
    with pytest.raises(FileRefused, match="cut short"):
        await look(whole[: len(whole) * 7 // 10])


@pytest.mark.parametrize("open_end", [False, True])
async def test_an_mp4_whose_samples_are_missing_is_refused(
    look: Look, tmp_path: Path, open_end: bool
) -> None:
    path = tmp_path / "voice.mp4"
    path.write_bytes(files.voice("audio/mp4", silence=0, tone=4))
    whole = sounds.index_first(path)
    assert whole.index(b"moov") < whole.index(b"mdat")
    if open_end:  # `mdat` says that it goes to the end of the file, wherever that is
        at = whole.index(b"mdat") - 4
        whole = whole[:at] + bytes(4) + whole[at + 4 :]
    assert (await look(whole)).facts.kind is FileKind.VOICE
    with pytest.raises(FileRefused, match="cut short"):
        await look(whole[: len(whole) * 7 // 10])


async def test_a_recording_that_ends_between_pages_is_whole(look: Look) -> None:
    whole = files.voice("audio/ogg", silence=0, tone=4)
    facts = (await look(whole[: whole.rindex(b"OggS")])).facts
    assert facts.kind is FileKind.VOICE


async def test_a_live_recording_ends_where_it_ends(look: Look) -> None:
    whole = sounds.without_sizes(files.live_voice(silence=0, tone=4))
    facts = (await look(whole[: len(whole) * 3 // 4])).facts
    assert facts.kind is FileKind.VOICE
    assert facts.duration_ms is not None
    assert 2500 < facts.duration_ms < 3500


async def test_an_mp3_that_ends_within_a_frame_is_heard(look: Look) -> None:
    content = sounds.bare_mp3(files.voice("audio/mpeg", silence=0, tone=3))
    _expect(await look(content[:-50]), "audio/mpeg", 3)


@pytest.mark.parametrize(
    "start",
    [b"\xff\xfb\x90\xc0", b"\xff\xf1\x50\x80\x04\x3f\xfc", b"\xff\xfe", b"ID3\4\0\0\0\0\0\1"],
)
async def test_two_bytes_do_not_make_a_recording(look: Look, start: bytes) -> None:
    content = start + files.HTML * 40
    looked = await look(content)
    assert (looked.facts.kind, looked.kept) == (FileKind.FILE, content)
    assert looked.facts.media_type == "application/octet-stream"


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("container", ["mp4", "mov"])
async def test_a_film_is_as_large_as_it_is_shown(look: Look, container: str, degrees: int) -> None:
    content = files.video(container, rotated=degrees)
    facts = (await look(content)).facts
    assert (facts.width, facts.height) == ((64, 48) if degrees % 180 == 0 else (48, 64))
