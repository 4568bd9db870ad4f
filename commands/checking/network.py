"""Whether clients can reach the server, and whose addresses it believes."""

import asyncio
import errno
from ipaddress import ip_network
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from commands.checking.findings import Finding, note, ok, wrong
from commands.checking.secret_values import LOCAL
from server.processes.listeners import bind
from settings import Settings

ASK_SECONDS = 5.0
HEALTH_BYTES = 4096


class _NoRedirects(HTTPRedirectHandler):
    """A redirect is what clients of the older wire would not follow either."""

    def redirect_request(self, *arguments: object, **named: object) -> None:
        return None


async def check_network(settings: Settings, *, serves: bool) -> list[Finding]:
    """Return what is wrong with the port, the proxies and PUBLIC_URL.

    `serves` says that a server with these settings runs on this machine.
    """
    found = [
        *_check_port(settings, serves=serves),
        *_check_proxies(settings),
        *_check_origins(settings),
    ]
    if settings.public_url:
        found.append(await asyncio.to_thread(_check_public_url, settings.public_url, serves))
    return found


def _check_port(settings: Settings, *, serves: bool) -> list[Finding]:
    try:
        for listener in bind(settings.host, settings.port):
            listener.close()
    except OSError as error:
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        if reason.errno == errno.EADDRINUSE:
            if serves:
                return [ok(f"port {settings.port} is served by this machine's Parley")]
            return [wrong(f"{error}", "end the program that has the port, or set PORT")]
        if reason.errno == errno.EACCES:
            return [wrong(f"{error}", "take a port from 1024 on, with a proxy before it")]
        return [wrong(f"{error}", "correct HOST")]
    return [ok(f"port {settings.port} is free")]


def _check_proxies(settings: Settings) -> list[Finding]:
    found = []
    for name in settings.trusted_proxies:
        network = ip_network(name)
        if network.prefixlen == 0:
            said = f"TRUSTED_PROXIES={name} believes everybody: anyone takes any address"
            found.append(wrong(said, "name the addresses of your proxies alone"))
        elif network.is_global and network.num_addresses > 65_536:
            said = f"TRUSTED_PROXIES={name} is a large part of the internet"
            found.append(note(said, "name the addresses of your proxies alone"))
    behind = settings.public_url.startswith("https:") or settings.hsts_seconds
    if behind and not settings.trusted_proxies:
        said = (
            "TRUSTED_PROXIES is empty, and TLS (PUBLIC_URL, HSTS_SECONDS) needs a proxy: all users"
            " would share the limits of the proxy's address"
        )
        found.append(wrong(said, "name the proxy: TRUSTED_PROXIES=127.0.0.1,::1"))
    if settings.hsts_seconds and settings.public_url.startswith("http:"):
        said = "HSTS_SECONDS asks browsers for https, and PUBLIC_URL is http"
        found.append(wrong(said, "set PUBLIC_URL=https://…, or HSTS_SECONDS=0"))
    return found


def _check_origins(settings: Settings) -> list[Finding]:
    found = []
    if settings.env == "production" and "*" in settings.cors_origins:
        said = "CORS_ORIGINS is *: pages of any site may use this server"
        found.append(note(said, "name the sites of your pages"))
    if settings.env == "production" and not settings.limits:
        said = "LIMITS=off in production: anyone may try passwords without end"
        found.append(wrong(said, "set LIMITS=on"))
    return found


def _check_public_url(base: str, serves: bool) -> Finding:
    """Ask for /health where clients would."""
    host = urlsplit(base).hostname or ""
    remedy = f"look at the proxy: {base.rstrip('/')}/health must lead to this server"
    try:
        request = Request(f"{base.rstrip('/')}/health", headers={"User-Agent": "parley-check"})  # noqa: S310  # PUBLIC_URL is http(s)
        with build_opener(_NoRedirects).open(request, timeout=ASK_SECONDS) as answer:  # nosec B310
            told = msgspec.json.decode(answer.read(HEALTH_BYTES))
    except HTTPError as error:
        return note(f"PUBLIC_URL: {host} answers {error.code} to /health", remedy)
    except (URLError, OSError, msgspec.DecodeError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if not serves and host in LOCAL:
            return note(f"PUBLIC_URL: {host} does not answer: the server is not running", remedy)
        return note(f"PUBLIC_URL: {host} does not answer from here: {reason}", remedy)
    if not (isinstance(told, dict) and told.get("ok") is True):
        return note(f"PUBLIC_URL: what {host} answers to /health is not Parley's", remedy)
    return ok(f"PUBLIC_URL leads to Parley {told.get('version', '')}")
