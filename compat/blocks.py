"""`/api/users/…`: whom one keeps away, for older clients that want it."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from compat.bodies import read_body, take_user
from compat.errors import JSONAnswer
from compat.shapes import other_shape
from db.models import StoredUser
from resolvers.auth import identify
from resolvers.blocks import block_user, list_blocked_users, unblock_user
from resolvers.context import Context

Endpoint = Callable[[Request], Awaitable[Response]]
Change = Callable[[Context, int], Awaitable[StoredUser]]


def block_endpoints(ctx: Context) -> list[tuple[str, str, Endpoint]]:
    """Return methods, paths, and what answers there, bound to this server."""

    async def caller(request: Request) -> Context:
        viewer = await identify(ctx, request.headers.get("authorization"))
        viewer.user  # noqa: B018  # the door, before the body is read
        return viewer

    async def change(request: Request, operation: Change, message: str) -> Response:
        viewer = await caller(request)
        body = await read_body(request, ctx.settings.max_body_bytes)
        user = await operation(viewer, take_user(body))
        return JSONAnswer({"message": message, "user": other_shape(user)})

    async def block(request: Request) -> Response:
        return await change(request, block_user, "User blocked")

    async def unblock(request: Request) -> Response:
        return await change(request, unblock_user, "User unblocked")

    async def blocked(request: Request) -> Response:
        found = await list_blocked_users(await caller(request))
        return JSONAnswer([other_shape(user) for user in found])

    return [
        ("POST", "/api/users/block", block),
        ("POST", "/api/users/unblock", unblock),
        ("GET", "/api/users/blocked", blocked),
    ]
