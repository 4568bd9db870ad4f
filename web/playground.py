"""The playground: GraphiQL for browsers that open the endpoint, with no file from elsewhere."""

from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Mount, Route, Router

_HERE = Path(__file__).parent

# The files this package carries are those of the official npm packages: byte for byte for react,
# react-dom and graphql-ws, and with one newline appended for graphiql. playground.html pins each
# one. Names carry the version because browsers keep them for a year.
_PACKAGE = "graphene_django_graphiql_static"
_PINNED = {
    "react-17.0.2.js": "react.production.min.js",
    "react-dom-17.0.2.js": "react-dom.production.min.js",
    "graphql-ws-5.13.1.js": "graphql-ws.min.js",
    "graphiql-2.4.7.js": "graphiql.min.js",
    "graphiql-2.4.7.css": "graphiql.min.css",
}
_OWN = ("playground.js", "playground.css")

_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # The hash is of the one style that GraphiQL's dialogs inject (no scrolling behind them).
        "style-src 'self' 'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='",
        "font-src data:",  # graphiql's style sheet holds its fonts
        "img-src data:",
        "connect-src 'self'",  # covers ws: and wss: of the same origin
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept",  # the same address answers API clients with JSON
}
_PAGE = (_HERE / "playground.html").read_text(encoding="utf-8")


def playground_page() -> HTMLResponse:
    """The page; it must answer at the address that ends in `/graphql`, beside its assets."""
    return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)


def playground_assets() -> Mount:
    """The page's scripts and styles, each by its exact name, and nothing else."""
    carried = files(_PACKAGE) / "static" / _PACKAGE
    pinned = {name: Path(str(carried / file)) for name, file in _PINNED.items()}
    own = {name: _HERE / name for name in _OWN}
    routes = [
        *(_file_route(name, path, "public, max-age=31536000") for name, path in pinned.items()),
        *(_file_route(name, path, "no-cache") for name, path in own.items()),
    ]
    return Mount("/graphql/playground", app=Router(routes, redirect_slashes=False))


def _file_route(name: str, path: Path, cache_control: str) -> Route:
    headers = {"Cache-Control": cache_control}

    async def endpoint(request: Request) -> FileResponse:
        return FileResponse(path, headers=headers, media_type=_MEDIA_TYPES[path.suffix])

    return Route(f"/{name}", endpoint)
