"""`main.py schema`: print how each face is described to machines. No settings are read."""

import argparse
from collections.abc import Callable
from typing import Any

import msgspec

from commands.describing.rest import openapi
from commands.describing.socketio import asyncapi
from commands.describing.yaml import as_yaml
from schema.root import schema

# Of the older wire. It goes up when a route, an event or a field is added.
VERSION = "1.0.0"


def _graphql() -> str:
    return f"{schema.as_str()}\n"


def _openapi() -> str:
    return msgspec.json.format(msgspec.json.encode(openapi(VERSION)), indent=1).decode() + "\n"


def _asyncapi() -> str:
    return as_yaml(asyncapi(VERSION))


FACES: dict[str, Callable[[], str]] = {
    "graphql": _graphql,
    "openapi": _openapi,
    "asyncapi": _asyncapi,
}


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "schema", help="print the GraphQL schema; REST as OpenAPI, Socket.IO as AsyncAPI"
    )
    parser.add_argument(
        "face",
        nargs="?",
        choices=FACES,
        default="graphql",
        help="graphql (the default), openapi for REST, asyncapi for Socket.IO",
    )


def run(options: argparse.Namespace) -> None:
    """Print the description of one face."""
    print(FACES[options.face](), end="")
