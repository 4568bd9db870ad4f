"""The REST routes for accounts, sessions and blocks."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from compat.bodies import parse_text, parse_user, read_body
from compat.errors import JSONAnswer
from compat.rest.routing import Endpoint, as_anonymous, identify_caller
from compat.shapes import login_shape, other_shape, user_shape
from db.models import StoredUser
from resolvers.context import Context
from resolvers.people.auth import create_account, log_in
from resolvers.people.blocks import list_blocked_users
from resolvers.people.sessions import change_password, log_out, log_out_everywhere, renew_token


async def register(ctx: Context, request: Request) -> Response:
    """Create an account."""
    body = await read_body(ctx, request)
    user = await create_account(
        as_anonymous(ctx, request),
        email=parse_text(body, "email", "Email"),
        password=parse_text(body, "password", "Password"),
        display_name=parse_text(body, "displayName", "Display name"),
    )
    return JSONAnswer({"message": "User registered", "userId": user.id, "user": user_shape(user)})


async def login(ctx: Context, request: Request) -> Response:
    """Open a session."""
    body = await read_body(ctx, request)
    logged_in = await log_in(
        as_anonymous(ctx, request),
        email=parse_text(body, "email", "Email"),
        password=parse_text(body, "password", "Password"),
    )
    return JSONAnswer(login_shape(logged_in))


async def logout(ctx: Context, request: Request) -> Response:
    """End the caller's session."""
    await log_out(await identify_caller(ctx, request))
    return JSONAnswer({"message": "Logged out"})


async def logout_everywhere(ctx: Context, request: Request) -> Response:
    """End all of the caller's sessions."""
    await log_out_everywhere(await identify_caller(ctx, request))
    return JSONAnswer({"message": "Logged out everywhere"})


async def renew(ctx: Context, request: Request) -> Response:
    """Give the caller's session another token."""
    return JSONAnswer(login_shape(await renew_token(await identify_caller(ctx, request))))


async def set_password(ctx: Context, request: Request) -> Response:
    """Change the caller's password, and open another session."""
    viewer = await identify_caller(ctx, request)
    body = await read_body(ctx, request)
    changed = await change_password(
        viewer,
        current=parse_text(body, "currentPassword", "Current password"),
        new=parse_text(body, "newPassword", "New password"),
    )
    return JSONAnswer({"message": "Password changed", **login_shape(changed)})


def change_block(change: Callable[[Context, int], Awaitable[StoredUser]], done: str) -> Endpoint:
    """Return the endpoint that blocks or unblocks a user."""

    async def endpoint(ctx: Context, request: Request) -> Response:
        viewer = await identify_caller(ctx, request)
        user = await change(viewer, parse_user(await read_body(ctx, request)))
        return JSONAnswer({"message": done, "user": other_shape(user)})

    return endpoint


async def list_blocked(ctx: Context, request: Request) -> Response:
    """List the users whom the caller has blocked."""
    found = await list_blocked_users(await identify_caller(ctx, request))
    return JSONAnswer([other_shape(user) for user in found])
