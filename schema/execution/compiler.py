"""From a valid document to its plan, made once."""

from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_specified_scalar_type,
)

from schema.execution.arguments import Arguments, NotPlain, constants_of
from schema.execution.plans import Complete, Completion, Field, JSONValue, Kind, Later, Plan
from schema.execution.selections import Fragment, Selection, collect_fields, fragments_of

# How many objects a plan may have. Each type that an interface stands for is an object of its own:
# interfaces within interfaces multiply.
MAX_OBJECTS = 500


def compile_plan(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Plan | None:
    """Return the plan of a valid operation; None when graphql-core has to execute it."""
    try:
        return _Compiler(schema, document, operation).plan()
    except NotPlain:
        return None


class _Compiler:
    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._fragments = fragments_of(document)
        self._operation = operation
        self._is_mutation = operation.operation is OperationType.MUTATION
        self._calls = False
        self._shared = True
        self._kinds: dict[int, Kind] = {}
        self._objects = 0

    def plan(self) -> Plan:
        """Return the plan. Raises NotPlain."""
        operation = self._operation
        root_type = self._schema.get_root_type(operation.operation)
        if root_type is None or operation.directives:
            raise NotPlain
        selected = self._collect(root_type, [operation.selection_set])
        if len(selected) != 1:
            raise NotPlain
        [(key, nodes)] = selected.items()
        node, field = nodes[0], root_type.fields.get(nodes[0].name.value)
        function = None if field is None else _function_of(field)
        if field is None or function is None:
            raise NotPlain
        arguments = Arguments(self._schema, operation, node, field)
        required, complete = self._output(field.type, nodes)
        return Plan(
            Field(key, node.name.value, required, None, complete),
            function,
            nodes,
            arguments,
            calls=self._calls,
            waits=_definition_of(field).base_resolver.is_async,
            shared=self._shared,
            kinds=self._kinds if is_abstract_type(get_nullable_type(field.type)) else {},
        )

    def _collect(
        self, type_: GraphQLObjectType, selection_sets: list[SelectionSetNode | None]
    ) -> dict[str, list[FieldNode]]:
        """Return the fields that are selected of an object. Raises NotPlain for directives."""

        def applies(selection: Selection, fragment: Fragment) -> bool:
            if selection.directives or fragment.directives:
                raise NotPlain
            condition = fragment.type_condition
            if condition is None or condition.name.value == type_.name:
                return True
            named = self._schema.get_type(condition.name.value)
            return is_abstract_type(named) and self._schema.is_sub_type(named, type_)

        collected = collect_fields(selection_sets, self._fragments, applies)
        if any(node.directives for found in collected.values() for node in found):
            raise NotPlain
        return collected

    def _output(
        self, type_: GraphQLOutputType, nodes: list[FieldNode]
    ) -> tuple[bool, Complete | None]:
        """Return whether a value of the type is required, and how it is completed."""
        required = is_non_null_type(type_)
        bare: Any = get_nullable_type(type_)
        if is_list_type(bare):
            item_required, complete = self._output(bare.of_type, nodes)
            item = Field("", nodes[0].name.value, item_required, None, complete)
            return required, lambda values, completion: [
                item.complete(value, completion) for value in values
            ]
        if is_leaf_type(bare):
            if is_specified_scalar_type(bare):
                return required, None  # the encoder writes a str, an int or a bool as it is
            return required, lambda value, completion: bare.serialize(value)
        if is_object_type(bare):
            return required, self._object(bare, nodes)
        return required, self._abstract(bare, nodes)

    def _abstract(self, type_: GraphQLAbstractType, nodes: list[FieldNode]) -> Complete:
        """Return how a value of an interface or a union is completed: by the type of its class."""
        if getattr(_definition_of(type_), "resolve_type", None) is not None:
            raise NotPlain
        by_definition: dict[int, Complete] = {}
        kinds: dict[int, Kind] = {}
        before = Kind(self._calls, self._shared)
        for possible in self._schema.get_possible_types(type_):
            definition = _definition_of(possible)
            if definition.is_type_of is not None or definition.concrete_of is not None:
                raise NotPlain
            self._calls, self._shared = False, True
            by_definition[id(definition)] = self._object(possible, nodes)
            kinds[id(definition)] = Kind(self._calls, self._shared)
        self._kinds = kinds  # the root's are set last
        self._calls = before.calls or any(kind.calls for kind in kinds.values())
        self._shared = before.shared and all(kind.shared for kind in kinds.values())
        # A value of none of these classes fails here, as it would in an execution.
        return lambda value, completion: by_definition[id(value.__strawberry_definition__)](
            value, completion
        )

    def _object(self, type_: GraphQLObjectType, nodes: list[FieldNode]) -> Complete:
        self._objects += 1
        if self._objects > MAX_OBJECTS:
            raise NotPlain
        selected = self._collect(type_, [node.selection_set for node in nodes])
        fields = [self._field(type_, key, found) for key, found in selected.items()]
        # A message's fields are read one by one, for each message: their parts are at hand.
        parts = [(f, f.key, f.name, f.function, f.complete_value is None) for f in fields]

        def complete_object(value: Any, completion: Completion) -> JSONValue:
            completed: dict[str, JSONValue] = {}
            for field, key, name, function, is_plain in parts:
                if function is None:
                    found = getattr(value, name) if name else type_.name
                else:
                    found = function(value, completion.info)
                    if isawaitable(found):
                        completed[key] = None  # keeps its place
                        completion.later.append(Later(completed, field, found))
                        continue
                if is_plain and found is not None:
                    completed[key] = found
                else:
                    completed[key] = field.complete(found, completion)
            return completed

        return complete_object

    def _field(self, type_: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> Field:
        name = nodes[0].name.value
        if name == "__typename":
            return Field(key, "", True, None, None)
        field = type_.fields[name]
        required, complete = self._output(field.type, nodes)
        definition, function = _definition_of(field), _function_of(field)
        if function is not None:
            if self._is_mutation:
                raise NotPlain
            if nodes[0].arguments:
                function = partial(_given, function, constants_of(nodes[0], field))
            self._calls = True
            self._shared = self._shared and bool(definition.metadata.get("same_for_all"))
        return Field(key, definition.python_name, required, function, complete)


def _given(function: Callable[..., Any], constants: dict[str, Any], value: Any, info: Any) -> Any:
    return function(value, info, **constants)


def _definition_of(type_or_field: Any) -> Any:
    """Return what Strawberry knows of a type or a field; None of what is not Strawberry's."""
    return type_or_field.extensions.get("strawberry-definition")


def _function_of(field: GraphQLField) -> Callable[..., Any] | None:
    """Return the field's own function, which takes `(value, info)`; None for a plain attribute."""
    definition = _definition_of(field)
    if definition is None or definition.extensions or definition.permission_classes:
        raise NotPlain
    if definition.base_resolver is None:
        return None
    function = cast("Callable[..., Any]", definition.base_resolver.wrapped_func)
    if definition.base_resolver.info_parameter is None:
        return lambda value, info, **arguments: function(value, **arguments)
    return function
