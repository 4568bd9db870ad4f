"""What a WebSocket's frames come to: the same as by the library's own parser, however they arrive.

server/protocols/websocket.py reads whole text frames by itself, holds what has not come whole, and
writes frames without the library. Each test sends frames, cut anywhere, and holds what the
application hears, and what is written back, to what websockets makes of the same frames.
"""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.protocol import Protocol, Side

from server.protocols.websocket import frame_head
from tests.server.framing import (
    BINARY,
    CLOSE,
    CONT,
    FINAL,
    INVALID_DATA,
    MOST,
    PING,
    PONG,
    TEXT,
    Heard,
    Opened,
    compare,
    cut_at,
    frame,
    read_written,
)

# Where the form of a frame's length changes (RFC 6455 §5.2), and on both sides of it.
EDGES = (0, 1, 125, 126, 127, 65_535, 65_536)


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_sizes_where_the_form_of_the_length_changes(size: int, opcode: int) -> None:
    payload = (b"parley " * (size // 7 + 1))[:size]
    whole = frame(payload, FINAL | opcode)
    around = [frame(b"before"), whole, frame(b"after")]
    for cuts in ((), range(7, 30), [len(whole) // 2], [len(whole) + 11]):
        heard = compare(around, [*cuts])
        assert heard.code is None
        assert len(heard.messages) == 3


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535])
def test_a_length_in_a_longer_form_than_it_needs(size: int) -> None:
    for form in (126, 127):
        compare([frame(b"x" * size, form=form), frame(b"after")], [1, 3, 5])


@pytest.mark.parametrize("size", [MOST - 1, MOST, MOST + 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_message_is_as_large_as_it_may_be_and_not_larger(size: int) -> None:
    announced = frame(b"x" * min(size, MOST + 1), size=size)
    heard = compare([frame(b"before"), announced], [9])
    assert heard.code == (1009 if size > MOST else None)


@pytest.mark.parametrize("last", [MOST - 100, MOST - 99])
def test_fragments_are_as_large_together_as_a_message_may_be(last: int) -> None:
    parts = [frame(b"x" * 60, TEXT), frame(b"y" * 40, CONT), frame(b"z" * last, FINAL | CONT)]
    heard = compare([*parts, frame(b"after")], [50, 80])
    assert heard.code == (1009 if last > MOST - 100 else None)
    # The head is enough to tell: nothing of the fragment is waited for.
    heard = compare([*parts[:2], frame(b"", FINAL | CONT, size=last)], [50, 80])
    assert heard.code == (1009 if last > MOST - 100 else None)


TEXTS = ("ä", "€", "😀", "a😀b", "\ufeff\0\u2028")


@pytest.mark.parametrize("text", TEXTS)
def test_a_character_may_lie_in_several_fragments(text: str) -> None:
    data = text.encode()
    for cut in range(len(data) + 1):
        parts = [frame(data[:cut], TEXT), frame(b"p", FINAL | PING), frame(b"", CONT)]
        heard = compare([*parts, frame(data[cut:], FINAL | CONT)], [3, 9, 14])
        assert heard == Heard([text], [b"p"], None)


BROKEN = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf", b"\xf0\x9f\x98")


@pytest.mark.parametrize("bad", BROKEN)
def test_text_that_is_no_utf_8_is_refused(bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    for before in (b"", b"fine "):
        whole = before + bad
        assert compare([frame(b"first"), frame(whole)]).code == INVALID_DATA
        for cut in range(len(whole) + 1):
            parts = [frame(whole[:cut], TEXT), frame(whole[cut:], FINAL | CONT)]
            heard = compare([frame(b"first"), *parts, frame(b"late")], [8])
            assert heard == Heard(["first"], [], INVALID_DATA)
        assert compare([frame(whole, FINAL | BINARY)]).messages == [whole]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("opcode", range(16))
@pytest.mark.parametrize("bits", [0x10, 0x20, 0x40, 0x70])
def test_reserved_bits_are_refused(opcode: int, bits: int) -> None:
    for final in (0, FINAL):
        heard = compare([frame(b"before"), frame(b"{}", final | bits | opcode)], [9])
        assert heard == Heard(["before"], [], 1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_opcodes_that_mean_nothing_are_refused(opcode: int) -> None:
    for final in (0, FINAL):
        assert compare([frame(b"before"), frame(b"", final | opcode)]).code == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_a_frame_without_a_mask_is_refused(opcode: int) -> None:
    for form in (0, 126, 127):
        bare = frame(b"", FINAL | opcode, mask=None, form=form)
        heard = compare([frame(b"before"), bare])
        assert heard == compare([frame(b"before"), bare, frame(b"after")], [12, 13])
        assert heard == Heard(["before"], [], 1002)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_short_and_whole(opcode: int) -> None:
    for broken in (frame(b"x" * 126, FINAL | opcode), frame(b"", opcode)):
        assert compare([frame(b"before"), broken], [10]).code == 1002
    if opcode != CLOSE:
        assert compare([frame(b"x" * 125, FINAL | opcode)]).code is None


def test_fragments_come_in_order() -> None:
    for frames in (
        [frame(b"stray", FINAL | CONT)],
        [frame(b"stray", CONT)],
        [frame(b"open", TEXT), frame(b"a new one")],
        [frame(b"open", TEXT), frame(b"p", FINAL | PING), frame(b"a new one", FINAL | BINARY)],
        [frame(b"open", BINARY), frame(b"", FINAL | CLOSE)],
    ):
        assert compare([frame(b"before"), *frames], [8, 13]).code == 1002


@pytest.mark.parametrize("code", [0, 999, *range(1000, 1017), 2999, 3000, 4000, 4999, 5000, 65535])
def test_close_codes(code: int) -> None:
    for reason in (b"", b"bye", "ä".encode() * 61, b"\xff"):
        payload = code.to_bytes(2, "big") + reason
        compare([frame(b"before"), frame(payload, FINAL | CLOSE), frame(b"after")], [20])


def test_a_close_without_a_code_and_one_of_half_a_code() -> None:
    assert compare([frame(b"", FINAL | CLOSE)]).code == 1005
    assert compare([frame(b"\x03", FINAL | CLOSE)]).code == 1002


masks = st.one_of(st.just(bytes(4)), st.binary(min_size=4, max_size=4))
payloads = st.one_of(
    st.sampled_from(EDGES).map(lambda size: b"x" * size),
    st.text(max_size=40).map(str.encode),
    st.binary(max_size=130),
    st.sampled_from(BROKEN),
)


@st.composite
def sound_messages(draw: st.DrawFn) -> list[bytes]:
    """A message in fragments, with control frames in between."""
    payload, opcode = draw(payloads), draw(st.sampled_from((TEXT, BINARY)))
    parts = cut_at(payload, draw(st.lists(st.integers(0, 70_000), max_size=3))) or [payload]
    frames = []
    for index, part in enumerate(parts):
        final = FINAL if index == len(parts) - 1 else 0
        frames.append(frame(part, final | (CONT if index else opcode), mask=draw(masks)))
        if not final and draw(st.booleans()):
            control = draw(st.sampled_from((PING, PONG)))
            said = draw(st.binary(max_size=125))
            frames.append(frame(said, FINAL | control, mask=draw(masks)))
    return frames


@st.composite
def any_frame(draw: st.DrawFn) -> list[bytes]:
    """A frame with any first byte, mostly masked, its length written in any form."""
    first, payload = draw(st.integers(0, 255)), draw(payloads)
    mask = draw(st.one_of(masks, masks, masks, st.none()))
    return [frame(payload, first, mask=mask, form=draw(st.sampled_from((0, 0, 0, 127))))]


@given(
    groups=st.lists(st.one_of(sound_messages(), sound_messages(), any_frame()), max_size=6),
    cuts=st.lists(st.integers(0, 200_000), max_size=8),
    most=st.sampled_from((MOST, MOST, 200)),
)
@example(groups=[[frame(b"", TEXT), frame(b"x" * 125, FINAL | PING)]], cuts=[], most=100)
@settings(max_examples=200, deadline=None)
def test_any_frames_come_to_what_the_library_says(
    groups: list[list[bytes]], cuts: list[int], most: int
) -> None:
    compare([one for group in groups for one in group], cuts, most=most)


@pytest.mark.parametrize("size", EDGES)
def test_what_we_write_is_read_by_the_library(size: int) -> None:
    text = "x" * size

    async def write() -> bytes:
        opened = Opened()
        await opened.open()
        writing, send = opened.extensions["parley.write"], opened.send
        assert send is not None
        writing["write"](text.encode())
        writing["write"](b"in ", b"", b"parts")
        await send({"type": "websocket.send", "text": "sent"})
        whole = b"".join(writing["head"](len(part)) + part for part in (b"a", text.encode()))
        writing["write_frames"](whole)
        await send({"type": "websocket.send", "bytes": b"\0"})
        writing["write"](b"last")
        for _ in range(3):
            await asyncio.sleep(0)
        written = opened.wire.written
        await opened.close()
        return written

    messages, pongs, code = read_written(asyncio.run(write()))
    assert messages == [text, "in parts", "sent", "a", text, b"\0", "last"]
    assert (pongs, code) == ([], None)


@pytest.mark.parametrize("size", [*EDGES, 125 * 1024, 2**32])
def test_the_head_of_a_frame_is_the_librarys(size: int) -> None:
    if size <= 125 * 1024:
        theirs = Protocol(Side.SERVER)
        theirs.send_text(b"x" * size)
        [written] = theirs.data_to_send()
        assert frame_head(size) == written[: len(written) - size]
    else:
        assert frame_head(size) == b"\x81\x7f" + size.to_bytes(8, "big")
