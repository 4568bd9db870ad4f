"""Events of a subscription that come together, and their results for one document."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import msgspec

# How many documents' results, and how many lengths of ids, an event or a batch keeps: nearly all
# clients share one. For the other clients the result is made anew each time.
MOST_KEPT = 4

Head = Callable[[int], bytes]
Encoded = bytes | msgspec.Raw


class Batch:
    """Events that every reader of the batch may see, and that are the same for everybody.

    Each event has a dictionary `encoded`: its results, by the function that encoded them.
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
        """Return the frames of the batch's messages in pieces; the subscription's id joins them.

        `head(size)` is what comes before a message of that size on the wire. Clients' ids differ,
        but seldom in length: with ids of one length all pieces are the same.
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
