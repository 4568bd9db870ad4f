"""`/api/users/…`: whom one keeps away, for older clients that want it."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat.bodies import read_body, take_user
from compat.errors import JSONAnswer
from compat.rest.routing import identify_caller, route
from compat.shapes import other_shape
from db.models import StoredUser
from resolvers.blocks import block_user, list_blocked_users, unblock_user
from resolvers.context import Context

Change = Callable[[Context, int], Awaitable[StoredUser]]


def block_routes(ctx: Context) -> list[Route]:
    """Return the routes, bound to this server."""

    async def change(request: Request, operation: Change, message: str) -> Response:
        viewer = await identify_caller(ctx, request)
        body = await read_body(request, ctx.settings.max_body_bytes)
        user = await operation(viewer, take_user(body))
        return JSONAnswer({"message": message, "user": other_shape(user)})

    async def block(request: Request) -> Response:
        return await change(request, block_user, "User blocked")

    async def unblock(request: Request) -> Response:
        return await change(request, unblock_user, "User unblocked")

    async def blocked(request: Request) -> Response:
        found = await list_blocked_users(await identify_caller(ctx, request))
        return JSONAnswer([other_shape(user) for user in found])

    return [
        route("POST", "/api/users/block", block),
        route("POST", "/api/users/unblock", unblock),
        route("GET", "/api/users/blocked", blocked),
    ]
