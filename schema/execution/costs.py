"""What an operation may cost: the number of fields that its answer can have.

What is selected of a list counts as often as the list can have items: a page's by its `first` or
`last`, a list without pages by how many items it has now, or can have at most. What is seldom full
counts as less (SELDOM_FULL, and the reactions to a message). Introspection counts in the same way,
by the sizes that this schema has. A fragment counts each time it is spread, but is looked into
once.
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from resolvers.context import Context
from resolvers.guards.list_sizes import (
    count_blocked,
    count_online,
    expected_reactions,
    most_pieces,
    most_sessions,
    weigh_edits,
)
from schema.execution.introspection import expected_sizes
from schema.execution.selections import Fragments, selections_of
from schema.execution.sizes import check_limit
from schema.pagination import DEFAULT_PAGE

PAGE_ARGUMENTS = ("first", "last")
# Lists without pages, or whose page may be left out: how many items the caller's list has.
WHOLE_LISTS: dict[tuple[str, str], Callable[[Context], int]] = {
    ("Query", "onlineUsers"): count_online,
    ("Query", "blockedUsers"): count_blocked,
    ("Query", "sessions"): most_sessions,
    ("Message", "edits"): weigh_edits,
    ("Message", "reactions"): expected_reactions,
    ("SearchEdge", "snippet"): most_pieces,
}
# Pages that few fill unless a client asks for so many: most conversations have two people.
SELDOM_FULL: dict[tuple[str, str], float] = {
    ("Conversation", "members"): 5.0,
    ("Conversation", "marks"): 3.0,
}
# Beyond any limit: the size of a whole list while the caller is not known.
UNKNOWN = 1_000_000.0

Variables = Mapping[str, Any]


class Costs:
    """What operations of one schema cost."""

    def __init__(self, schema: GraphQLSchema, ctx: Context) -> None:
        self.schema = schema
        self.max_page_size = ctx.settings.max_page_size
        self.max_cost = ctx.settings.max_query_cost
        self.introspection_sizes = expected_sizes(schema)

    def check(self, operation: OperationDefinitionNode, fragments: Fragments) -> "Cost | None":
        """Return what each request has to check; None when every request is within the limit.

        Raises GraphQLError, naming the limit, when no request can be.
        """
        cost = Cost(self, operation, fragments)
        if cost.of(None, None) <= self.max_cost:
            return None
        if not cost.varies:
            cost.check(None, {})
        return cost


class Cost:
    """What one valid operation costs."""

    def __init__(
        self, costs: Costs, operation: OperationDefinitionNode, fragments: Fragments
    ) -> None:
        self.costs = costs
        self.fragments = fragments
        self.varies = False  # set by a walk that meets a variable, or a list of the caller's
        self.defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        self._operation = operation

    def check(self, ctx: Context | None, variables: Variables | None) -> None:
        """Raise GraphQLError, naming the limit, when it is beyond for this caller."""
        what = "The operation's cost, the number of fields that its answer can have,"
        check_limit(what, self.of(ctx, variables or {}), self.costs.max_cost)

    def of(self, ctx: Context | None, variables: Variables | None) -> int:
        """Return the cost with these variables; with None, with those that cost most."""
        root = self.costs.schema.get_root_type(self._operation.operation)
        assert root is not None  # noqa: S101  # the operation is valid
        return ceil(_Walk(self, ctx, variables).of(root.name, self._operation.selection_set, None))


class _Walk:
    """One walk through an operation. Each fragment is looked into once for each size of page."""

    def __init__(self, cost: Cost, ctx: Context | None, variables: Variables | None) -> None:
        self._cost = cost
        self._ctx = ctx
        self._costs = cost.costs
        self._variables = variables
        self._known: dict[tuple[str, float | None], float] = {}

    def of(self, type_: str, selection_set: SelectionSetNode, page: float | None) -> float:
        """Return what is selected of the type; `page` is the size of the lists in it, if known."""
        total = 0.0
        for node in selections_of(selection_set):
            if isinstance(node, FieldNode):
                total += self._of_field(type_, node, page)
            elif isinstance(node, FragmentSpreadNode):
                total += self._of_fragment(node.name.value, page)
            else:
                condition = node.type_condition
                narrowed = condition.name.value if condition else type_
                total += self.of(narrowed, node.selection_set, page)
        return total

    def _of_fragment(self, name: str, page: float | None) -> float:
        if (name, page) not in self._known:
            fragment = self._cost.fragments[name]
            type_ = fragment.type_condition.name.value
            self._known[name, page] = self.of(type_, fragment.selection_set, page)
        return self._known[name, page]

    def _of_field(self, type_: str, node: FieldNode, page: float | None) -> float:
        if node.selection_set is None:
            return 1.0
        name = node.name.value
        parent: Any = self._costs.schema.type_map[type_]
        field = self._costs.schema.get_field(parent, name)
        assert field is not None  # noqa: S101  # the document is valid
        own_page = self._page(field, node, SELDOM_FULL.get((type_, name)))
        times = self._costs.introspection_sizes.get((type_, name))
        if times is None:
            times = 1.0
            if (count := WHOLE_LISTS.get((type_, name))) is not None:
                times = self._whole(count, own_page)
            elif is_list_type(get_nullable_type(field.type)):
                times = next((p for p in (own_page, page) if p is not None), float(DEFAULT_PAGE))
        return 1.0 + times * self.of(get_named_type(field.type).name, node.selection_set, own_page)

    def _whole(self, count: Callable[[Context], int], page: float | None) -> float:
        self._cost.varies = True
        if self._ctx is None:
            return UNKNOWN  # also with a page: its size may be a variable, and null
        there = float(count(self._ctx))
        return there if page is None else min(there, page)

    def _page(self, field: GraphQLField, node: FieldNode, expected: float | None) -> float | None:
        """Return the size of the page that the field is asked for; None where it has no pages.

        Where nobody sizes it: the `expected` size, or the one that it has by itself.
        """
        if not any(name in field.args for name in PAGE_ARGUMENTS):
            return None
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = [self._size(given[name]) for name in PAGE_ARGUMENTS if name in given]
        asked = max((size for size in sizes if size is not None), default=None)
        if asked is None:
            asked = expected
        if asked is None:
            asked = next((size for size in map(_default, field.args.values()) if size), None)
        if asked is None and not is_list_type(get_nullable_type(field.type)):
            return float(DEFAULT_PAGE)
        return asked  # a list that is its own page is whole when nobody sizes it

    def _size(self, value: ValueNode | None) -> float | None:
        """Return the size that the argument asks for, within the limits of pages; None for null."""
        if isinstance(value, IntValueNode):
            return self._served(int(value.value))
        if not isinstance(value, VariableNode):
            return None
        self._cost.varies = True
        name = value.name.value
        if self._variables is None:
            return self._served(self._costs.max_page_size)
        if name not in self._variables:
            return self._size(self._cost.defaults.get(name))
        found = self._variables[name]
        return self._served(found) if isinstance(found, int | float) else None

    def _served(self, size: float) -> float:
        # The page itself refuses a size that is negative or too large.
        return float(min(max(0, size), self._costs.max_page_size))


def _default(argument: GraphQLArgument) -> float | None:
    """Return the size that a page has by itself, where the argument says so."""
    size = argument.default_value
    return float(size) if type(size) is int else None
