"""What a field's function finds in `info.context`."""

from dataclasses import dataclass

import strawberry

from resolvers.context import Context
from schema.execution.live import Live
from schema.loaders import Loaders


@dataclass(frozen=True, slots=True)
class OperationContext:
    """One GraphQL operation's: the operations' context, and loaders of its own."""

    ctx: Context
    loaders: Loaders
    # A subscription's, where its events can be shown without a task.
    live: Live | None = None
    # Whether a subscription may yield several events as one `Together`.
    together: bool = False


Info = strawberry.Info[OperationContext, None]
