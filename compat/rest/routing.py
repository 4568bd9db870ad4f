"""What the older REST routes share: their ASGI application, and who calls."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from compat.errors import code_of, error_answer
from resolvers.context import Context
from resolvers.people.auth import enter_request
from server.bearer import bearer_token
from server.calls import call_of, current
from server.remote import Remote

Endpoint = Callable[[Context, Request], Awaitable[Response]]


class EndpointApp:
    """An endpoint as an ASGI application. Its errors are answered in the older form.

    Given a mere function, Starlette would wrap each request and its answer three times more.
    """

    def __init__(self, ctx: Context, endpoint: Endpoint) -> None:
        self._ctx = ctx
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request, call = Request(scope, receive, send), call_of(scope)
        current.set((call, ""))  # the server made a task for this
        try:
            response = await self._endpoint(self._ctx, request)
        except Exception as error:  # the border: outside of CORS, a browser could not read it
            call.note(errors=[code_of(error)])
            response = error_answer(error)
        await response(scope, receive, send)


def as_anonymous(ctx: Context, request: Request) -> Context:
    """Return the context of a caller who needs no token."""
    return ctx.called_from(Remote(request.scope))


async def identify_caller(ctx: Context, request: Request) -> Context:
    """Return the caller's context. Raises Unauthenticated."""
    token = bearer_token(request.headers.get("authorization"))
    viewer = await enter_request(as_anonymous(ctx, request), token)
    call_of(request.scope).note_login(None if viewer.viewer is None else viewer.viewer.id, token)
    viewer.user  # noqa: B018  # refused here, before a large body is read
    return viewer
