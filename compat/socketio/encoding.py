"""What is sent to Socket.IO clients, encoded once for all who get it."""

from socketio import packet

from compat.socketio.packets import MESSAGE, EncodedEvent, StrictPacket, encode_packet


class EventEncoder:
    """Encodes events and acknowledgements of the default namespace."""

    def encode_event(self, event: str, *args: object) -> EncodedEvent:
        """Encode once, to push to many."""
        return encode_packet(packet.EVENT, [event, *args])

    def encode_text_event(self, event: str, *args: object) -> EncodedEvent:
        """As `encode_event`, for arguments without bytes, which are not looked for."""
        written = StrictPacket.json.dumps([event, *args])
        return EncodedEvent.of(f"{MESSAGE}{packet.EVENT}{written}")

    def encode_text_acknowledgement(self, number: int, *args: object) -> EncodedEvent:
        """As `encode_acknowledgement`, for arguments without bytes, which are not looked for."""
        written = StrictPacket.json.dumps([*args])
        return EncodedEvent.of(f"{MESSAGE}{packet.ACK}{number}{written}")

    def encode_acknowledgement(self, result: object, number: int) -> EncodedEvent:
        """Encode what a handler returned; override it where that has no bytes to look for."""
        args = list(result) if isinstance(result, tuple) else [] if result is None else [result]
        return encode_packet(packet.ACK, args, number)
