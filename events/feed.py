"""The live feed: follows the log and delivers each entry once, in order, to its recipients.

A message goes to the sinks of its people. Every other fact goes to the listeners of its kind
(events/control.py), and if users are shown it, to those sinks of its audience that want facts.
Each process has one feed, and nothing else in it follows the log.

Reads may lag: a replica, or a node of a cluster, gets an entry a little after its commit. The feed
knows which position it is to reach, and reads from the database that is written before it waits.

A database may lose the log's tail, when a server takes over that had not got it yet. The feed
remembers when each of its last entries was stored, and so notices that other entries stand in their
place: it goes back to the last entry that is still there, and has every subscriber begin anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Generic, TypeVar

from events.control import Control
from events.facts import Entry, Everybody, Fact, Members, MembersChanged
from events.hub import CONVERSATION, Hub
from events.remembered import REMEMBERED, Remembered, Visibility
from events.typing import Typing

logger = logging.getLogger("parley.feed")

E = TypeVar("E", bound=Entry)

# Reads the log's entries with after < position <= upto, in order, at most `limit` of them.
ReadEntries = Callable[[int, int, int], Awaitable[Sequence[E | Fact]]]
ReadHead = Callable[[], Awaitable[int]]
# Reads, where it is written, the head and at most `limit` entries past a position, in order.
ReadWritten = Callable[[int, int], Awaitable[tuple[int, Sequence[E | Fact]]]]

PAGE = 500
RETRY_SECONDS = 1.0
# An announced entry that no database has yet is looked for again after so long.
BEHIND_SECONDS = 0.1
# Batches of two processes may be announced out of order. The feed waits so long for the earlier
# announcement before it reads the batch from the log.
HOLE_SECONDS = 0.02
# So many later batches are kept meanwhile; more are read from the log too.
MAX_EARLY = 100
# An announced entry that is not in the log after so long is of no log of ours.
PROMISE_SECONDS = 30.0
# For so long after a loss, a cursor from before it is moved back to the place of the loss: some
# messages may come twice instead of never.
STALE_CURSOR_SECONDS = 300.0
# The size of an entry beside its content, roughly, for the limits in bytes.
ENTRY_BYTES = 300


class LogBehind(Exception):
    """No database has the announced entry yet."""


class Feed(Generic[E]):
    """Delivers all entries up to `position`; announcements move it on.

    An announcement is only a hint. Where one was lost, or the outcome of a commit was unknown, the
    feed reads the entries before it from the log first. `poll_seconds()` says after how long the
    feed looks at the head without an announcement, in case the last one was lost; None for never.
    `others` is called, perhaps repeatedly, when entries come that were not announced. `visibility`
    says who may see an entry. `heard` is called with each entry for two people. `members_changed`
    is called with each fact that people joined or left a group, in the log's order. An entry ends
    what its sender was `typing`.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        read_entries: ReadEntries[E],
        read_head: ReadHead,
        read_written: ReadWritten[E],
        visibility: Visibility,
        control: Control,
        others: Callable[[], None] = lambda: None,
        poll_seconds: Callable[[], float | None] = lambda: None,
        heard: Callable[[E], None] | None = None,
        members_changed: Callable[[Fact, MembersChanged], None] | None = None,
        typing: Typing | None = None,
    ) -> None:
        self._hub = hub
        self._read_entries = read_entries
        self._read_head = read_head
        self._read_written = read_written
        self.visibility = visibility
        self._control = control
        self._others = others
        self._poll_seconds = poll_seconds
        self._heard = heard
        self._members_changed = members_changed
        self._typing = typing
        # Live: empty while nobody types, so that a message costs no call.
        self._typists: Mapping[Any, Any] = {} if typing is None else typing.known
        control.follow(self)
        self._early: dict[int, Sequence[E | Fact]] = {}
        self._behind = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self.position = 0
        # The furthest position that a plain read is known to see.
        self.reads_reach = 0
        self._remembered: Remembered[E] = Remembered(visibility)
        self._doubted = False  # whether the log may have lost its tail
        self._promised, self._promised_at = 0, 0.0  # the last position that was announced
        self._unannounced = 0  # the last position that was read unasked
        # The last loss: the log went back to the first of these from the second.
        self._lost: tuple[int, int, float] | None = None

    @property
    def promised(self) -> int:
        """The last position that was announced; it may not be handed out yet."""
        return self._promised

    async def start(self) -> None:
        """Begin at the log's head."""
        try:
            self.position, _ = await self._read_written(0, 0)
        except Exception as error:  # nothing can be written now: the head of a replica will do
            logger.warning("Could not ask where it is written for the log's head (%r)", error)
            self.position = await self._read_head()
        self._follower = asyncio.create_task(self._catch_up(), name="feed")

    async def close(self) -> None:
        """End the following."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            self._follower = None

    def announce(self, batch: Sequence[E | Fact]) -> None:
        """Hand out a committed batch, which has no gaps, after the entries before it."""
        first, last = batch[0].id, batch[-1].id
        if self._unannounced and last >= self._unannounced:
            if first > self._unannounced:
                self._others()  # ours are announced in order: it was not ours
            self._unannounced = 0
        if self._doubted:
            self.catch_up()
        elif first <= self.position + 1:
            entries: Sequence[E | Fact] | None = batch
            while entries is not None:
                for entry in entries:
                    if entry.id > self.position:
                        self._hand_out(entry)
                    elif not self._remembered.may_hold(entry):
                        self._doubt()
                        return
                entries = self._early.pop(self.position + 1, None)
        else:
            if len(self._early) < MAX_EARLY:
                self._early[first] = batch
            if last > self._promised:
                self._promised, self._promised_at = last, monotonic()
            asyncio.get_running_loop().call_later(HOLE_SECONDS, self._fill, last)

    def resume_from(self, after: int) -> int:
        """Return the position to resume from: `after`, or the place where the log lost it."""
        if self._lost is not None:
            kept, last, at = self._lost
            stale = after > self.position or monotonic() - at < STALE_CURSOR_SECONDS
            if kept < after <= last and stale:
                return kept
        return after

    def recent(
        self,
        user_id: int,
        after: int,
        upto: int,
        *,
        broadcasts_after: int = 0,
        groups: bool = False,
    ) -> Sequence[E] | None:
        """Return the messages past `after`, up to `upto`, that the user may see, from memory.

        None where not all of these entries are kept. So a crowd that comes back at once needs no
        read of the log. Broadcasts up to `broadcasts_after` are not shown to the user, and what was
        written in groups only with `groups`: None too where the user's groups are not known.
        """
        if upto > self.position:
            return None
        return self._remembered.messages(user_id, after, upto, broadcasts_after, groups=groups)

    def recent_events(
        self, user_id: int, after: int, upto: int, *, broadcasts_after: int = 0, groups: bool
    ) -> Sequence[E | Fact] | None:
        """Return these messages, and the facts that the user is shown, from memory.

        None also where only the database knows whether the user is shown a fact.
        """
        if upto > self.position:
            return None
        return self._remembered.events(user_id, after, upto, broadcasts_after, groups=groups)

    def _fill(self, last: int) -> None:
        if self.position < last:
            self.catch_up()

    def catch_up(self) -> None:
        """Read what is missing from the log soon."""
        self._behind.set()

    async def _catch_up(self) -> None:
        failing = False
        while True:
            unasked = False
            try:
                async with asyncio.timeout(self._poll_seconds()):
                    await self._behind.wait()
            except TimeoutError:
                unasked = True  # in case the last announcement was lost
            self._behind.clear()
            try:
                await self._read_missing(unasked=unasked)
                failing = False
            except LogBehind:
                await asyncio.sleep(BEHIND_SECONDS)
                self._behind.set()
            except Exception as error:
                # One traceback for an outage, however often it is tried.
                logger.error(
                    "Could not read the log past %d; trying again (%r)",
                    self.position,
                    error,
                    exc_info=not failing,
                )
                failing = True
                await asyncio.sleep(RETRY_SECONDS)
                self._behind.set()

    async def _read_missing(self, *, unasked: bool) -> None:
        if unasked and self._unannounced:
            self._others()  # they were not ours: ours are announced at once
        known = self.position
        head = await self._read_head()
        self.reads_reach = max(self.reads_reach, head)
        if self._doubted or head < known:
            await self._look_for_a_loss(known)
        elif unasked and head == known > 0:
            for entry in await self._read_entries(known - 1, known, 1):
                self._accept_read(entry)
        head = max(head, self._promise())
        while self.position < head and not self._doubted:
            before = self.position
            # One more at first, which was handed out: whether it is still the same.
            again = int(before == known > 0)
            for entry in await self._read_entries(before - again, head, PAGE + again):
                self._accept_read(entry, unasked=unasked)
            if self.position == before and not self._doubted:
                # The database that was read does not have it yet, or the position holds nothing.
                written, entries = await self._read_written(before, PAGE)
                self._pass_over(before, entries[0].id - 1 if entries else written)
                for entry in entries:
                    self._accept_read(entry, unasked=unasked)
            if self.position == before and not self._doubted:
                if before < self._promised:
                    raise LogBehind
                raise RuntimeError(f"the log has no entry at {before + 1}, below its head")
        for first in [first for first in self._early if first <= self.position]:
            del self._early[first]

    def _pass_over(self, before: int, last: int) -> None:
        """Go on past positions that hold nothing in the database that is written.

        Their rows were removed after LOG_KEPT_DAYS. Positions are stored in order: one that is not
        there while a later one is will never be.
        """
        if self.position == before < last and not self._doubted:
            logger.warning("The log holds nothing from %d to %d: passed over", before + 1, last)
            self.position = last

    def _promise(self) -> int:
        """Return the last announced position, which the log must reach."""
        if self._promised > self.position and monotonic() - self._promised_at > PROMISE_SECONDS:
            logger.error("Position %d was announced, and is not in the log", self._promised)
            self._promised = 0
            self._early.clear()
        return self._promised

    def _accept_read(self, entry: E | Fact, *, unasked: bool = False) -> None:
        # Announcements may have handed it out while the page was being read.
        if entry.id == self.position + 1 and not self._doubted:
            self._hand_out(entry)
            if unasked and not isinstance(entry, Fact):  # the command line may store facts
                self._unannounced = entry.id
        elif not self._remembered.may_hold(entry):
            self._doubt()

    def _doubt(self) -> None:
        self._doubted = True
        self.catch_up()

    async def _look_for_a_loss(self, known: int) -> None:
        """Go back where the log has lost or replaced entries that were handed out."""
        head, last = await self._read_written(max(known - 1, 0), 1)
        if not self._doubted and head >= known and all(map(self._remembered.may_hold, last)):
            return  # the database that was read first only lags
        _, entries = await self._read_written(max(known - REMEMBERED, 0), REMEMBERED)
        others = (entry.id for entry in entries if not self._remembered.may_hold(entry))
        kept = min(next(others, known + 1) - 1, head)
        self._doubted = False
        if kept < known:
            self._go_back(kept)

    def _go_back(self, kept: int) -> None:
        last = self.position
        logger.error(
            "The log has lost its last %d positions, %d to %d, which were acknowledged: the"
            " database is another one, or an older copy. Everybody goes on from %d",
            last - kept, kept + 1, last, kept,
        )  # fmt: skip
        if self._lost is not None and monotonic() - self._lost[2] < STALE_CURSOR_SECONDS:
            kept_before, last_before, _ = self._lost
            self._lost = (min(kept, kept_before), max(last, last_before), monotonic())
        else:
            self._lost = (kept, last, monotonic())
        self.position = kept
        self.reads_reach = min(self.reads_reach, kept)
        self._promised = self._unannounced = 0
        self._early.clear()
        self._remembered.go_back(kept)
        self._hub.interrupt()
        self._control.go_back(kept)
        self.catch_up()

    def _hand_out(self, entry: E | Fact) -> None:
        self.position = entry.id
        self._remembered.put(entry)
        if type(entry) is Fact:
            self._control.hand_over(entry)
            if type(entry.body) is MembersChanged:
                self._change_members(entry, entry.body)
            elif entry.is_shown and entry.is_whole:
                self._show(entry)
            return
        if self._typists and self._typing is not None:
            self._typing.end(entry)
        size = len(entry.content) + ENTRY_BYTES
        if entry.metadata_json is not None:
            size += len(entry.metadata_json)
        recipients = self.visibility.recipients(entry)
        if type(recipients) is tuple:
            if self._heard is not None:
                self._heard(entry)
            self._hub.deliver(entry, size, recipients)
        elif type(recipients) is Members:
            topic = (CONVERSATION, recipients.conversation_id)
            self._hub.publish(entry, size, topic, entry.sender_id)
        elif type(recipients) is Everybody:
            self._hub.broadcast(entry, size, entry.sender_id, apart=recipients.apart)

    def _change_members(self, fact: Fact, changed: MembersChanged) -> None:
        """Move the connections of people who join or leave a group, between two messages of it.

        All of them are shown the fact. Control would be too early for this: it hands facts over
        before the messages that stand before them.
        """
        topic = (CONVERSATION, changed.conversation_id)
        for user_id in changed.joined:
            self._hub.join_group(user_id, topic)
        if self._members_changed is not None:
            self._members_changed(fact, changed)
        self._show(fact)
        for user_id in changed.left:
            self._hub.quit_group(user_id, topic)

    def _show(self, fact: Fact) -> None:
        size = ENTRY_BYTES
        if fact.record is not None:
            size += len(fact.record.content) + len(fact.record.metadata_json or "")
        recipients = self.visibility.fact_recipients(fact)
        if type(recipients) is Everybody:
            self._hub.broadcast_fact(fact, size, recipients)
        else:
            is_groups = type(fact.audience) is Members
            shown = self.visibility.shown_to(fact) if is_groups else None
            self._hub.deliver_fact(fact, size, recipients, shown=shown)
