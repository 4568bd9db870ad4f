"""Where a call comes from, as it is shown in the list of one's sessions."""

from collections.abc import Mapping
from typing import Any

from resolvers.context import Context
from resolvers.fields import printable

MAX_AGENT, MAX_ADDRESS = 200, 64


def called_from(ctx: Context, scope: Mapping[str, Any]) -> Context:
    """Return the context of a call that came over this ASGI connection."""
    client = scope.get("client")
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return ctx.from_client(
        printable(str(client[0]) if client else "")[:MAX_ADDRESS],
        printable(agent[: 4 * MAX_AGENT].decode(errors="replace"))[:MAX_AGENT],
    )
