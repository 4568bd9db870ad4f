"""Sessions: each login is one; they are listed, renewed, and ended with their connections."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from db import accounts, sessions, users
from db.accounts import Account, lock_account
from db.engines.database import DatabaseUnavailable
from db.familiar_addresses import forget_addresses_before
from db.models import NoticeKind, StoredNotice, StoredSession, StoredUser
from db.notices import insert_notice, prune_notices
from events.connections import Connection
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound, Unauthenticated
from resolvers.guards.tokens import IssuedToken, is_after
from resolvers.notices import commit

logger = logging.getLogger("parley.sessions")

# How often what was seen of sessions is written down, and what has expired is removed.
SWEEP_SECONDS = 60
SWEEP_BATCH = 500
WRONG_PASSWORD = "The current password is wrong"  # noqa: S105  # nosec B105  # a refusal's text
# Every process has heard of a notice within seconds.
NOTICE_LIFETIME = timedelta(hours=1)
# Clocks differ: an expired session's row stays a little longer than its tokens are accepted.
GRACE = timedelta(minutes=1)


class LoggedIn(NamedTuple):
    """A user, and a fresh token of theirs."""

    user: StoredUser
    issued: IssuedToken


def hold_session(ctx: Context, connection: Connection) -> tuple[Context, Callable[[], None]]:
    """Have the connection end with the viewer's session or token; return what ends that.

    Calls on the connection are made with the context that is returned. Raises Unauthenticated.
    """
    viewer = ctx.user
    held = ctx.connections.hold(
        connection,
        user_id=viewer.id,
        session_id=viewer.session_id,
        expires_at=viewer.expires_at,
        checked_at=viewer.checked_at,
    )
    return ctx.as_viewer(replace(viewer, held=held)), held.leave


async def open_session(
    ctx: Context, connection: AsyncConnection, user_id: int, given: list[StoredNotice]
) -> IssuedToken:
    """Open a session of a user whose account the transaction has locked, or made.

    Their oldest ones beyond `MAX_SESSIONS_PER_USER` end.
    """
    expires_at = ctx.tokens.next_end()
    session_id = await sessions.insert_session(
        connection,
        user_id=user_id,
        now=datetime.now(UTC),
        expires_at=expires_at,
        agent=ctx.agent,
        address=ctx.counted_address,
    )
    ids = await sessions.session_ids(connection, user_id)
    await _end(connection, user_id, ids[ctx.settings.max_sessions_per_user :], given)
    return ctx.tokens.issue(user_id, session_id, expires_at=expires_at)


async def log_out(ctx: Context) -> None:
    """End the session that the viewer is calling in.

    A token of the older server has none: all of theirs end. Raises Unauthenticated.
    """
    viewer = ctx.user

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> None:
        await lock_account(connection, viewer.id)
        if viewer.session is None:
            await _end_older_tokens(connection, viewer.id, given)
        else:
            await _end(connection, viewer.id, [viewer.session], given)

    await commit(ctx, work)


async def log_out_everywhere(ctx: Context) -> None:
    """End every session of the viewer's, and every older token. Raises Unauthenticated."""
    viewer = ctx.user

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> None:
        await end_all_sessions(connection, viewer.id, given)

    await commit(ctx, work)


async def list_sessions(ctx: Context) -> Sequence[StoredSession]:
    """Return the viewer's sessions, the latest first. Raises Unauthenticated."""
    viewer = ctx.user
    async with ctx.read() as connection:
        return await sessions.find_sessions(connection, viewer.id, datetime.now(UTC))


async def revoke_session(ctx: Context, session_id: int | None) -> None:
    """End a session of the viewer's. Raises Unauthenticated, NotFound."""
    viewer = ctx.user

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> None:
        await lock_account(connection, viewer.id)
        if session_id is None or not await _end(connection, viewer.id, [session_id], given):
            raise NotFound("Session not found")

    await commit(ctx, work)


async def renew_token(ctx: Context) -> LoggedIn:
    """Return a fresh token of the viewer's session, whose connections go on as long.

    Who came with an older token gets a session. Raises Unauthenticated, also for a session that is
    too old (`MAX_SESSION_AGE_SECONDS`), and RateLimited.
    """
    await ctx.limits.take_renewal(ctx.user.id)

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> LoggedIn:
        await _lock_own_account(ctx, connection)
        return await _renew(ctx, connection, given)

    return await commit(ctx, work, then=partial(_rebind, ctx))


async def change_password(ctx: Context, *, current: str, new: str) -> LoggedIn:
    """Replace the password; end all sessions, this one too, and the tokens that name none.

    Return the token of a new session, in which the connection that asked goes on: whoever has a
    copy of the old token is out. Raises Unauthenticated, BadInput, RateLimited.
    """
    viewer = ctx.user
    ctx.passwords.check_new(new)
    known = await check_own_password(ctx, current)
    with ctx.passwords.hold(ctx.address, familiar=True) as place:
        password_hash = await ctx.passwords.hash(new, place)

    async def work(connection: AsyncConnection, given: list[StoredNotice]) -> LoggedIn:
        account = await _lock_own_account(ctx, connection)
        if account.password_hash != known.password_hash:
            raise BadInput(WRONG_PASSWORD)  # it was changed in the meantime
        ids = await sessions.session_ids(connection, viewer.id)
        if viewer.session is not None and viewer.session not in ids:
            raise Unauthenticated("Invalid token")
        await users.set_password_hash(connection, viewer.id, password_hash)
        await _end(connection, viewer.id, ids, given)
        await _end_older_tokens(connection, viewer.id, given)
        user = (await users.find_users(connection, [viewer.id]))[viewer.id]
        return LoggedIn(user, await open_session(ctx, connection, viewer.id, given))

    return await commit(ctx, work, then=partial(_rebind, ctx))


async def check_own_password(ctx: Context, password: str) -> Account:
    """Return the viewer's account.

    Raises Unauthenticated, BadInput when it is another password, RateLimited: it counts as a login.
    """
    ctx.limits.check_address(ctx.address)
    async with ctx.read() as connection:
        found = await accounts.find_own_login(
            connection, ctx.user.id, address=ctx.counted_address, since=ctx.familiar_since()
        )
    if found is None:
        raise Unauthenticated("Invalid token")
    account, familiar = found
    attempt = ctx.limits.attempt_login(ctx.address, account.email, familiar=familiar)
    await attempt.check()
    with ctx.passwords.hold(ctx.address, familiar=familiar) as place:
        await attempt.begin()
        verdict = await ctx.passwords.verify(password, account.password_hash, place)
    if not verdict.matches:
        await attempt.fail()
        raise BadInput(WRONG_PASSWORD)
    return account


async def end_all_sessions(
    connection: AsyncConnection, user_id: int, given: list[StoredNotice]
) -> None:
    """Put the user out everywhere."""
    await lock_account(connection, user_id)
    ids = await sessions.session_ids(connection, user_id)
    await _end(connection, user_id, ids, given)
    await _end_older_tokens(connection, user_id, given)


def follow_sessions(ctx: Context) -> None:
    """Have this process act on what ends in any: once, at the start."""

    def ended(notice: StoredNotice) -> None:
        ctx.tokens.forget(notice.user_id)
        ctx.connections.end(notice.user_id, notice.other)

    def renewed(notice: StoredNotice) -> None:
        ctx.tokens.forget(notice.user_id)
        if notice.other is not None and notice.moment is not None:
            ctx.connections.renew(notice.user_id, notice.other, notice.moment.timestamp())

    ctx.notices.listen(NoticeKind.SESSION_ENDED, ended)
    ctx.notices.listen(NoticeKind.OLDER_TOKENS_ENDED, ended)  # `other` is None: of no session
    ctx.notices.listen(NoticeKind.SESSION_RENEWED, renewed)


async def tend_sessions(ctx: Context) -> None:
    """Write down which sessions were in use, and remove what has expired, now and then."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            await sweep_sessions(ctx)
        except DatabaseUnavailable as error:
            logger.warning("The sessions could not be swept; trying again later: %s", error)
        except Exception:
            logger.exception("The sessions could not be swept; trying again later")


async def sweep_sessions(ctx: Context) -> None:
    """Do it now. Raises DatabaseUnavailable."""
    now = datetime.now(UTC)
    seen = [*ctx.tokens.take_seen()]
    for start in range(0, len(seen), SWEEP_BATCH):
        async with ctx.db.write() as connection:
            await sessions.touch_sessions(connection, seen[start : start + SWEEP_BATCH], now)
    removed = SWEEP_BATCH
    while removed == SWEEP_BATCH:
        async with ctx.db.write() as connection:
            removed = await sessions.remove_expired(connection, now - GRACE, SWEEP_BATCH)
    removed = SWEEP_BATCH
    while removed == SWEEP_BATCH:
        async with ctx.db.write() as connection:
            removed = await forget_addresses_before(connection, ctx.familiar_since(), SWEEP_BATCH)
    async with ctx.db.write() as connection:
        await prune_notices(connection, now - NOTICE_LIFETIME)


async def _lock_own_account(ctx: Context, connection: AsyncConnection) -> Account:
    account = await lock_account(connection, ctx.user.id)
    if account is None or account.disabled_at or account.deleted_at:
        raise Unauthenticated("Invalid token")
    if ctx.user.session is None and not is_after(ctx.user.issued_at, account.tokens_from):
        raise Unauthenticated("Invalid token")  # all of these were ended in the meantime
    return account


async def _renew(ctx: Context, connection: AsyncConnection, given: list[StoredNotice]) -> LoggedIn:
    viewer = ctx.user
    user = (await users.find_users(connection, [viewer.id]))[viewer.id]
    if viewer.session is None:
        return LoggedIn(user, await open_session(ctx, connection, viewer.id, given))
    opened = await sessions.find_opening(connection, viewer.id, viewer.session)
    most = timedelta(seconds=ctx.settings.max_session_age_seconds)
    if opened is not None and datetime.now(UTC) - opened >= most:
        raise Unauthenticated("This session is too old to be renewed; log in again")
    ends = ctx.tokens.next_end()
    if not await sessions.extend_session(connection, viewer.id, viewer.session, expires_at=ends):
        raise Unauthenticated("Invalid token")
    given.append(
        await insert_notice(connection, NoticeKind.SESSION_RENEWED, viewer.id, viewer.session, ends)
    )
    return LoggedIn(user, ctx.tokens.issue(viewer.id, viewer.session, expires_at=ends))


def _rebind(ctx: Context, renewed: LoggedIn) -> None:
    """Let the connection that asked go on in the session that it has gained."""
    if (held := ctx.user.held) is not None:
        held.renew(renewed.issued.expires_at.timestamp(), session_id=renewed.issued.session_id)


async def _end(
    connection: AsyncConnection, user_id: int, ids: Sequence[int], given: list[StoredNotice]
) -> int:
    if not ids:
        return 0
    removed = await sessions.remove_sessions(connection, user_id, ids)
    if removed:
        kind = NoticeKind.SESSION_ENDED
        given += [await insert_notice(connection, kind, user_id, id_) for id_ in ids]
    return removed


async def _end_older_tokens(
    connection: AsyncConnection, user_id: int, given: list[StoredNotice]
) -> None:
    await accounts.refuse_older_tokens(connection, user_id, datetime.now(UTC))
    given.append(await insert_notice(connection, NoticeKind.OLDER_TOKENS_ENDED, user_id))
