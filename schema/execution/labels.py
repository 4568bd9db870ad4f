"""What an operation is called in log lines."""

from typing import Any, NamedTuple

from graphql import OperationDefinitionNode

from schema.execution.selections import Fragments, collect_fields

MAX_NAME = 64
MAX_FIELDS = 5
# What people do by the dozen: a log line for each that succeeds would cost as much as a send.
FREQUENT = frozenset({"sendMessage", "setTyping", "markRead", "markDelivered"})


class Label(NamedTuple):
    """The kind of an operation, its name if it has one, and its fields at the top."""

    text: str
    told: dict[str, Any]  # the fields of its log line
    is_frequent: bool


# Of a request that says no valid operation.
NONE = Label("", {}, is_frequent=False)


def label_of(definition: OperationDefinitionNode, fragments: Fragments) -> Label:
    """Return an operation's label. It is made of names of the schema, but for the one name."""
    kind = definition.operation.value
    nodes = collect_fields([definition.selection_set], fragments).values()
    names = [*dict.fromkeys(found[0].name.value for found in nodes)]
    told: dict[str, Any] = {"kind": kind, "fields": names[:MAX_FIELDS]}
    if definition.name is not None:
        told["operation"] = definition.name.value[:MAX_NAME]
    text = f"{kind} {','.join(names[:MAX_FIELDS])}"
    return Label(text, told, is_frequent=FREQUENT.issuperset(names))
