"""From a request's variables to the arguments of a field's function, without a walk each time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    EnumValueNode,
    FieldNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLNonNull,
    NonNullTypeNode,
    OperationDefinitionNode,
    TypeNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_list_type,
    value_from_ast,
)
from graphql.language import ListTypeNode, NamedTypeNode, NullValueNode

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


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one field: constants of the document, and variables."""

    constants: dict[str, Any]
    variables: list[_Variable]

    def of(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the function's arguments; None when a value is not plainly of its type."""
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


def compile_arguments(
    operation: OperationDefinitionNode, node: FieldNode, field: GraphQLField
) -> Arguments:
    """Return how the field's arguments come about. Raises NotPlain."""
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
        if is_list_type(_bare(argument)):
            raise NotPlain
        if isinstance(value, VariableNode):
            definition = declared.pop(value.name.value, None)
            if definition is None or definition.default_value is not None:
                raise NotPlain  # given to two arguments, or with a default
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
    return Arguments(constants, variables)


def _bare(argument: GraphQLArgument) -> Any:
    type_ = argument.type
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _variable(
    name: str, argument: str, type_: TypeNode, types: Mapping[str, Any], *, required: bool
) -> _Variable:
    if isinstance(type_, NonNullTypeNode):
        type_, required = type_.type, True
    if isinstance(type_, ListTypeNode) or not isinstance(type_, NamedTypeNode):
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


def _constant(argument: GraphQLArgument, value: ValueNode) -> Any:
    named = get_named_type(argument.type)
    if isinstance(value, NullValueNode):
        return None
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
