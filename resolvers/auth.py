"""Who somebody is: register, log in, and the meaning of a token."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db import users
from db.accounts import is_after
from db.familiar_addresses import note_addresses
from db.log.changes.sessions import LogIn, NotUsable, OtherPassword
from db.messages import head_position
from db.models import StoredUser
from db.sessions import Standing, insert_sessions
from resolvers.changes import commit, write_again
from resolvers.context import Context, Viewer
from resolvers.errors import BadInput, Conflict, Forbidden, Unauthenticated
from resolvers.guards.fields import MAX_EMAIL, SLACK, clean_display_name, clean_email
from resolvers.guards.tokens import (
    LEEWAY_SECONDS,
    MAX_TOKEN,
    Claims,
    InvalidToken,
    Sound,
)
from resolvers.reads import know_contacts
from resolvers.sessions import LoggedIn, issue_token, new_session

T = TypeVar("T")


async def register_user(ctx: Context, *, email: str, password: str, display_name: str) -> LoggedIn:
    """Make an account, and open a session.

    Raises BadInput, Conflict when the e-mail is taken, RateLimited, and Forbidden where only the
    operator makes accounts (REGISTRATION).
    """

    async def enter(connection: AsyncConnection, user: StoredUser) -> LoggedIn:
        session = new_session(ctx)
        opened = await insert_sessions(connection, {user.id: session}, user.created_at)
        return LoggedIn(user, issue_token(ctx, user.id, opened[user.id], session))

    return await _register(ctx, email, password, display_name, enter)


async def create_account(
    ctx: Context, *, email: str, password: str, display_name: str
) -> StoredUser:
    """Make an account, whose owner is still to log in. Raises as `register_user`."""

    async def stay_out(connection: AsyncConnection, user: StoredUser) -> StoredUser:
        return user

    return await _register(ctx, email, password, display_name, stay_out)


async def _register(
    ctx: Context,
    email: str,
    password: str,
    display_name: str,
    then: Callable[[AsyncConnection, StoredUser], Awaitable[T]],
) -> T:
    await ctx.limits.check_registration(ctx.address)  # before the work; counted once it is right
    email = clean_email(email)
    display_name = clean_display_name(display_name)
    ctx.passwords.check_new(password)
    if ctx.settings.registration == "off":
        await ctx.limits.take_registration(ctx.address)
        raise Forbidden("Nobody can register here; ask the operator for an account")
    with ctx.passwords.hold(ctx.address) as place:
        await ctx.limits.take_registration(ctx.address)
        async with ctx.read() as connection:
            if await users.find_by_email(connection, email) is not None:
                raise Conflict("Email already used")
        password_hash = await ctx.passwords.hash(password, place)

    async def register(connection: AsyncConnection) -> T:
        now = datetime.now(UTC)
        user = await users.insert_user(
            connection,
            email=email,
            display_name=display_name,
            password_hash=password_hash,
            created_at=now,
            joined_position=await head_position(connection),
        )
        await note_addresses(connection, {user.id: ctx.counted_address}, now)
        return await then(connection, user)

    try:
        return await write_again(ctx, register)
    except IntegrityError as error:
        raise Conflict("Email already used") from error


async def log_in(ctx: Context, *, email: str, password: str) -> LoggedIn:
    """Check a password, and open a session.

    Raises BadInput when it or the e-mail is wrong, Forbidden when the account is disabled,
    RateLimited. An unknown e-mail takes as long as a wrong password, and gives the same answer.
    """
    email = _stored_form(email)
    ctx.limits.check_address(ctx.address)
    async with ctx.read() as connection:
        found = await users.find_login(
            connection, email, address=ctx.counted_address, since=ctx.familiar_since()
        )
    user, password_hash, familiar = found if found is not None else (None, None, False)
    attempt = ctx.limits.attempt_login(ctx.address, email, familiar=familiar)
    await attempt.check()
    with ctx.passwords.hold(ctx.address, familiar=familiar) as place:
        await attempt.begin()
        verdict = await ctx.passwords.verify(password, password_hash, place)
    if not verdict.matches or user is None:
        if user is not None:
            ctx.passwords.warn_of(user.id, password_hash or "")
        await attempt.fail()
        raise BadInput("Invalid email or password")

    session = new_session(ctx)
    most = ctx.settings.max_sessions_per_user
    # A hash of the older server, or of an older setting, becomes like the others.
    login = LogIn(user.id, session, password_hash or "", most, new_hash=verdict.renewed)
    try:
        session_id = await commit(ctx, login)
    except OtherPassword as error:  # it was changed in the meantime
        raise BadInput("Invalid email or password") from error
    except NotUsable as error:
        raise Forbidden("This account is disabled") from error
    return LoggedIn(user, issue_token(ctx, user.id, session_id, session))


def _stored_form(email: str) -> str:
    try:
        return clean_email(email)
    except BadInput:
        # The older server may have let in what is no address, and its owner still comes in. What
        # no database keeps becomes what nobody has: the answer stays the same, in the same time.
        text = email[: SLACK * MAX_EMAIL].strip().lower()[:MAX_EMAIL]
        return text.encode(errors="replace").decode().replace("\0", "")


async def authenticate(ctx: Context, token: str) -> Viewer:
    """Return whose token this is. Raises Unauthenticated, Unavailable."""
    sound = ctx.tokens.recall(token)
    if sound is None:
        checked_at = monotonic()
        try:
            claims = ctx.tokens.check(token)
        except InvalidToken as error:
            raise Unauthenticated("Invalid token") from error
        standing = await ctx.standings.find(claims.user_id, claims.session_id)
        if (
            standing is None
            or not _is_good(ctx, claims, standing)
            # While the database was being asked: what it said is not so any more.
            or ctx.hub.has_ended(claims.user_id, claims.session_id, since=checked_at)
        ):
            raise Unauthenticated("Invalid token")
        ends = standing.session_expires_at
        sound = Sound(
            claims.user_id,
            claims.session_id,
            claims.expires_at if ends is None else ends.timestamp(),
            checked_at,
            claims.issued_at,
            0 if ctx.settings.broadcast_history == "everything" else standing.joined_position,
        )
        ctx.tokens.remember(token, sound)
    await know_contacts(ctx, sound.user_id)
    return Viewer(*sound)


def _is_good(ctx: Context, claims: Claims, standing: Standing) -> bool:
    if claims.session_id is not None:
        ends = standing.session_expires_at
        return ends is not None and ends > datetime.now(UTC) - timedelta(seconds=LEEWAY_SECONDS)
    if not ctx.settings.legacy_tokens:
        return False
    return is_after(claims.issued_at, standing.tokens_from)


async def authenticate_login(ctx: Context, token: str) -> Viewer:
    """Return whose token a connection logs in with. Raises Unauthenticated, RateLimited.

    Bad ones are counted: where many come from, no more are looked at for a while.
    """
    await ctx.limits.check_bad_tokens(ctx.address)
    try:
        return await authenticate(ctx, token)
    except Unauthenticated:
        await ctx.limits.count_bad_token(ctx.address)
        raise


async def identify(ctx: Context, authorization: str | None) -> Context:
    """Return the context of whoever sent this `Authorization` header, or of nobody."""
    if not authorization:
        return ctx
    try:
        return ctx.as_viewer(await authenticate(ctx, bearer_token(authorization)))
    except Unauthenticated as error:
        return ctx.as_nobody(error.message)


def bearer_token(authorization: str) -> str:
    """Return the token of an `Authorization` value. Raises Unauthenticated."""
    if len(authorization) <= MAX_TOKEN:
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    raise Unauthenticated("Invalid token")
