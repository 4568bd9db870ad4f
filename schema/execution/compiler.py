"""From a valid document to its plan, made once."""

from collections.abc import Callable, Iterable
from inspect import isawaitable
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLAbstractType,
    GraphQLEnumType,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_specified_scalar_type,
)

from schema.context import Info
from schema.execution.arguments import NotPlain, compile_arguments
from schema.execution.plans import Field, Later, Plan, Show, Shown


def compile_plan(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Plan | None:
    """Return the plan of a valid operation; None when graphql-core has to execute it."""
    root_type = schema.get_root_type(operation.operation)
    if root_type is None or operation.directives:
        return None
    try:
        return _Compiler(schema, document, operation).plan(root_type)
    except NotPlain:
        return None


# What a document may select of objects, each type that an interface stands for counted apart:
# interfaces within interfaces multiply.
MAX_OBJECTS = 500


class _Compiler:
    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._operation = operation
        self._is_mutation = operation.operation is OperationType.MUTATION
        self._calls = False
        self._shared = True
        self._objects = 0

    def plan(self, root_type: GraphQLObjectType) -> Plan:
        selected = self._collect(root_type, [self._operation.selection_set])
        if len(selected) != 1:
            raise NotPlain
        [(key, nodes)] = selected.items()
        node, field = nodes[0], root_type.fields.get(nodes[0].name.value)
        if field is None or _function_of(field) is None:
            raise NotPlain
        arguments = compile_arguments(self._schema, self._operation, node, field)
        required, complete = self._output(field.type, nodes)
        root = Field(key, node.name.value, required, None, complete)
        return Plan(
            root,
            nodes,
            arguments,
            _caller(field),
            calls=self._calls,
            waits=field.extensions["strawberry-definition"].base_resolver.is_async,
            shared=self._shared,
        )

    def _collect(
        self, type_: GraphQLObjectType, selection_sets: Iterable[SelectionSetNode | None]
    ) -> dict[str, list[FieldNode]]:
        """Return the fields that are selected of an object, by their keys in the answer, in order.

        The selections are those of one field, which may stand in several places.
        """
        collected: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        for selection_set in selection_sets:
            for node in self._flat(type_, selection_set, spread):
                key = node.alias.value if node.alias else node.name.value
                collected.setdefault(key, []).append(node)
        return collected

    def _flat(
        self, type_: GraphQLObjectType, selection_set: SelectionSetNode | None, spread: set[str]
    ) -> Iterable[FieldNode]:
        for node in selection_set.selections if selection_set else ():
            if node.directives:
                raise NotPlain
            if isinstance(node, FieldNode):
                yield node
                continue
            inner: InlineFragmentNode | FragmentDefinitionNode
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in spread:
                    continue
                spread.add(node.name.value)
                inner = self._fragments[node.name.value]
            elif isinstance(node, InlineFragmentNode):
                inner = node
            else:
                raise NotPlain
            if inner.directives:
                raise NotPlain
            if self._applies(inner, type_):
                yield from self._flat(type_, inner.selection_set, spread)

    def _applies(
        self, fragment: InlineFragmentNode | FragmentDefinitionNode, type_: GraphQLObjectType
    ) -> bool:
        condition = fragment.type_condition
        if condition is None or condition.name.value == type_.name:
            return True
        named = self._schema.get_type(condition.name.value)
        return is_abstract_type(named) and self._schema.is_sub_type(named, type_)

    def _output(
        self, type_: GraphQLOutputType, nodes: list[FieldNode]
    ) -> tuple[bool, Callable[[Any, Show], Shown] | None]:
        """Return whether a value of the type is required, and how it is shown."""
        required = isinstance(type_, GraphQLNonNull)
        bare: Any = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if is_list_type(bare):
            item_required, complete = self._output(bare.of_type, nodes)
            item = Field("", nodes[0].name.value, item_required, None, complete)
            return required, lambda values, show: [item.show(value, show) for value in values]
        if isinstance(bare, GraphQLEnumType):
            return required, lambda value, show: bare.serialize(value)
        if is_leaf_type(bare):
            if is_specified_scalar_type(bare):
                return required, None  # the encoder writes a str, an int or a bool as it is
            return required, lambda value, show: bare.serialize(value)
        if isinstance(bare, GraphQLObjectType):
            return required, self._object(bare, nodes)
        if is_abstract_type(bare):
            return required, self._abstract(bare, nodes)
        raise NotPlain

    def _abstract(
        self, type_: GraphQLAbstractType, nodes: list[FieldNode]
    ) -> Callable[[Any, Show], Shown]:
        """Return how a value of an interface or a union is shown: by the type that its class is."""
        if getattr(_definition_of(type_), "resolve_type", None) is not None:
            raise NotPlain
        by_definition: dict[int, Callable[[Any, Show], Shown]] = {}
        for possible in self._schema.get_possible_types(type_):
            definition = _definition_of(possible)
            if definition.is_type_of is not None or definition.concrete_of is not None:
                raise NotPlain
            by_definition[id(definition)] = self._object(possible, nodes)

        def show_abstract(value: Any, show: Show) -> Shown:
            # What is of none of these classes fails here, as it would in an execution.
            return by_definition[id(value.__strawberry_definition__)](value, show)

        return show_abstract

    def _object(
        self, type_: GraphQLObjectType, nodes: list[FieldNode]
    ) -> Callable[[Any, Show], Shown]:
        self._objects += 1
        if self._objects > MAX_OBJECTS:
            raise NotPlain
        merged = self._collect(type_, [node.selection_set for node in nodes])
        fields = [self._field(type_, key, found) for key, found in merged.items()]

        def show_object(value: Any, show: Show) -> Shown:
            shown: dict[str, Shown] = {}
            for field in fields:
                if field.function is None:
                    found = type_.name if field.name == "" else getattr(value, field.name)
                else:
                    found = field.function(value, show.info)
                    if isawaitable(found):
                        shown[field.key] = None  # keeps its place
                        show.later.append(Later(shown, field, found))
                        continue
                if found is not None and field.complete is None:
                    shown[field.key] = found
                else:
                    shown[field.key] = field.show(found, show)
            return shown

        return show_object

    def _field(self, type_: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> Field:
        name = nodes[0].name.value
        if name == "__typename":
            return Field(key, "", True, None, None)
        field = type_.fields[name]
        required, complete = self._output(field.type, nodes)
        definition = field.extensions["strawberry-definition"]
        function = _function_of(field)
        if function is not None:
            if self._is_mutation or nodes[0].arguments:
                raise NotPlain
            self._calls = True
            self._shared = self._shared and bool(definition.metadata.get("same_for_all"))
        return Field(key, definition.python_name, required, function, complete)


def _definition_of(type_: Any) -> Any:
    """Return what Strawberry knows of a type."""
    return type_.extensions["strawberry-definition"]


def _function_of(field: GraphQLField) -> Callable[..., Any] | None:
    """Return the field's own function, which takes `(value, info)`; None for a plain attribute."""
    definition = field.extensions.get("strawberry-definition")
    if definition is None or definition.extensions or definition.permission_classes:
        raise NotPlain
    if definition.base_resolver is None:
        return None
    function = cast("Callable[..., Any]", definition.base_resolver.wrapped_func)
    if definition.base_resolver.info_parameter is None:
        return lambda value, info, **arguments: function(value, **arguments)
    return function


def _caller(field: GraphQLField) -> Callable[[Info, dict[str, Any]], Any]:
    function = _function_of(field)
    assert function is not None  # noqa: S101  # `plan` has looked
    return lambda info, arguments: function(None, info, **arguments)
