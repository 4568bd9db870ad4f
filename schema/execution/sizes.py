"""How large a document is as it is written, before it is validated.

Validation compares fields that have the same name in the answer pair by pair, and looks through
the fragments of each operation: on a document without bounds, it would be the attack. So nothing
here asks the schema, and the document may still be wrong in any way.

A fragment counts each time it is spread, but is looked into once: spreads within spreads double at
each step.
"""

from collections.abc import Iterable, Mapping, Sequence
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

# Comparing two fields takes graphql-core so many times what it takes with two plain ones.
WEIGHT_OF_SELECTION = 40
WEIGHT_OF_ARGUMENT = 10


class Limits(NamedTuple):
    """How large a document, and each operation of it, may be."""

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


def fragments_of(document: DocumentNode) -> Fragments:
    """Return the document's fragments by their names."""
    return {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }


def check_document(document: DocumentNode, limits: Limits) -> None:
    """Raise GraphQLError, naming the limit, when a document is larger than one allows.

    Also for fragments that spread each other in a circle: their size has no bound.
    """
    _check("The document's number of definitions", len(document.definitions), limits.definitions)
    fragments = fragments_of(document)
    sizes = _Sizes(fragments)
    overlaps = _Overlaps(fragments)
    selections = 0
    for definition in _roots(document, sizes):
        size = sizes.of(definition.selection_set)
        size.directives += len(definition.directives or ())
        is_operation = isinstance(definition, OperationDefinitionNode)
        check_size(size, limits if is_operation else limits._replace(root_fields=size.root_fields))
        selections += size.selections
        # What the fields of one operation may be, and as much again for spreads, in all.
        _check("The document's number of selections", selections, 4 * limits.fields)
        overlaps.add(definition.selection_set)
        _check(
            "The document's number of comparisons of fields of the same name",
            overlaps.found,
            limits.overlaps,
        )


def check_size(size: Size, limits: Limits) -> None:
    """Raise GraphQLError, naming the limit, when an operation is larger than one allows."""
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


def _check(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise GraphQLError(f"{what} is {found}; the limit is {limit}")


def _roots(
    document: DocumentNode, sizes: "_Sizes"
) -> Iterable[OperationDefinitionNode | FragmentDefinitionNode]:
    """Yield the operations, then the fragments that none of those before has spread."""
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            yield definition
    for definition in document.definitions:
        if not isinstance(definition, FragmentDefinitionNode):
            continue
        if definition.name.value not in sizes.known:
            yield definition


class _Sizes:
    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._within: set[str] = set()
        self.known: dict[str, Size] = {}

    def of(self, selection_set: SelectionSetNode | None) -> Size:
        size = Size()
        for node in selection_set.selections if selection_set else ():
            size.selections += 1
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
            size.selections += below.selections
        return size

    def _of_fragment(self, name: str) -> Size:
        if (known := self.known.get(name)) is not None:
            return known
        fragment = self._fragments.get(name)
        if fragment is None:
            return Size()  # validation says that there is none
        if name in self._within:
            raise GraphQLError(f"Cannot spread fragment {name!r} within itself", fragment)
        self._within.add(name)
        size = self.known[name] = self.of(fragment.selection_set)
        self._within.remove(name)
        return size


class _Overlaps:
    """Counts the pairs of fields that validation compares; their weight is what that takes."""

    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self.found = 0

    def add(self, *selection_sets: SelectionSetNode) -> None:
        """Count the pairs in the selections, put together as in the answer, and below them."""
        groups: dict[str, list[FieldNode]] = {}
        self._collect(selection_sets, groups, set())
        for nodes in groups.values():
            below = [node.selection_set for node in nodes if node.selection_set is not None]
            if len(nodes) > 1:
                weight = 1 + WEIGHT_OF_SELECTION * bool(below)
                weight += WEIGHT_OF_ARGUMENT * max(len(node.arguments or ()) for node in nodes)
                self.found += weight * len(nodes) * (len(nodes) - 1) // 2
            if below:
                self.add(*below)

    def _collect(
        self,
        selection_sets: Sequence[SelectionSetNode],
        groups: dict[str, list[FieldNode]],
        spread: set[str],
    ) -> None:
        for selection_set in selection_sets:
            for node in selection_set.selections:
                if isinstance(node, FieldNode):
                    key = node.alias.value if node.alias else node.name.value
                    groups.setdefault(key, []).append(node)
                elif isinstance(node, InlineFragmentNode):
                    self._collect([node.selection_set], groups, spread)
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                    spread.add(node.name.value)
                    if (fragment := self._fragments.get(node.name.value)) is not None:
                        self._collect([fragment.selection_set], groups, spread)
