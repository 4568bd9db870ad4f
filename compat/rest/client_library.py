"""What is answered where the older server served the Socket.IO client library to browsers."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat.errors import JSONAnswer
from compat.rest.routing import route
from resolvers.errors import Code

WHERE = (
    "The Socket.IO client library is not served here. Load it from your own site (the npm package"
    " socket.io-client, version 4, folder dist), then call io() with this server's address"
)


def client_library_route() -> Route:
    """Return the route of every build and source map; it says where the library is instead."""
    return route("GET", "/socket.io/socket.io.{build}", _say_where)


async def _say_where(request: Request) -> Response:
    return JSONAnswer({"message": WHERE, "code": Code.NOT_FOUND.value}, 404)
