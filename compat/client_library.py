"""What is answered where the older server served the Socket.IO client library to browsers."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat.errors import JSONAnswer
from compat.routes import route
from resolvers.errors import Code

# Every name under which Node's server offers a build, each with a source map beside it.
BUILDS = ("socket.io.js", "socket.io.min.js", "socket.io.msgpack.min.js", "socket.io.esm.min.js")
WHERE = (
    "The Socket.IO client library is not served here. Load it from your own site (the npm package"
    " socket.io-client, version 4, folder dist), then call io() with this server's address"
)


def client_library_routes() -> list[Route]:
    """Return the routes of the builds; each says where the library is instead."""
    names = [name for build in BUILDS for name in (build, f"{build}.map")]
    return [route("GET", f"/socket.io/{name}", _say_where) for name in names]


async def _say_where(request: Request) -> Response:
    return JSONAnswer({"message": WHERE, "code": Code.NOT_FOUND.value}, 404)
