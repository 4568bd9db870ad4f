"""Sessions: each login is one; they are listed, renewed, and ended with their connections."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from db.facts import prune_log
from db.log.changes.sessions import (
    EndSessions,
    GainSession,
    NotUsable,
    OtherPassword,
    RenewSession,
    ReplacePassword,
    SessionTooOld,
)
from db.models import StoredSession, StoredUser
from db.people import accounts, sessions, users
from db.people.accounts import Account
from db.people.familiar_addresses import forget_addresses_before
from db.people.sessions import NewSession
from events.facts import AccountChanged, Fact, SessionEnded, SessionRenewed
from resolvers.background import repeat
from resolvers.changes import commit, open_session
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound, Unauthenticated
from resolvers.guards.limits.logins import check_address, verify_login
from resolvers.guards.tokens import IssuedToken

logger = logging.getLogger("parley.sessions")

# How often the use of sessions is written down, and what has expired is removed.
SWEEP_SECONDS = 60
SWEEP_BATCH = 500
WRONG_PASSWORD = "The current password is wrong"  # noqa: S105  # nosec B105  # a refusal's text
# Clocks differ: an expired session's row stays a little longer than its tokens are accepted.
GRACE = timedelta(minutes=1)


class LoggedIn(NamedTuple):
    """A user, and a fresh token of theirs."""

    user: StoredUser
    issued: IssuedToken


def new_session(ctx: Context) -> NewSession:
    """Return a session of the caller's, as it is to be opened."""
    return NewSession(ctx.tokens.next_end(), ctx.agent, ctx.counted_address)


def issue_token(ctx: Context, user_id: int, session_id: int, session: NewSession) -> IssuedToken:
    """Return the first token of a session that was opened."""
    return ctx.tokens.issue(user_id, session_id, expires_at=session.expires_at)


async def log_out(ctx: Context) -> None:
    """End the session that the viewer is calling in.

    A token of the older server has no session: all the viewer's older tokens end. Raises
    Unauthenticated.
    """
    viewer = ctx.user
    if viewer.session is None:
        await commit(ctx, EndSessions(viewer.id, (), older_tokens=True))
    else:
        await commit(ctx, EndSessions(viewer.id, (viewer.session,)))


async def log_out_everywhere(ctx: Context) -> None:
    """End every session of the viewer's, and every older token. Raises Unauthenticated."""
    await commit(ctx, EndSessions(ctx.user.id, older_tokens=True))


async def list_sessions(ctx: Context) -> Sequence[StoredSession]:
    """Return the viewer's sessions, the latest first. Raises Unauthenticated."""
    viewer = ctx.user
    async with ctx.read() as connection:
        return await sessions.find_sessions(connection, viewer.id, datetime.now(UTC))


async def revoke_session(ctx: Context, session_id: int | None) -> None:
    """End a session of the viewer's. Raises Unauthenticated, NotFound."""
    viewer = ctx.user
    if session_id is None or await commit(ctx, EndSessions(viewer.id, (session_id,))) is None:
        raise NotFound("Session not found")


async def renew_token(ctx: Context) -> LoggedIn:
    """Return a fresh token of the viewer's session; the session's connections last as long.

    A viewer with an older token gets a session. Raises RateLimited, and Unauthenticated, also for a
    session that is too old (`MAX_SESSION_AGE_SECONDS`).
    """
    viewer = ctx.user
    await ctx.limits.count_renewal(viewer.id)
    async with ctx.read() as connection:
        found = await users.find_users(connection, [viewer.id])
    if viewer.id not in found:
        raise Unauthenticated("Invalid token")
    if viewer.session is None:
        gained = await _gain_session(ctx)
        _rebind(ctx, gained)
        return LoggedIn(found[viewer.id], gained)
    ends = ctx.tokens.next_end()
    issued = ctx.tokens.issue(viewer.id, viewer.session, expires_at=ends)
    most = ctx.settings.max_session_age_seconds
    try:
        await commit(
            ctx,
            RenewSession(viewer.id, viewer.session, ends, most),
            first=lambda fact: _rebind(ctx, issued),
        )
    except NotUsable as error:
        raise Unauthenticated("Invalid token") from error
    except SessionTooOld as error:
        raise Unauthenticated("This session is too old to be renewed; log in again") from error
    return LoggedIn(found[viewer.id], issued)


async def change_password(ctx: Context, *, current: str, new: str) -> LoggedIn:
    """Replace the password; end all sessions, this one too, and the tokens without a session.

    Return the token of a new session, in which the caller's connection goes on: a copy of the old
    token is good no more. Raises Unauthenticated, BadInput, RateLimited.
    """
    viewer = ctx.user
    ctx.passwords.check_new(new)
    known = await check_own_password(ctx, current)
    with ctx.passwords.hold(ctx.address, familiar=True) as place:
        password_hash = await ctx.passwords.hash(new, place)

    async with ctx.read() as connection:
        found = await users.find_users(connection, [viewer.id])
    session = new_session(ctx)
    issued: list[IssuedToken] = []

    def go_on(session_id: int) -> None:
        issued.append(issue_token(ctx, viewer.id, session_id, session))
        _rebind(ctx, issued[-1])

    change = ReplacePassword(
        user_id=viewer.id,
        session=session,
        session_id=viewer.session,
        issued_at=viewer.issued_at,
        old_hash=known.password_hash,
        new_hash=password_hash,
    )
    try:
        await commit(ctx, change, first=go_on)
    except NotUsable as error:
        raise Unauthenticated("Invalid token") from error
    except OtherPassword as error:  # it was changed in the meantime
        raise BadInput(WRONG_PASSWORD) from error
    return LoggedIn(found[viewer.id], issued[-1])


async def check_own_password(ctx: Context, password: str) -> Account:
    """Return the viewer's account.

    Raises Unauthenticated, BadInput for another password, RateLimited: it counts as a login.
    """
    viewer = ctx.user
    check_address(ctx)
    async with ctx.read() as connection:
        found = await accounts.find_own_login(
            connection, viewer.id, address=ctx.counted_address, since=ctx.familiar_since()
        )
    if found is None:
        raise Unauthenticated("Invalid token")
    account, familiar = found
    verdict = await verify_login(
        ctx,
        email=account.email,
        password=password,
        password_hash=account.password_hash,
        familiar=familiar,
    )
    if not verdict.matches:
        raise BadInput(WRONG_PASSWORD)
    return account


def follow_sessions(ctx: Context) -> None:
    """Have this process act on sessions that end or are renewed in any: once, at the start."""

    def end(fact: Fact, session_ids: tuple[int, ...], older_tokens: bool) -> None:
        if (user_id := fact.actor_id) is None:
            return
        ctx.tokens.forget(user_id)
        for session_id in session_ids:
            ctx.hub.end(user_id, session_id)
        if older_tokens:
            ctx.hub.end(user_id, None)

    def ended(fact: Fact, body: SessionEnded) -> None:
        end(fact, body.session_ids, body.older_tokens)

    def changed(fact: Fact, body: AccountChanged) -> None:
        if body.ended_sessions is not None:
            end(fact, body.ended_sessions, True)

    def renewed(fact: Fact, body: SessionRenewed) -> None:
        if (user_id := fact.actor_id) is not None:
            ctx.tokens.forget(user_id)
            ctx.hub.renew(user_id, body.session_id, body.expires_at.timestamp())

    ctx.control.listen(SessionEnded, ended)
    ctx.control.listen(AccountChanged, changed)
    ctx.control.listen(SessionRenewed, renewed)
    ctx.control.on_loss(ctx.tokens.forget_all)


async def tend_sessions(ctx: Context) -> None:
    """Sweep the sessions for ever."""
    await asyncio.sleep(SWEEP_SECONDS)
    await repeat(
        partial(sweep_sessions, ctx),
        every=SWEEP_SECONDS,
        logger=logger,
        failure="The sessions could not be swept",
    )


async def sweep_sessions(ctx: Context) -> None:
    """Write down which sessions were in use, and remove what has expired.

    Raises DatabaseUnavailable.
    """
    now = datetime.now(UTC)
    used = [*ctx.tokens.pop_used_sessions()]
    for start in range(0, len(used), SWEEP_BATCH):
        async with ctx.db.write() as connection:
            await sessions.touch_sessions(connection, used[start : start + SWEEP_BATCH], now)
    kept_from = now - timedelta(days=ctx.settings.log_kept_days)
    for remove, before in (
        (sessions.remove_expired, now - GRACE),
        (forget_addresses_before, ctx.familiar_since()),
        (prune_log, kept_from),
    ):
        removed = SWEEP_BATCH
        while removed == SWEEP_BATCH:
            async with ctx.db.write() as connection:
                removed = await remove(connection, before, SWEEP_BATCH)


async def _gain_session(ctx: Context) -> IssuedToken:
    """Open a session for a viewer who came with an older token."""
    viewer, session = ctx.user, new_session(ctx)
    most = ctx.settings.max_sessions_per_user
    try:
        gained = GainSession(viewer.id, session, viewer.issued_at, most)
        session_id = await open_session(ctx, gained)
    except NotUsable as error:  # all of these tokens were ended in the meantime
        raise Unauthenticated("Invalid token") from error
    return issue_token(ctx, viewer.id, session_id, session)


def _rebind(ctx: Context, issued: IssuedToken) -> None:
    """Let the caller's connection go on in its new session."""
    if (connection := ctx.user.connection) is not None:
        ends = issued.expires_at.timestamp()
        connection.renew(ends, session_id=issued.session_id)
