"""What a field's function finds in `info.context`."""

import msgspec
import strawberry

from resolvers.context import Context
from schema.loaders import Loaders


class Resumption(msgspec.Struct):
    """From where a client resumes a stream, by the transport itself, and how far the stream is."""

    after: str | None  # takes the place of the field's own argument
    place: str | None = None  # of the last event that the field yielded


class OperationContext(msgspec.Struct, frozen=True):
    """One GraphQL operation's: the operations' context, and loaders of its own."""

    ctx: Context
    loaders: Loaders
    resumption: Resumption | None = None


Info = strawberry.Info[OperationContext, None]


def own_loaders(info: Info) -> Loaders:
    """Return loaders for what only the viewer sees: subscriptions share their others."""
    loaders = info.context.loaders
    return Loaders(info.context.ctx) if loaders.shared else loaders
