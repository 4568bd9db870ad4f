"""What every process holds: `{process: {key: number}}`, and the sums over the processes."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

# A user's id, or the name of what is limited.
Key = int | str


@dataclass(slots=True)
class OtherProcess:
    """Another process, as far as it is known here."""

    heard_at: float
    expires_at: float
    version: int | None = None  # None until all that it holds has come
    counts: dict[Key, int] = field(default_factory=dict)
    counted: bool = False  # whether its names count for limits
    asked_at: float = 0.0


class Table:
    """Knows how many processes hold a user, and how many the counted ones have of a name.

    Calls `came(user)` as the first process holds a user, and `went(user, told)` when the last one
    ceases to. `told` says that this last process is alive, and knows of the loss itself.
    """

    def __init__(self) -> None:
        self.came: Callable[[int], None] = lambda user_id: None
        self.went: Callable[[int, bool], None] = lambda user_id, told: None
        self.own: dict[Key, int] = {}
        self.peers: dict[bytes, OtherProcess] = {}
        self.holders: dict[int, int] = {}  # processes that hold the user, this one included
        self.others: Counter[str] = Counter()  # the sum of each name over the counted peers
        self.processes = 1  # this one, and the counted peers

    def change(self, key: Key, by: int) -> None:
        """This process holds so many more, or less."""
        before = self.own.get(key, 0)
        self.own[key] = now = before + by
        if not now:
            del self.own[key]
        if isinstance(key, int):
            self._hold(key, before, now, told=False)

    def apply(self, peer: OtherProcess, news: Mapping[Key, int], *, told: bool) -> None:
        """The peer holds so many now."""
        for key, now in news.items():
            before = peer.counts.pop(key, 0)
            if now:
                peer.counts[key] = now
            if isinstance(key, int):
                self._hold(key, before, now, told=told)
            elif peer.counted:
                self._add(key, now - before)

    def count_in(self, peer: OtherProcess) -> None:
        """Let the peer's names count from now on."""
        peer.counted = True
        self._recount(peer, by=1)

    def count_out(self, peers: Iterable[OtherProcess]) -> bool:
        """Let the peers' names count no more; return whether some did."""
        counted = [peer for peer in peers if peer.counted]
        for peer in counted:
            peer.counted = False
            self._recount(peer, by=-1)
        return bool(counted)

    def have_share(self, name: str, limit: int) -> bool:
        """Whether a process has so many of a name that all together may have reached the limit."""
        if self.own.get(name, 0) * self.processes >= limit:
            return True
        return name in self.others and any(
            peer.counts.get(name, 0) * self.processes >= limit
            for peer in self.peers.values()
            if peer.counted
        )

    def _hold(self, user_id: int, before: int, now: int, *, told: bool) -> None:
        if now and not before:
            self.holders[user_id] = holders = self.holders.get(user_id, 0) + 1
            if holders == 1:
                self.came(user_id)
        elif before and not now:
            self.holders[user_id] -= 1
            if not self.holders[user_id]:
                del self.holders[user_id]
                self.went(user_id, told)

    def _recount(self, peer: OtherProcess, *, by: int) -> None:
        self.processes += by
        for key, count in peer.counts.items():
            if isinstance(key, str):
                self._add(key, by * count)

    def _add(self, name: str, by: int) -> None:
        self.others[name] += by
        if not self.others[name]:
            del self.others[name]
