"""httptools: in which order and how its parser tells of a request, an upgrade and trailers."""

import httptools
import pytest


class Told:
    """What the parser calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails: Exception | None = None

    def on_message_begin(self) -> None:
        self.calls.append("begin")

    def on_url(self, url: bytes) -> None:
        self.calls.append(f"url {url.decode()}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.calls.append(f"header {name.decode()}")

    def on_headers_complete(self) -> None:
        self.calls.append("headers")
        if self.fails is not None:
            raise self.fails

    def on_chunk_header(self) -> None:
        self.calls.append("chunk")

    def on_body(self, body: bytes) -> None:
        self.calls.append(f"body {body.decode()}")

    def on_message_complete(self) -> None:
        self.calls.append("complete")


def test_chunks_and_trailers_are_told_of() -> None:
    told = Told()
    parser = httptools.HttpRequestParser(told)
    parser.feed_data(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    parser.feed_data(b"2\r\nab\r\n0\r\nTrailer: x\r\n\r\n")
    before, _, behind = " ".join(told.calls).partition("headers ")
    assert before == "begin url /a header Transfer-Encoding "
    # server/protocols/http.py takes what comes behind the head for a trailer.
    assert behind == "chunk body ab chunk header Trailer complete"


def test_an_upgrade_stops_the_parser_behind_the_head_and_says_where() -> None:
    parser = httptools.HttpRequestParser(told := Told())
    head = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as caught:
        parser.feed_data(head + b"\x81\x80\0\0\0\0")
    assert caught.value.args[0] == len(head)
    assert parser.should_upgrade()
    assert told.calls[-1] == "complete"


def test_what_a_callback_raises_is_the_context_of_the_parsers_error() -> None:
    told = Told()
    told.fails = UnicodeError("on purpose")
    parser = httptools.HttpRequestParser(told)
    with pytest.raises(httptools.HttpParserCallbackError) as caught:
        parser.feed_data(b"GET / HTTP/1.1\r\n\r\n")
    assert caught.value.__context__ is told.fails
    assert isinstance(caught.value, httptools.HttpParserError)


def test_a_request_behind_a_close_can_be_let_through() -> None:
    parser = httptools.HttpRequestParser(Told())
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    parser.feed_data(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n")


def test_a_target_is_taken_apart() -> None:
    parsed = httptools.parse_url(b"/a%20b?c=d")
    assert (parsed.path, parsed.query) == (b"/a%20b", b"c=d")
