"""Events of a subscription that come together, and their results for one document."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import msgspec

# The results for so many documents, and for ids of so many lengths, are kept: nearly all clients
# share one. For other clients they are made each time.
MOST_KEPT = 4

Head = Callable[[int], bytes]
Encoded = bytes | msgspec.Raw


class Batch:
    """Events for viewers who may see all of them, each of which looks the same to everybody.

    An event keeps its encoded results in `encoded`, by their encoder.
    """

    __slots__ = ("_pieces", "events")

    def __init__(self, events: Sequence[Any]) -> None:
        self.events = events
        self._pieces: dict[tuple[Hashable, int], list[bytes]] = {}

    def __iter__(self) -> Iterator[Any]:
        return iter(self.events)


class BatchResults:
    """The results of a batch for one document, made once for all who subscribed with it."""

    __slots__ = ("_batch", "_encode")

    def __init__(self, batch: Batch, encode: Callable[[Any], Encoded]) -> None:
        self._batch = batch
        self._encode = encode

    def __iter__(self) -> Iterator[bytes]:
        return map(self._encode_once, self._batch.events)

    def pieces(self, id_size: int, head: Head) -> list[bytes]:
        """Return pieces that, joined by the subscription's id in JSON, are frames of messages.

        `head(size)` returns the head of a frame. Clients' ids differ, but seldom in length: so all
        clients share the pieces.
        """
        kept, key = self._batch._pieces, (self._encode, id_size)
        pieces = kept.get(key)
        if pieces is None:
            pieces = [b""]
            for result in self:
                rest = b'","type":"next","payload":%b}' % result
                pieces[-1] += head(len(_BEGIN) + id_size + len(rest)) + _BEGIN
                pieces.append(rest)
            if len(kept) < MOST_KEPT:
                kept[key] = pieces
        return pieces

    def _encode_once(self, event: Any) -> bytes:
        kept: dict[Hashable, bytes] = event.encoded
        encoded = kept.get(self._encode)
        if encoded is None:
            encoded = bytes(self._encode(event))
            if len(kept) < MOST_KEPT:
                kept[self._encode] = encoded
        return encoded


_BEGIN = b'{"id":"'

# Encoded results that are sent to one subscriber together.
Results = Sequence[Encoded] | BatchResults
