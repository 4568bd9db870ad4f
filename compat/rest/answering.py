"""An endpoint of the older routes as an ASGI application."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from compat.errors import answer_unexpected
from resolvers.errors import ParleyError

Endpoint = Callable[[Request], Awaitable[Response]]


class Answering:
    """Given a mere function, Starlette wraps each request and its answer three times more."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; unforeseen errors are answered in the older form too."""
        try:
            response = await self._endpoint(Request(scope, receive, send))
        except ParleyError:
            raise
        except Exception as error:  # the border: outside of CORS, a browser could not read it
            response = answer_unexpected(error)
        await response(scope, receive, send)
