"""The one way in: how a user enters on an open connection, whatever its wire."""

from collections.abc import Collection
from dataclasses import replace

from events.connection import Connection
from events.hub import AlreadyEnded
from resolvers.context import Context
from resolvers.errors import Unauthenticated
from resolvers.people.auth import authenticate_login
from resolvers.reads import know_groups


async def enter(ctx: Context, connection: Connection, token: str) -> Context:
    """Let in the user of this token; return the context of calls on the connection.

    The steps, in this order: the token is checked; the connection is counted for its user; the
    user's contacts and presence are kept; the connection is found by its topics, ends with its
    session, and is warned before its token ends (events/hub.py). A refused step undoes those
    before it. Raises Unauthenticated, TooManyConnections, RateLimited for an address of many bad
    tokens, Unavailable.
    """
    viewer = await authenticate_login(ctx, token)
    await know_groups(ctx, viewer.id)
    try:
        ctx.hub.enter(
            connection,
            user_id=viewer.id,
            session_id=viewer.session_id,
            expires_at=viewer.expires_at,
            checked_at=viewer.checked_at,
            groups=_groups_heard(ctx, viewer.id),
        )
    except AlreadyEnded as error:
        raise Unauthenticated("Invalid token") from error
    return ctx.as_viewer(replace(viewer, connection=connection))


def connection_of(ctx: Context) -> Connection:
    """Return the connection on which the viewer is to hear of facts.

    That is the open socket of the call; a request gets a connection of its own for as long as it
    listens. Await `know_groups` before, to hear of groups' messages too. Raises Unauthenticated,
    also for a viewer whose session has ended.
    """
    viewer = ctx.user
    connection = viewer.connection
    if connection is None:
        try:
            return ctx.hub.stream(
                viewer.id,
                viewer.session_id,
                checked_at=viewer.checked_at,
                groups=_groups_heard(ctx, viewer.id),
            )
        except AlreadyEnded as error:
            raise Unauthenticated("Invalid token") from error
    if connection.user_id != viewer.id:
        raise Unauthenticated("Invalid token")
    return connection


def _groups_heard(ctx: Context, user_id: int) -> Collection[int] | None:
    """Return the groups whose messages the connection gets; None for a wire that shows none."""
    return ctx.memberships.groups_of(user_id, ctx.feed.position) if ctx.shows_groups else None
