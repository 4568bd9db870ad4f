"""`main.py schema`: print the GraphQL schema. No settings are read."""

from typing import Any

from schema.root import schema


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    commands.add_parser("schema", help="print the GraphQL schema")


def run() -> None:
    """Print the schema as SDL."""
    print(schema.as_str())
