"""What a field's function finds in `info.context`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import strawberry

from resolvers.context import Context
from schema.loaders import Loaders


@dataclass(frozen=True, slots=True)
class OperationContext:
    """One GraphQL operation's: the operations' context, and loaders of its own."""

    ctx: Context
    loaders: Loaders
    # Shows an event to the subscriber without a turn of the loop; False when that cannot be now.
    shortcut: Callable[[Any], bool] | None = None


Info = strawberry.Info[OperationContext, None]
