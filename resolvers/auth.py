"""Who somebody is: register, log in, and the meaning of a token."""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.exc import IntegrityError

from db import users
from db.models import StoredUser
from resolvers.context import Context, Viewer
from resolvers.errors import BadInput, Conflict, Unauthenticated
from resolvers.fields import MAX_EMAIL, clean_display_name, clean_email
from resolvers.passwords import check_password
from resolvers.tokens import InvalidToken, IssuedToken


class LoggedIn(NamedTuple):
    """A user, and a fresh token of theirs."""

    user: StoredUser
    issued: IssuedToken


async def register_user(ctx: Context, *, email: str, password: str, display_name: str) -> LoggedIn:
    """Make an account. Raises BadInput, Conflict when the e-mail is taken, RateLimited."""
    email = clean_email(email)
    display_name = clean_display_name(display_name)
    check_password(password)
    await ctx.limits.take_registration(ctx.address)
    async with ctx.read() as connection:
        if await users.find_by_email(connection, email) is not None:
            raise Conflict("Email already used")
    password_hash = await ctx.passwords.hash(password)
    try:
        async with ctx.write() as connection:
            user = await users.insert_user(
                connection,
                email=email,
                display_name=display_name,
                password_hash=password_hash,
                created_at=datetime.now(UTC),
            )
    except IntegrityError as error:
        raise Conflict("Email already used") from error
    return LoggedIn(user, ctx.tokens.issue(user.id))


async def log_in(ctx: Context, *, email: str, password: str) -> LoggedIn:
    """Check a password. Raises BadInput when it or the e-mail is wrong, RateLimited.

    An unknown e-mail takes as long as a wrong password, and gives the same answer.
    """
    email = _stored_form(email)
    attempt = await ctx.limits.begin_login(ctx.address, email)
    async with ctx.read() as connection:
        found = await users.find_by_email(connection, email)
    user, password_hash = found if found is not None else (None, None)
    if not await ctx.passwords.verify(password, password_hash) or user is None:
        await attempt.fail()
        raise BadInput("Invalid email or password")
    await attempt.succeed()
    if password_hash is not None and ctx.passwords.is_outdated(password_hash):
        # An account of the older server, or of an older setting: from now on it is like the others.
        renewed = await ctx.passwords.hash(password)
        async with ctx.write() as connection:
            await users.set_password_hash(connection, user.id, renewed)
    return LoggedIn(user, ctx.tokens.issue(user.id))


def _stored_form(email: str) -> str:
    try:
        return clean_email(email)
    except BadInput:
        # The older server may have let in what is no address, and its owner still comes in. What
        # no database keeps becomes what nobody has: the answer stays the same, in the same time.
        text = email.strip().lower()[:MAX_EMAIL]
        return text.encode(errors="replace").decode().replace("\0", "")


async def authenticate(ctx: Context, token: str) -> Viewer:
    """Return whose token this is. Raises Unauthenticated."""
    recent = ctx.tokens.recall(token)
    if recent is not None:
        return Viewer(recent)
    try:
        user_id = ctx.tokens.check(token)
    except InvalidToken as error:
        raise Unauthenticated("Invalid token") from error
    async with ctx.read() as connection:
        if not await users.existing_ids(connection, [user_id]):
            raise Unauthenticated("Invalid token")
    ctx.tokens.remember(token, user_id)
    return Viewer(user_id)


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
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return ctx.as_nobody("Invalid token")
    try:
        return ctx.as_viewer(await authenticate(ctx, token.strip()))
    except Unauthenticated as error:
        return ctx.as_nobody(error.message)
