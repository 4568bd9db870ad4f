"""The older REST routes, those documented and those its clients were seen to use."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat.errors import JSONAnswer
from compat.rest.accounts import (
    change_block,
    list_blocked,
    login,
    logout,
    logout_everywhere,
    register,
    renew,
    set_password,
)
from compat.rest.avatars import serve_avatar
from compat.rest.files import serve_file, upload
from compat.rest.messages import history, send
from compat.rest.routing import EndpointApp
from compat.shapes import limits_shape, message_row, message_shape
from resolvers.context import Context
from resolvers.errors import NotFound, ParleyError
from resolvers.people.blocks import block_user, unblock_user
from resolvers.server_info import enforces_rates, get_limits, version
from resolvers.upkeep.health import check_ready
from server.retry_after import retry_after


async def limits(ctx: Context, request: Request) -> Response:
    """Tell the limits of this server."""
    return JSONAnswer(limits_shape(get_limits(ctx), enforced=enforces_rates(ctx)))


async def health(ctx: Context, request: Request) -> Response:
    """Tell that the process runs, and its version."""
    return JSONAnswer({"ok": True, "version": version()})


async def ready(ctx: Context, request: Request) -> Response:
    """Tell whether the server can serve."""
    try:
        await check_ready(ctx)
    except ParleyError as error:
        body = {"ok": False, "message": error.message}
        return JSONAnswer(body, 503, retry_after(error.retry_after_ms))
    return JSONAnswer({"ok": True})


async def client_library(ctx: Context, request: Request) -> Response:
    """Refuse every build and source map that the older server had; say where to find them."""
    raise NotFound(
        "The Socket.IO client library is not served here. Load it from your own site (the npm"
        " package socket.io-client, version 4, folder dist), then call io() with this server's"
        " address"
    )


ENDPOINTS = (
    ("GET", "/api/limits", limits),
    ("POST", "/api/auth/register", register),
    ("POST", "/api/auth/login", login),
    ("POST", "/api/auth/logout", logout),
    ("POST", "/api/auth/logout-everywhere", logout_everywhere),
    ("POST", "/api/auth/renew", renew),
    ("POST", "/api/auth/change-password", set_password),
    ("GET", "/api/messages", history(message_shape)),
    ("POST", "/api/messages/send", send),
    ("POST", "/api/message/send", send),
    ("GET", "/api/message/all-message", history(message_row)),
    ("POST", "/api/uploads", upload),
    ("POST", "/api/users/block", change_block(block_user, "User blocked")),
    ("POST", "/api/users/unblock", change_block(unblock_user, "User unblocked")),
    ("GET", "/api/users/blocked", list_blocked),
    ("GET", "/health", health),
    ("GET", "/ready", ready),
    ("GET", "/files/{id}", serve_file),
    ("GET", "/files/{id}/thumbnail", serve_file),
    ("GET", "/avatars/{key}/{side}", serve_avatar),
    ("GET", "/socket.io/socket.io.{build}", client_library),
)


def rest_routes(ctx: Context) -> list[Route]:
    """Return the routes, bound to this server."""
    return [
        Route(path, EndpointApp(ctx, endpoint), methods=[method])
        for method, path, endpoint in ENDPOINTS
    ]
