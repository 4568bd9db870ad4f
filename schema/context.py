"""What a field's function finds in `info.context`."""

import msgspec
import strawberry

from resolvers.context import Context
from schema.loaders import Loaders


class OperationContext(msgspec.Struct, frozen=True):
    """One GraphQL operation's: the operations' context, and loaders of its own."""

    ctx: Context
    loaders: Loaders


Info = strawberry.Info[OperationContext, None]


def own_loaders(info: Info) -> Loaders:
    """Return loaders for what only the viewer sees: subscriptions share their others."""
    loaders = info.context.loaders
    return Loaders(info.context.ctx) if loaders.shared else loaders
