"""How large an operation is as it is written: its depth, fields, aliases and directives.

A fragment counts each time it is spread, but is looked into once: spreads within spreads double at
each step, and walking them all would itself be the attack.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

Fragments = Mapping[str, FragmentDefinitionNode]


class Limits(NamedTuple):
    """How large an operation may be."""

    depth: int
    fields: int
    root_fields: int
    aliases: int
    directives: int


@dataclass(slots=True)
class Size:
    """How large a selection is, with what its fragments hold."""

    depth: int = 0
    fields: int = 0
    root_fields: int = 0  # the selection's own, not those below
    aliases: int = 0
    directives: int = 0


def fragments_of(document: DocumentNode) -> Fragments:
    """Return the document's fragments by their names."""
    return {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }


def check_size(operation: OperationDefinitionNode, fragments: Fragments, limits: Limits) -> None:
    """Raise GraphQLError, naming the limit, when a valid operation is larger than one allows."""
    size = _Sizes(fragments).of(operation.selection_set)
    size.directives += len(operation.directives or ())
    for name, found, limit in (
        ("depth", size.depth, limits.depth),
        ("number of fields", size.fields, limits.fields),
        ("number of root fields", size.root_fields, limits.root_fields),
        ("number of aliases", size.aliases, limits.aliases),
        ("number of directives", size.directives, limits.directives),
    ):
        if found > limit:
            raise beyond(name, found, limit)


def beyond(name: str, found: int, limit: int) -> GraphQLError:
    """Return the error of an operation that is larger than a limit allows."""
    return GraphQLError(f"The operation's {name} is {found}; the limit is {limit}")


class _Sizes:
    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._known: dict[str, Size] = {}

    def of(self, selection_set: SelectionSetNode | None) -> Size:
        size = Size()
        for node in selection_set.selections if selection_set else ():
            size.directives += len(node.directives or ())
            if isinstance(node, FieldNode):
                below = self.of(node.selection_set)
                size.fields += 1
                size.root_fields += 1
                size.aliases += node.alias is not None
                size.depth = max(size.depth, 1 + below.depth)
            elif isinstance(node, FragmentSpreadNode):
                below = self._of_fragment(node.name.value)
                size.root_fields += below.root_fields
                size.depth = max(size.depth, below.depth)
            elif isinstance(node, InlineFragmentNode):
                below = self.of(node.selection_set)
                size.root_fields += below.root_fields
                size.depth = max(size.depth, below.depth)
            else:
                continue
            size.fields += below.fields
            size.aliases += below.aliases
            size.directives += below.directives
        return size

    def _of_fragment(self, name: str) -> Size:
        if name not in self._known:
            self._known[name] = self.of(self._fragments[name].selection_set)
        return self._known[name]
