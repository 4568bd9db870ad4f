"""Global object identification (relay.dev/graphql/objectidentification.htm).

User 1 and message 1 have the same `id`. A `globalId` names the type too: clients that cache by one
key use it (docs/decisions/0021-global-ids.md).
"""

from typing import NamedTuple

import strawberry
from strawberry import ID, field
from strawberry.relay.utils import from_base64, to_base64

from resolvers.guards.validation import find_id
from schema.execution.plans import SAME_FOR_ALL

MAX_GLOBAL_ID = 64  # characters: the longest name of a type, and a number


class Reference(NamedTuple):
    """Which thing a global id names."""

    type_name: str
    id: int


@strawberry.interface(description="A thing that `node` finds by its `globalId`.")
class Node:
    id: ID = field(description="A decimal string; a thing of another type may have the same id.")

    @field(
        description="Opaque, and of this thing alone among all types. It is for `node`, and for"
        " clients that cache by one key, such as Relay.",
        metadata=SAME_FOR_ALL,
    )
    def global_id(self) -> ID:
        return ID(to_base64(type(self).__name__, self.id))


def reference_of(global_id: str) -> Reference | None:
    """Return what a global id names; None when nothing can have it."""
    if len(global_id) > MAX_GLOBAL_ID:
        return None
    try:
        type_name, number = from_base64(global_id)
    except ValueError:
        return None
    id_ = find_id(number)
    return None if id_ is None else Reference(type_name, id_)
