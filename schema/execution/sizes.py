"""How large a document is as it is written. It is measured before it is validated.

Validation compares the fields of the same key pair by pair, and looks through the fragments of each
operation: a document without bounds would make validation itself the attack. So nothing here asks
the schema, and the document may still be wrong in any way.

A fragment counts each time it is spread, but is looked into once: spreads within spreads double at
each step.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
)

from schema.execution.selections import Fragments, collect_fields, fragments_of, selections_of

# Comparing two fields takes graphql-core so many times what it takes with two plain ones.
WEIGHT_OF_SELECTION = 40
WEIGHT_OF_ARGUMENT = 10


class DocumentLimits(NamedTuple):
    """How large a document, and each operation of it, may be: settings after `max_query_`."""

    depth: int
    fields: int
    root_fields: int
    aliases: int
    directives: int
    definitions: int
    overlaps: int


@dataclass(slots=True)
class Size:
    """How large a selection is, with what its fragments hold."""

    depth: int = 0
    fields: int = 0
    root_fields: int = 0  # the selection's own, not those below
    aliases: int = 0
    directives: int = 0
    selections: int = 0  # fields, and spreads that may hold none


def check_document(document: DocumentNode, limits: DocumentLimits) -> None:
    """Raise GraphQLError, naming the limit, when a document is larger than one allows.

    Raise it too for fragments that spread each other in a circle: their size has no bound.
    """
    check_limit(
        "The document's number of definitions", len(document.definitions), limits.definitions
    )
    fragments = fragments_of(document)
    sizes = _Sizes(fragments)
    selections = overlaps = 0
    for definition in _roots(document, sizes):
        size = sizes.of(definition.selection_set)
        size.directives += len(definition.directives or ())
        if isinstance(definition, FragmentDefinitionNode):
            size.root_fields = 0  # a limit of operations
        for name in ("depth", "fields", "root_fields", "aliases", "directives"):
            shown = "depth" if name == "depth" else f"number of {name.replace('_', ' ')}"
            check_limit(f"The operation's {shown}", getattr(size, name), getattr(limits, name))
        selections += size.selections
        # One operation's limit of fields, for all definitions together; and as many spreads.
        check_limit("The document's number of selections", selections, 4 * limits.fields)
        overlaps += _count_overlaps([definition.selection_set], fragments)
        check_limit(
            "The document's number of comparisons of fields of the same name",
            overlaps,
            limits.overlaps,
        )


def check_limit(what: str, found: int, limit: int) -> None:
    """Raise GraphQLError, naming the limit, when what was found is beyond the limit."""
    if found > limit:
        raise GraphQLError(f"{what} is {found}; the limit is {limit}")


def _roots(
    document: DocumentNode, sizes: "_Sizes"
) -> Iterable[OperationDefinitionNode | FragmentDefinitionNode]:
    """Yield the operations, then each fragment that no definition before it has spread."""
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            yield definition
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode) and not sizes.knows(definition):
            yield definition


class _Sizes:
    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._known: dict[str, Size | None] = {}  # None: it is being looked into

    def knows(self, fragment: FragmentDefinitionNode) -> bool:
        """Whether this fragment, and not another of the same name, was spread and measured."""
        name = fragment.name.value
        return name in self._known and self._fragments[name] is fragment

    def of(self, selection_set: SelectionSetNode | None) -> Size:
        """Return the size of a selection. Raises GraphQLError for a circle of fragments."""
        size = Size()
        for node in selections_of(selection_set):
            is_field = isinstance(node, FieldNode)
            if isinstance(node, FragmentSpreadNode):
                below = self._of_fragment(node)
            else:
                below = self.of(node.selection_set)
            size.depth = max(size.depth, is_field + below.depth)
            size.fields += is_field + below.fields
            size.root_fields += 1 if is_field else below.root_fields
            size.aliases += (isinstance(node, FieldNode) and node.alias is not None) + below.aliases
            size.directives += len(node.directives or ()) + below.directives
            size.selections += 1 + below.selections
        return size

    def _of_fragment(self, spread: FragmentSpreadNode) -> Size:
        name = spread.name.value
        fragment = self._fragments.get(name)
        if fragment is None:
            return Size()  # validation says that there is none
        if name not in self._known:
            self._known[name] = None
            self._known[name] = self.of(fragment.selection_set)
        size = self._known[name]
        if size is None:
            raise GraphQLError(f"Cannot spread fragment {name!r} within itself", fragment)
        return size


def _count_overlaps(selection_sets: Iterable[SelectionSetNode | None], fragments: Fragments) -> int:
    """Count the pairs of fields that validation compares, weighted by what comparing them takes."""
    found = 0
    for nodes in collect_fields(selection_sets, fragments).values():
        below = [node.selection_set for node in nodes if node.selection_set is not None]
        weight = 1 + WEIGHT_OF_SELECTION * bool(below)
        weight += WEIGHT_OF_ARGUMENT * max(len(node.arguments or ()) for node in nodes)
        found += weight * len(nodes) * (len(nodes) - 1) // 2
        if below:
            found += _count_overlaps(below, fragments)
    return found
