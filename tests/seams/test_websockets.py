"""websockets: the parser and the state of a connection, beside which we read text frames."""

from websockets.frames import apply_mask  # type: ignore[attr-defined]  # it is in C, mostly
from websockets.protocol import Protocol, Side, State

from server.protocols.opening import Opening
from server.protocols.websocket import DirectWebSocket
from tests.seams.reading import missing, used_of
from tests.server.framing import CONT, FINAL, TEXT, frame


def _server() -> Protocol:
    return Protocol(Side.SERVER, max_size=100)


def test_a_connection_has_what_we_reach_for() -> None:
    connection = _server()
    used = used_of("self.conn", Opening, DirectWebSocket) | used_of("conn", DirectWebSocket)
    assert {"parser", "reader", "current_size", "state", "fail", "send_close"} <= used
    assert missing(used, connection) == []
    assert missing(used_of("conn.reader", DirectWebSocket), connection.reader) == []


def test_the_parser_can_be_begun_behind_a_handshake_that_was_read_elsewhere() -> None:
    # server/protocols/opening.py: the library's own would wait for a request first.
    from websockets.server import ServerProtocol

    connection = ServerProtocol(max_size=100)
    assert connection.state is State.CONNECTING
    connection.parser = Protocol.parse(connection)
    next(connection.parser)
    connection.state = State.OPEN
    connection.receive_data(frame(b"hi"))
    [event] = connection.events_received()
    assert bytes(event.data) == b"hi"  # type: ignore[union-attr]  # a frame


def test_current_size_tells_whether_a_message_is_open() -> None:
    connection = _server()
    assert connection.current_size is None
    for part, first, size in ((b"ab", TEXT, 2), (b"c", CONT, 3), (b"d", FINAL | CONT, None)):
        connection.receive_data(frame(part, first))
        assert connection.current_size == size


def test_frames_may_be_kept_from_the_parser_between_two() -> None:
    connection = _server()
    connection.receive_data(frame(b"one"))
    assert not connection.reader.buffer  # nothing is held that a frame of ours would come behind
    connection.reader.buffer = bytearray()  # what an emptied one had taken is given back
    connection.receive_data(frame(b"three"))
    assert [bytes(event.data) for event in connection.events_received()] == [b"one", b"three"]  # type: ignore[union-attr]  # frames


def test_failing_writes_a_close_and_ends_the_state() -> None:
    connection = _server()
    connection.fail(1013, "later")
    assert connection.state is not State.OPEN
    assert connection.close_sent is not None
    assert (connection.close_sent.code, connection.close_sent.reason) == (1013, "later")
    assert b"".join(connection.data_to_send()) == b"\x88\x07\x03\xf5later"


def test_a_parser_that_was_closed_holds_no_frame() -> None:
    connection = _server()
    connection.receive_data(frame(b"x" * 50))
    connection.parser.close()
    assert next(connection.parser, "over") == "over"


def test_masks_are_taken_off() -> None:
    assert apply_mask(b"\x00\x01\x02\x03\x04", b"\x01\x02\x03\x04") == b"\x01\x03\x01\x07\x05"
    assert apply_mask(b"", bytes(4)) == b""
