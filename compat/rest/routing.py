"""What the older REST routes have in common: who calls, and the border for what goes wrong."""

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Scope

from compat.rest.answering import Answering, Endpoint
from resolvers.auth import enter_request
from resolvers.context import Context
from server.bearer import bearer_token
from server.remote import Remote


def route(method: str, path: str, endpoint: Endpoint) -> Route:
    """Route to the endpoint; its unforeseen errors are answered in the older form too."""
    return Route(path, Answering(endpoint), methods=[method])


async def identify_caller(ctx: Context, request: Request) -> Context:
    """Return the caller's context. Raises Unauthenticated."""
    token = bearer_token(request.headers.get("authorization"))
    viewer = await enter_request(ctx.called_from(Remote(request.scope)), token)
    viewer.user  # noqa: B018  # the door, before a large body is read
    return viewer


def keeps_no_body(scope: Scope) -> None:
    """Say that the body goes to the disk as it comes, so that it is not counted as held."""
    extension = scope.get("extensions", {}).get("parley.body")
    if extension is not None:  # another server has none
        extension["streams"]()
