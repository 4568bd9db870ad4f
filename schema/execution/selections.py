"""What a document selects: its fragments by name, and the fields of a selection by their keys."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)

Fragments = Mapping[str, FragmentDefinitionNode]
Fragment = InlineFragmentNode | FragmentDefinitionNode
Selection = FieldNode | FragmentSpreadNode | InlineFragmentNode


def fragments_of(document: DocumentNode) -> Fragments:
    """Return the document's fragments by their names."""
    return {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }


def selections_of(selection_set: SelectionSetNode | None) -> Sequence[Selection]:
    """Return what stands in a selection; nothing for a field that has none."""
    return () if selection_set is None else cast("Sequence[Selection]", selection_set.selections)


def collect_fields(
    selection_sets: Iterable[SelectionSetNode | None],
    fragments: Fragments,
    applies: Callable[[Selection, Fragment], bool] = lambda node, fragment: True,
) -> dict[str, list[FieldNode]]:
    """Return the selected fields by their keys in the answer, in the order of the answer.

    The selections are those of one field, which may stand in several places. A fragment is looked
    into once, and only if it `applies`, which is given the selection and the fragment it names.
    """
    collected: dict[str, list[FieldNode]] = {}
    spread: set[str] = set()

    def collect(selection_set: SelectionSetNode | None) -> None:
        for node in selections_of(selection_set):
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                collected.setdefault(key, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if applies(node, node):
                    collect(node.selection_set)
            elif node.name.value not in spread:
                spread.add(node.name.value)
                fragment = fragments.get(node.name.value)
                if fragment is not None and applies(node, fragment):
                    collect(fragment.selection_set)

    for selection_set in selection_sets:
        collect(selection_set)
    return collected
