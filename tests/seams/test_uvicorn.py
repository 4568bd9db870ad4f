"""uvicorn: its two protocols, its flow control and its server, which server/ subclasses."""

import asyncio
import socket
import termios
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from server import run
from server.protocols import patience, plain
from server.protocols.flow import BackpressureFlow
from server.protocols.http import ImpatientHTTP
from server.protocols.opening import Opening
from server.protocols.patience import Patience
from server.protocols.websocket import DirectWebSocket
from tests.seams.reading import inherited_by, missing, unlike, used_of
from tests.server.framing import Opened
from tests.server.test_handshake import Wire

# What uvicorn, its parser or the loop calls on a connection of ours. Renamed there, ours would be
# called no more, and nothing would say so.
HTTP_CALLED = (
    *("connection_made", "connection_lost", "data_received", "pause_writing", "resume_writing"),
    *("on_message_begin", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
    *("on_response_complete", "timeout_keep_alive_handler", "send_400_response"),
    "_start_asgi_task",
)
WEBSOCKET_CALLED = (
    *("connection_lost", "data_received", "pause_writing", "resume_writing", "shutdown"),
    *("send_receive_event_to_app", "handle_ping", "keepalive_timeout", "run_asgi"),
    *("send", "send_500_response"),
)


async def _app(scope: Any, receive: Any, send: Any) -> None:
    pass


def _config() -> uvicorn.Config:
    config = uvicorn.Config(_app, lifespan="off", log_config=None, ws="websockets-sansio")
    config.load()
    return config


async def _http() -> tuple[HttpToolsProtocol, Wire]:
    protocol, wire = HttpToolsProtocol(_config(), ServerState(), {}), Wire()
    wire.set_protocol(protocol)
    protocol.connection_made(wire)
    protocol.data_received(b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1")
    return protocol, wire


async def test_the_http_protocol_has_what_ours_takes_from_it() -> None:
    protocol, _ = await _http()
    assert missing(inherited_by(Patience, ImpatientHTTP), protocol) == []
    assert unlike(ImpatientHTTP, HttpToolsProtocol, HTTP_CALLED) == []


async def test_a_request_has_what_ours_reads_and_writes() -> None:
    protocol, _ = await _http()
    used = used_of("cycle", patience, plain, ImpatientHTTP)
    used |= used_of("self.cycle", patience, ImpatientHTTP) | used_of("self._answered", patience)
    assert {"response_complete", "message_event", "body", "disconnected"} <= used
    assert missing(used, protocol.cycle) == []
    protocol.connection_lost(None)


async def test_a_request_counts_its_answer_down_when_it_has_a_length() -> None:
    # server/protocols/plain.py sets both, for an HTTP/1.0 client, which knows no chunks.
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        cycle: RequestResponseCycle = send.__self__
        cycle.chunked_encoding, cycle.expected_content_length = False, 1000
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        sent.append(cycle.expected_content_length)
        cycle.expected_content_length = 0
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    protocol, wire = HttpToolsProtocol(config, state := ServerState(), {}), Wire()
    protocol.connection_made(wire)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.gather(*state.tasks)
    assert sent == [997]
    assert wire.written.endswith(b"\r\n\r\nabc")
    assert b"chunked" not in wire.written
    protocol.connection_lost(None)


def test_flow_control_pauses_once_and_resumes_once() -> None:
    calls: list[str] = []

    class Counting(Wire):
        def pause_reading(self) -> None:
            calls.append("pause")

        def resume_reading(self) -> None:
            calls.append("resume")

    assert unlike(BackpressureFlow, FlowControl, ["resume_reading"]) == []
    flow = BackpressureFlow(Counting())
    flow.block()
    flow.resume_reading()
    assert (calls, flow.read_paused) == (["pause"], True)
    flow.unblock()
    assert (calls, flow.read_paused) == (["pause", "resume"], False)


async def test_the_websocket_protocol_has_what_ours_takes_from_it() -> None:
    protocol = WebSocketsSansIOProtocol(_config(), ServerState(), {})
    protocol.connection_made(Wire())
    # `scope` comes with the handshake, which ours takes instead.
    assert missing(inherited_by(Opening, DirectWebSocket) - {"scope"}, protocol) == []
    assert unlike(DirectWebSocket, WebSocketsSansIOProtocol, WEBSOCKET_CALLED) == []
    protocol.connection_lost(None)


async def test_a_received_message_pauses_reading_unless_it_is_paused_already() -> None:
    # server/protocols/websocket.py says that reading is paused, so that uvicorn does not pause it.
    opened = Opened()
    await opened.open()
    protocol = opened.wire.protocol
    for paused in (False, True):
        protocol.read_paused, protocol.frames = paused, [b"text"]
        protocol.curr_msg_data_type = "text"
        WebSocketsSansIOProtocol.send_receive_event_to_app(protocol)
        assert protocol.read_paused is True
        assert protocol.frames == []
    assert protocol.queue.qsize() == 2
    await opened.close()


async def test_uvicorns_server_has_what_ours_takes_from_it() -> None:
    server = uvicorn.Server(_config())
    server.lifespan = server.config.lifespan_class(server.config)
    used = inherited_by(run.DrainingServer, run.HandedServer)
    assert {"lifespan", "should_exit", "server_state", "config"} <= used
    assert missing(used, server) == []
    assert unlike(run.DrainingServer, uvicorn.Server, ["startup", "shutdown"]) == []


async def test_a_server_that_is_given_no_sockets_listens_nowhere() -> None:
    server = uvicorn.Server(_config())
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[])
    assert server.started
    assert server.servers == []
    await server.shutdown(sockets=[])


@pytest.mark.parametrize("name", ["ws_max_size", "ws_ping_interval", "ws_ping_timeout"])
def test_the_configuration_keeps_what_connections_read(name: str) -> None:
    assert hasattr(_config(), name)


async def test_a_connection_that_is_closed_has_no_descriptor_and_holds_nothing() -> None:
    # The loop's own socket object says -1 then; a timer of ours may still look at it.
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, ours)
    connection = transport.get_extra_info("socket")
    assert connection.fileno() >= 0
    transport.abort()
    await asyncio.sleep(0.05)
    assert connection.fileno() == -1
    assert patience._waiting_bytes(transport, termios.TIOCOUTQ) == 0
    theirs.close()
