"""The REST routes for sessions: for clients of the older server that log out."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat.bodies import read_body, take_text
from compat.errors import JSONAnswer
from compat.rest.routing import identify_caller, route
from compat.shapes import login_shape
from resolvers.context import Context
from resolvers.sessions import change_password, log_out, log_out_everywhere, renew_token


def session_routes(ctx: Context) -> list[Route]:
    """Return the routes, bound to this server."""

    async def logout(request: Request) -> Response:
        await log_out(await identify_caller(ctx, request))
        return JSONAnswer({"message": "Logged out"})

    async def logout_everywhere(request: Request) -> Response:
        await log_out_everywhere(await identify_caller(ctx, request))
        return JSONAnswer({"message": "Logged out everywhere"})

    async def renew(request: Request) -> Response:
        return JSONAnswer(login_shape(await renew_token(await identify_caller(ctx, request))))

    async def change(request: Request) -> Response:
        viewer = await identify_caller(ctx, request)
        body = await read_body(request, ctx.settings.max_body_bytes)
        changed = await change_password(
            viewer,
            current=take_text(body, "currentPassword", "Current password"),
            new=take_text(body, "newPassword", "New password"),
        )
        return JSONAnswer({"message": "Password changed", **login_shape(changed)})

    return [
        route("POST", "/api/auth/logout", logout),
        route("POST", "/api/auth/logout-everywhere", logout_everywhere),
        route("POST", "/api/auth/renew", renew),
        route("POST", "/api/auth/change-password", change),
    ]
