"""What a field's function finds in `info.context`."""

from dataclasses import dataclass

import strawberry

from resolvers.context import Context
from schema.loaders import Loaders


@dataclass(frozen=True, slots=True)
class OperationContext:
    """One GraphQL operation's: the operations' context, and loaders of its own."""

    ctx: Context
    loaders: Loaders


Info = strawberry.Info[OperationContext, None]
