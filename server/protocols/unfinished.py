"""The memory that a process spends on bodies and messages that have not come whole.

Each body is bounded, and so is the number of connections; a thousand of them could still hold a
gigabyte. Beyond the bound of the process, the address that holds most loses its largest body.
"""

from typing import Protocol

from server.logs import RareWarning


class Holder(Protocol):
    """A connection with something unfinished."""

    caller: str

    def give_up(self) -> None:
        """End it, and say why."""


class Unfinished:
    """The bytes held for each connection that has something unfinished."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.total = 0  # bytes, of all connections
        self._held: dict[str, dict[Holder, int]] = {}
        self._sums: dict[str, int] = {}
        self._addresses: dict[Holder, str] = {}  # by which each is counted off
        self._full = RareWarning(
            "Unfinished requests and messages hold more than MAX_UNFINISHED_BYTES (%d);"
            " those of %s, which hold most, are ended"
        )

    def hold(self, holder: Holder, size: int) -> None:
        """Note how much the connection holds. Beyond the bound one is ended, perhaps this one."""
        address = self._addresses.setdefault(holder, holder.caller)
        held = self._held.setdefault(address, {})
        more = size - held.get(holder, 0)
        held[holder] = size
        self.total += more
        self._sums[address] = self._sums.get(address, 0) + more
        while self.total > self._most:
            self._end_one()

    def release(self, holder: Holder) -> None:
        """Note that the connection holds nothing any more. May be called again."""
        address = self._addresses.pop(holder, None)
        if address is None:
            return
        size = self._held[address].pop(holder)
        self.total -= size
        self._sums[address] -= size
        if not self._held[address]:
            del self._held[address], self._sums[address]

    def _end_one(self) -> None:
        address = max(self._sums, key=self._sums.__getitem__)
        held = self._held[address]
        victim = max(held, key=held.__getitem__)
        self._full.log(self._most, address or "unknown addresses")
        self.release(victim)
        victim.give_up()
