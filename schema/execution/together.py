"""Events of a subscription that come together: shown once for all, sent to each as one piece."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

# Of so many documents' results, and of ids of so many lengths, what was made is kept: nearly all
# clients share one. What others ask for is made anew for each.
MOST_KEPT = 4

Head = Callable[[int], bytes]


class Together:
    """Events for whoever may see all of them, each of which looks the same to everybody.

    An event keeps what was made of it in its `encoded`, by who made it.
    """

    __slots__ = ("_pieces", "events")

    def __init__(self, events: Sequence[Any]) -> None:
        self.events = events
        self._pieces: dict[tuple[Hashable, int], list[bytes]] = {}

    def __iter__(self) -> Iterator[Any]:
        return iter(self.events)


class Results:
    """The results of one document for such events."""

    __slots__ = ("_encode", "_together")

    def __init__(self, together: Together, encode: Callable[[Any], bytes]) -> None:
        self._together = together
        self._encode = encode

    def __iter__(self) -> Iterator[bytes]:
        return map(self._encoded, self._together.events)

    def pieces(self, id_size: int, head: Head) -> list[bytes]:
        """Return what the subscription's id, in JSON, goes between: then it is frames of messages.

        `head(size)` is what comes before a message on the wire. Clients' ids differ, but seldom in
        length: then all else is the same for all.
        """
        kept, key = self._together._pieces, (self._encode, id_size)
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

    def _encoded(self, event: Any) -> bytes:
        kept: dict[Hashable, bytes] = event.encoded
        encoded = kept.get(self._encode)
        if encoded is None:
            encoded = bytes(self._encode(event))
            if len(kept) < MOST_KEPT:
                kept[self._encode] = encoded
        return encoded


_BEGIN = b'{"id":"'
