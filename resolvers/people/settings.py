"""The viewer's own settings, of the whole account."""

from functools import partial
from typing import NamedTuple

from db.conversations import marks
from db.engines.database import Database
from db.log.changes.receipts import SetReadReceipts
from db.people import users
from events.control import Control
from events.facts import Fact, OwnSettingsChanged
from resolvers.changes import commit
from resolvers.context import Context
from resolvers.guards.kept_set import KeptSet
from resolvers.people.kept import load_all, reload_on_loss
from resolvers.people.presence import set_invisible
from resolvers.reads import reading_log


class OwnSettings(NamedTuple):
    """The viewer's settings, and the mark of what their clients were sent."""

    invisible: bool
    read_receipts: bool
    delivered_position: int


async def get_settings(ctx: Context) -> OwnSettings:
    """Return the viewer's settings. Raises Unauthenticated, Unavailable."""
    viewer = ctx.user
    async with reading_log(ctx) as connection:
        delivered, receipts = await marks.read_settings(connection, viewer.id)
    return OwnSettings(viewer.id in ctx.invisible.ids, receipts, delivered)


def as_changed(now: OwnSettings, changed: OwnSettingsChanged) -> OwnSettings:
    """Return the settings with what a change has made of them."""
    became = {"invisible": changed.invisible, "read_receipts": changed.read_receipts}
    return now._replace(**{name: value for name, value in became.items() if value is not None})


async def update_settings(
    ctx: Context, *, invisible: bool | None = None, read_receipts: bool | None = None
) -> OwnSettings:
    """Change the viewer's settings; what is None stays. Return them as they are now.

    Raises Unauthenticated, RateLimited, Unavailable.
    """
    viewer = ctx.user
    if invisible is not None:
        await set_invisible(ctx, invisible)
    if read_receipts is not None:
        # All who share a conversation with the viewer are told.
        await ctx.limits.count_profile_change(viewer.id)
        await commit(ctx, SetReadReceipts(viewer.id, read_receipts))
    return await get_settings(ctx)


async def load_hiding(database: Database, hiding: KeptSet[int]) -> None:
    """Load all who have read receipts off. Raises DatabaseUnavailable."""
    await load_all(database, hiding, users.page_hiding, before_all=0)


def follow_hiding(control: Control, database: Database, hiding: KeptSet[int]) -> None:
    """Have those who have read receipts off follow the log: once, at the start."""

    def apply(fact: Fact, changed: OwnSettingsChanged) -> None:
        if fact.actor_id is not None and changed.read_receipts is not None:
            hiding.put(fact.actor_id, not changed.read_receipts)

    control.listen(OwnSettingsChanged, apply)
    load = partial(load_hiding, database, hiding)
    reload_on_loss(control, load, name="receipts", what="Who has read receipts off")
