"""What the older REST routes have in common: who calls, and the border for what goes wrong."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat.errors import answer_unexpected
from resolvers.auth import identify
from resolvers.clients import called_from
from resolvers.context import Context
from resolvers.errors import ParleyError

Endpoint = Callable[[Request], Awaitable[Response]]


def route(method: str, path: str, endpoint: Endpoint) -> Route:
    """Route to the endpoint; its unforeseen errors are answered in the older form too."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ParleyError:
            raise
        except Exception as error:  # the border: outside of CORS, a browser could not read it
            return answer_unexpected(error)

    return Route(path, answer, methods=[method])


async def identify_caller(ctx: Context, request: Request) -> Context:
    """Return the caller's context. Raises Unauthenticated."""
    viewer = await identify(called_from(ctx, request.scope), request.headers.get("authorization"))
    viewer.user  # noqa: B018  # the door, before a large body is read
    return viewer
