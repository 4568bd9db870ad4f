"""`main.py demo`: a server with three people who have talked already, in a database of its own."""

import argparse
import logging
import sys
import threading
import time
import traceback
import webbrowser
from http.client import HTTPConnection
from typing import Any

from commands import command_line, demo_terminal, serve
from commands.demo_story import PASSWORD, tell
from settings import Settings

logger = logging.getLogger("parley.demo")

START_SECONDS = 60
PROBE_SECONDS = 0.1


def add_parser(commands: Any) -> None:
    """Add the command and its words to the command line."""
    parser = commands.add_parser(
        "demo", help="serve three people with known passwords, in a database of their own"
    )
    parser.add_argument("--host", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on (PORT, 3000)")
    parser.add_argument(
        "--open",
        action="store_true",
        help="open two of them in this machine's browser, to be put side by side",
    )
    parser.add_argument(
        "--socketio",
        action="store_true",
        help="be Carol in this terminal, over Socket.IO, beside a demo that runs",
    )


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Serve the demo until SIGTERM or SIGINT; with --socketio, be Carol until the input ends."""
    if options.socketio:
        demo_terminal.run(settings.port, PASSWORD)
        return
    if settings.env == "production":
        raise SystemExit(
            "ENV=production: the demo's people have known passwords; it is not served here"
        )
    logging.getLogger("parley.access").setLevel(logging.WARNING)  # what matters is printed last
    ours = demo_settings(settings, options.host or "127.0.0.1")
    telling = threading.Thread(target=_tell_when_ready, args=(ours, options.open), daemon=True)
    # Not before the port is ours: another server there would get people with known passwords.
    serve.run(ours, options, bound=telling.start)


def demo_settings(settings: Settings, host: str) -> Settings:
    """Return settings that share nothing with the operator's database, files, secret and Redis.

    Only this machine reaches the demo, unless `host` says otherwise: its passwords are known.
    """
    return settings.model_copy(
        update={
            "host": host,
            "port": settings.port or 3000,
            "workers": 1,
            "data_dir": settings.data_dir / "demo",
            **dict.fromkeys(("database_url", "db_host", "redis_url", "storage_url", "jwt_secret")),
            "public_url": "",
            "chat_page": True,
            "registration": "open",
            "directory": "everyone",
            "broadcast": "everyone",
        }
    )


def _tell_when_ready(settings: Settings, opens: bool) -> None:
    """Wait for the server, let the people talk unless they have, and say how to be one of them."""
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(settings.port):
        if time.monotonic() > deadline:
            return
        time.sleep(PROBE_SECONDS)
    try:
        people = tell(settings.port)
    except Exception:  # the server goes on: its operator sees why nobody is in it
        logger.error("The demo's people could not be made:\n%s", traceback.format_exc())
        return
    base = f"http://localhost:{settings.port}"
    addresses = {one.email: f"{base}/?as={one.name.lower()}" for one in people}
    lines = [
        f"    {one.name:<8}{addresses[one.email]:<{len(base) + 13}}{one.email}" for one in people
    ]
    port = "" if settings.port == 3000 else f" --port {settings.port}"
    again = command_line().replace("python", sys.executable)
    print(
        "\n".join(
            [
                "  The demo is ready. Open two of them side by side:",
                "",
                *lines,
                "",
                f"    Everybody's password: {PASSWORD}",
                f"    Carol over Socket.IO, in a second terminal: {again} demo --socketio{port}",
                "",
            ]
        ),
        flush=True,
    )
    if opens:
        for address in list(addresses.values())[:2]:
            webbrowser.open_new(address)


def _is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
