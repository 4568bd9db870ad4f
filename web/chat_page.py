"""The chat page: what `/` shows to browsers. All of it is our own, in `chat/` and `client/dist/`.

The page's files are read once, when the server starts. Their addresses carry a digest of all of
them, so that browsers may keep them for good, and never mix the files of two versions.
"""

import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_HERE = Path(__file__).resolve().parent
# The first module. The client's built files stand beside the page's, so that
# `../client/dist/parley.js` means the same on disk and in the browser.
_START = _HERE / "chat" / "app.js"
_IMPORT = re.compile(r"""^(?:import|export)\b[^"';]*?from "(\.[^"]+)";""", re.MULTILINE)
_MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_ROOT = "page"  # the first part of the files' addresses


class _File(NamedTuple):
    """A file as it is served: compressed once."""

    content: bytes
    compressed: bytes
    media_type: str


class ChatPage:
    """The page and its files. `public_url` is where the server says that its files are."""

    def __init__(self, *, public_url: str = "") -> None:
        self._files = dict(_read_files())
        digest = hashlib.sha256()
        for name, file in self._files.items():
            digest.update(name.encode() + b"\0" + file.content)
        self.version = digest.hexdigest()[:16]
        self._page = _packed(self._fill_in((_HERE / "chat" / "index.html").read_text("utf-8")))
        self._page_headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": content_security_policy(public_url),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "Vary": "Accept, Accept-Encoding",  # the same address answers API clients with JSON
        }
        # Weak: it is the same page, compressed or not.
        self._tag = f'"{hashlib.sha256(self._page.content).hexdigest()[:16]}"'
        self._page_headers["ETag"] = f"W/{self._tag}"

    def page(self, request: Request) -> Response:
        """Answer with the page."""
        # A list of tags, or one that a proxy has made strong or weak, will do.
        if self._tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self._page_headers)
        return _answer(request, self._page, self._page_headers)

    def files_route(self) -> Route:
        """The page's scripts and styles, each by its exact name, and nothing else."""

        async def endpoint(request: Request) -> Response:
            file = self._files.get(request.path_params["name"])
            if file is None or request.path_params["version"] != self.version:
                raise HTTPException(404)
            headers = {
                "Cache-Control": "public, max-age=31536000, immutable",
                "Vary": "Accept-Encoding",
            }
            return _answer(request, file, headers)

        return Route(f"/{_ROOT}/{{version}}/{{name:path}}", endpoint)

    def _fill_in(self, template: str) -> bytes:
        """Return the page with the addresses of this version, and every module it will import.

        Without that list a browser hears of a module only when it has read the one that imports
        it: as many round trips as imports are deep.
        """
        # Relative to the page's own address: a path prefix of a reverse proxy does no harm.
        base = f"{_ROOT}/{self.version}"
        modules = "\n    ".join(
            f'<link rel="modulepreload" href="{base}/{name}">'
            for name in self._files
            if name.endswith(".js")
        )
        return template.replace("{base}", base).replace("<!-- modules -->", modules).encode()


def content_security_policy(public_url: str) -> str:
    """Return what the page may load: our own files, and what its user picks or records."""
    parts = urlsplit(public_url)
    files = f"'self' {parts.scheme}://{parts.netloc}" if public_url else "'self'"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {files} blob:",
            f"media-src {files} blob:",
            "connect-src 'self'",  # covers ws: and wss: of the same origin
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            # No text becomes markup, whatever a message says.
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def is_browser(request: Request) -> bool:
    """Whether it is a person who opens the address, not a program that calls it."""
    return "text/html" in request.headers.get("accept", "")


def _read_files() -> list[tuple[str, _File]]:
    looks = [path for path in (_HERE / "chat").iterdir() if path.suffix in {".css", ".svg"}]
    return [
        (
            path.relative_to(_HERE).as_posix(),
            _packed(path.read_bytes(), _MEDIA_TYPES[path.suffix]),
        )
        for path in sorted([*looks, *_modules(_START, set())])
    ]


def _modules(path: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield a module, and every one that it imports: what the page needs, and nothing else."""
    if path in seen:
        return
    seen.add(path)
    yield path
    for name in _IMPORT.findall(path.read_text("utf-8")):
        yield from _modules((path.parent / name).resolve(), seen)


def _packed(content: bytes, media_type: str = "text/html; charset=utf-8") -> _File:
    return _File(content, gzip.compress(content, 9, mtime=0), media_type)


def _answer(request: Request, file: _File, headers: dict[str, str]) -> Response:
    # What a client does not want it says with q=0, which no browser does of gzip.
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers = {**headers, "Content-Encoding": "gzip"}
        return Response(file.compressed, headers=headers, media_type=file.media_type)
    return Response(file.content, headers=headers, media_type=file.media_type)
