"""Registering, logging in, and finding the user whose token this is."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.log.changes.sessions import LogIn, NotUsable, OtherPassword
from db.messages import head_position
from db.models import StoredUser
from db.people import users
from db.people.accounts import is_after
from db.people.familiar_addresses import note_addresses
from db.people.sessions import TokenState, insert_sessions
from resolvers.changes import open_session, write_again
from resolvers.context import Context
from resolvers.errors import BadInput, Conflict, Forbidden, Unauthenticated
from resolvers.guards.counted import counting
from resolvers.guards.limits.logins import check_address, verify_login
from resolvers.guards.tokens import (
    LEEWAY_SECONDS,
    Claims,
    InvalidToken,
)
from resolvers.guards.validation import MAX_EMAIL, SLACK, clean_display_name, clean_email
from resolvers.guards.viewer import Viewer
from resolvers.people.sessions import LoggedIn, issue_token, new_session
from resolvers.reads import know_contacts

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
    return await _register(ctx, email, password, display_name, _stay_out)


async def add_user(ctx: Context, *, email: str, password: str, display_name: str) -> StoredUser:
    """Make an account by the rules of registering, whatever REGISTRATION says.

    For the command line. Raises BadInput, Conflict when the e-mail is taken.
    """
    email, display_name = clean_email(email), clean_display_name(display_name)
    ctx.passwords.check_new(password)
    password_hash = await ctx.passwords.hash(password)
    return await _insert(ctx, email, password_hash, display_name, _stay_out)


async def _stay_out(connection: AsyncConnection, user: StoredUser) -> StoredUser:
    return user


async def _register(
    ctx: Context,
    email: str,
    password: str,
    display_name: str,
    then: Callable[[AsyncConnection, StoredUser], Awaitable[T]],
) -> T:
    await ctx.limits.check_registration(ctx.address)  # before the work; counted once it is right
    email, display_name = clean_email(email), clean_display_name(display_name)
    ctx.passwords.check_new(password)
    if ctx.settings.registration == "off":
        await ctx.limits.count_registration(ctx.address)
        raise Forbidden("Nobody can register here; ask the operator for an account")
    with ctx.passwords.hold(ctx.address) as place:
        await ctx.limits.count_registration(ctx.address)
        async with ctx.read() as connection:
            if await users.find_by_email(connection, email) is not None:
                raise Conflict("Email already used")
        password_hash = await ctx.passwords.hash(password, place)

    async def enter(connection: AsyncConnection, user: StoredUser) -> T:
        await note_addresses(connection, {user.id: ctx.counted_address}, user.created_at)
        return await then(connection, user)

    return await _insert(ctx, email, password_hash, display_name, enter)


async def _insert(
    ctx: Context,
    email: str,
    password_hash: str,
    display_name: str,
    then: Callable[[AsyncConnection, StoredUser], Awaitable[T]],
) -> T:
    """Store the account, and do the rest in the same transaction. Raises Conflict."""

    async def insert(connection: AsyncConnection) -> T:
        user = await users.insert_user(
            connection,
            email=email,
            display_name=display_name,
            password_hash=password_hash,
            created_at=datetime.now(UTC),
            joined_position=await head_position(connection),
        )
        return await then(connection, user)

    try:
        return await write_again(ctx, insert)
    except IntegrityError as error:
        raise Conflict("Email already used") from error


async def log_in(ctx: Context, *, email: str, password: str) -> LoggedIn:
    """Check a password, and open a session.

    Raises BadInput when it or the e-mail is wrong, Forbidden when the account is disabled,
    RateLimited. An unknown e-mail takes as long as a wrong password, and gives the same answer.
    """
    with counting(ctx.counted.logins):
        return await _log_in(ctx, email, password)


async def _log_in(ctx: Context, email: str, password: str) -> LoggedIn:
    email = _stored_form(email)
    check_address(ctx)
    async with ctx.read() as connection:
        found = await users.find_login(
            connection, email, address=ctx.counted_address, since=ctx.familiar_since()
        )
    user, password_hash, familiar = found if found is not None else (None, None, False)
    verdict = await verify_login(
        ctx, email=email, password=password, password_hash=password_hash, familiar=familiar
    )
    if user is not None and not verdict.matches:
        ctx.passwords.warn_of(user.id, password_hash or "")
    if user is None or not verdict.matches:
        raise BadInput("Invalid email or password")

    session = new_session(ctx)
    most = ctx.settings.max_sessions_per_user
    # A hash of the older server, or of an older setting, becomes like the others.
    login = LogIn(user.id, session, password_hash or "", most, new_hash=verdict.renewed)
    try:
        session_id = await open_session(ctx, login)
    except OtherPassword as error:  # it was changed in the meantime
        raise BadInput("Invalid email or password") from error
    except NotUsable as error:
        raise Forbidden("This account is disabled") from error
    return LoggedIn(user, issue_token(ctx, user.id, session_id, session))


def _stored_form(email: str) -> str:
    try:
        return clean_email(email)
    except BadInput:
        # The older server may have registered what is no address, and its owner still logs in.
        # Text that no database keeps becomes an address that nobody has: the same answer, in the
        # same time.
        text = email[: SLACK * MAX_EMAIL].strip().lower()[:MAX_EMAIL]
        return text.encode(errors="replace").decode().replace("\0", "")


async def authenticate(ctx: Context, token: str) -> Viewer:
    """Return the user whose token this is. Raises Unauthenticated, Unavailable."""
    viewer = ctx.tokens.recall(token)
    if viewer is None:
        checked_at = monotonic()
        try:
            claims = ctx.tokens.check(token)
        except InvalidToken as error:
            raise Unauthenticated("Invalid token") from error
        state = await ctx.token_states.find(claims.user_id, claims.session_id)
        if (
            state is None
            or not _is_good(ctx, claims, state)
            # It ended while the database was being asked: the state is from before.
            or ctx.hub.has_ended(claims.user_id, claims.session_id, since=checked_at)
        ):
            raise Unauthenticated("Invalid token")
        ends = state.session_expires_at
        hides = ctx.settings.broadcast_history != "everything"
        viewer = Viewer(
            claims.user_id,
            claims.session_id,
            claims.expires_at if ends is None else ends.timestamp(),
            checked_at,
            claims.issued_at,
            state.joined_position if hides else 0,
        )
        ctx.tokens.remember(token, viewer)
    await know_contacts(ctx, viewer.id)
    return viewer


def _is_good(ctx: Context, claims: Claims, state: TokenState) -> bool:
    if claims.session_id is not None:
        ends = state.session_expires_at
        return ends is not None and ends > datetime.now(UTC) - timedelta(seconds=LEEWAY_SECONDS)
    return ctx.settings.legacy_tokens and is_after(claims.issued_at, state.tokens_from)


async def authenticate_login(ctx: Context, token: str) -> Viewer:
    """Return the user whose token a connection logs in with. Raises Unauthenticated, RateLimited.

    Bad tokens are counted: from an address of many, no token is looked at for a while.
    """
    with counting(ctx.counted.tokens):
        await ctx.limits.check_bad_tokens(ctx.address)
        try:
            return await authenticate(ctx, token)
        except Unauthenticated:
            await ctx.limits.count_bad_token(ctx.address)
            raise


async def enter_request(ctx: Context, token: str | None) -> Context:
    """Return the context of the user whose token a request carries, or of nobody."""
    if token is None:
        return ctx
    try:
        return ctx.as_viewer(await authenticate(ctx, token))
    except Unauthenticated as error:
        return ctx.as_nobody(error.message)
