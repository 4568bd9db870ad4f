"""python-socketio: only its packets, which compat/socketio/packets.py subclasses."""

import pytest
from socketio import packet

from compat.socketio.packets import NAMESPACE, BadPacket, StrictPacket, encode_packet
from tests.seams.reading import inherited_by, missing, unlike


def test_a_packet_has_what_ours_takes_from_it() -> None:
    # `text` is ours; the rest is set by the library's `__init__`, or read by its `encode`.
    used = inherited_by(StrictPacket) | {"packet_type", "namespace", "id", "data", "json"}
    assert missing(used | {"attachments", "attachment_count"}, packet.Packet()) == []
    assert unlike(StrictPacket, packet.Packet, ["decode", "add_attachment"]) == []


def test_the_types_have_their_numbers() -> None:
    names = ["CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK"]
    assert [getattr(packet, name) for name in names] == [*range(7)]


def test_a_packet_is_decoded_by_ours_as_it_is_made() -> None:
    received = StrictPacket(encoded_packet='27["a",1]')
    assert (received.packet_type, received.id, received.data) == (packet.EVENT, 7, ["a", 1])
    assert StrictPacket(encoded_packet='51-["a",{"_placeholder":true,"num":0}]').attachment_count
    with pytest.raises(BadPacket):
        StrictPacket(encoded_packet="2")


def test_a_packet_is_encoded_with_our_json_and_its_attachments_behind_it() -> None:
    [written] = encode_packet(packet.CONNECT, {"sid": "ä"}).frames
    assert written == '40{"sid":"ä"}'
    assert encode_packet(packet.ACK, ["a"], 3).frames == ('433["a"]',)
    assert encode_packet(packet.CONNECT_ERROR, {}, None, "/x").frames == ("44/x,{}",)
    assert encode_packet(packet.DISCONNECT, namespace=NAMESPACE).frames == ("41",)
    binary = encode_packet(packet.EVENT, ["a", b"\0"]).frames
    assert binary == ('451-["a",{"_placeholder":true,"num":0}]', b"\0")


def test_the_librarys_own_json_is_left_alone() -> None:
    assert packet.Packet.json is not StrictPacket.json
