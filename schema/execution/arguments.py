"""From a request's variables to the arguments of a field's function.

Where all are built-in scalars, enums and lists of such scalars, what is to be done is compiled once
and costs a microsecond. Everything else (input objects, other scalars, literals with variables in
them, defaults) is given to the functions of graphql-core and Strawberry that an execution uses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from graphql import (
    EnumValueNode,
    FieldNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLNonNull,
    GraphQLSchema,
    NonNullTypeNode,
    OperationDefinitionNode,
    TypeNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_argument_values,
    get_named_type,
    get_variable_values,
    is_list_type,
    value_from_ast,
)
from graphql.language import ListTypeNode, NamedTypeNode, NullValueNode
from strawberry.types.arguments import convert_arguments

from schema.execution.variables import MAX_VALUES, find_excess

MAX_INT = 2**31 - 1
MIN_INT = -(2**31)

Members = Mapping[str, Any]


class NotPlain(Exception):
    """The operation, or its variables, need graphql-core."""


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "String": lambda value: type(value) is str,
    "ID": lambda value: type(value) is str,
    "Boolean": lambda value: type(value) is bool,
    "Int": lambda value: type(value) is int and MIN_INT <= value <= MAX_INT,
}


class _Variable(NamedTuple):
    """A variable that is handed to an argument; without `members` it is no enum."""

    name: str
    argument: str
    check: Callable[[Any], bool]
    members: Members | None
    required: bool  # null is refused


class Arguments(Protocol):
    """How the arguments of one field come about."""

    def of(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the function's arguments; None when graphql-core has to refuse the variables."""


@dataclass(frozen=True, slots=True)
class _PlainArguments:
    """Constants of the document, and variables that are handed on as they are.

    Where a value is not plainly of its type, an execution's own functions say what it is worth: an
    ID may be a number, and one value stands for a list of it.
    """

    constants: dict[str, Any]
    variables: list[_Variable]
    coerced: "_CoercedArguments"

    def of(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the function's arguments; None for what an execution is to refuse."""
        arguments = self._plain(variables)
        return self.coerced.of(variables) if arguments is None else arguments

    def _plain(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        arguments = self.constants.copy()
        for variable in self.variables:
            if variable.name not in variables:
                if variable.required:
                    return None
                continue
            value = variables[variable.name]
            if value is None:
                if variable.required:
                    return None
            elif not variable.check(value):
                return None
            elif variable.members is not None:
                value = variable.members[value]
            arguments[variable.argument] = value
        return arguments


class _CoercedArguments:
    """Arguments as an execution makes them, by the same functions."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        node: FieldNode,
        field: GraphQLField,
    ) -> None:
        self._schema = schema
        self._declared = operation.variable_definitions or ()
        self._node = node
        self._field = field
        self._arguments = field.extensions["strawberry-definition"].arguments
        strawberry_schema = schema.extensions["strawberry-definition"]
        self._config = strawberry_schema.config
        self._scalars = strawberry_schema.schema_converter.scalar_registry

    def of(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the function's arguments; None for what an execution is to refuse."""
        if find_excess(variables) is not None:
            return None
        values = get_variable_values(self._schema, self._declared, dict(variables), max_errors=1)
        if isinstance(values, list):
            return None
        try:
            coerced = get_argument_values(self._field, self._node, values)
            return convert_arguments(coerced, self._arguments, self._scalars, self._config)
        except Exception:  # whatever it was, an execution meets it too, and tells it
            return None


def compile_arguments(
    schema: GraphQLSchema, operation: OperationDefinitionNode, node: FieldNode, field: GraphQLField
) -> Arguments:
    """Return how the field's arguments come about."""
    coerced = _CoercedArguments(schema, operation, node, field)
    try:
        constants, variables = _compile_plain(operation, node, field)
    except NotPlain:
        return coerced
    return _PlainArguments(constants, variables, coerced)


def _compile_plain(
    operation: OperationDefinitionNode, node: FieldNode, field: GraphQLField
) -> tuple[dict[str, Any], list[_Variable]]:
    names = {
        name: argument.python_name
        for name, argument in zip(
            field.args, field.extensions["strawberry-definition"].arguments, strict=True
        )
    }
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    constants: dict[str, Any] = {}
    variables: list[_Variable] = []
    declared = {d.variable.name.value: d for d in operation.variable_definitions or ()}
    types = {
        get_named_type(argument.type).name: get_named_type(argument.type)
        for argument in field.args.values()
    }
    for name, value in given.items():
        argument = field.args[name]
        if isinstance(value, VariableNode):
            definition = declared.pop(value.name.value, None)
            if definition is None or definition.default_value is not None:
                raise NotPlain  # given to two arguments, or with a default
            if is_list_type(_bare(argument)) != isinstance(_bare_node(definition), ListTypeNode):
                raise NotPlain  # one value stands for a list of it
            variables.append(
                _variable(
                    value.name.value,
                    names[name],
                    definition.type,
                    types,
                    required=isinstance(argument.type, GraphQLNonNull),
                )
            )
        else:
            constants[names[name]] = _constant(argument, value)
    if declared:
        raise NotPlain  # used elsewhere, or it would not be valid
    return constants, variables


def _bare(argument: GraphQLArgument) -> Any:
    type_ = argument.type
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _bare_node(definition: VariableDefinitionNode) -> TypeNode:
    type_ = definition.type
    return type_.type if isinstance(type_, NonNullTypeNode) else type_


def _variable(
    name: str, argument: str, type_: TypeNode, types: Mapping[str, Any], *, required: bool
) -> _Variable:
    if isinstance(type_, NonNullTypeNode):
        type_, required = type_.type, True
    if isinstance(type_, ListTypeNode):
        return _Variable(name, argument, _list_check(type_.type), None, required)
    if not isinstance(type_, NamedTypeNode):
        raise NotPlain
    named = type_.name.value
    enum = types.get(named)
    if isinstance(enum, GraphQLEnumType):
        members = _members(enum)
        return _Variable(
            name, argument, lambda v: type(v) is str and v in members, members, required
        )
    if named not in _CHECKS:
        raise NotPlain
    return _Variable(name, argument, _CHECKS[named], None, required)


def _list_check(type_: TypeNode) -> Callable[[Any], bool]:
    required = isinstance(type_, NonNullTypeNode)
    named = type_.type if isinstance(type_, NonNullTypeNode) else type_
    if not isinstance(named, NamedTypeNode) or named.name.value not in _CHECKS:
        raise NotPlain
    check = _CHECKS[named.name.value]

    def fits(value: Any) -> bool:
        if type(value) is not list or len(value) > MAX_VALUES:
            return False
        return all(check(item) or (item is None and not required) for item in value)

    return fits


def _constant(argument: GraphQLArgument, value: ValueNode) -> Any:
    named = get_named_type(argument.type)
    if isinstance(value, NullValueNode):
        return None
    if is_list_type(_bare(argument)):
        raise NotPlain  # a list must be a new one each time
    if isinstance(named, GraphQLEnumType):
        assert isinstance(value, EnumValueNode)  # noqa: S101  # the document is valid
        return _members(named)[value.value]
    if named.name not in _CHECKS:
        raise NotPlain
    return value_from_ast(value, argument.type)


def _members(enum: GraphQLEnumType) -> Members:
    """Return the Python enum's members by their names in GraphQL."""
    definition = enum.extensions["strawberry-definition"]
    return {
        value.name: member
        for value, member in zip(definition.values, definition.wrapped_cls, strict=True)
    }
