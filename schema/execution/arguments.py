"""From a request's variables to the arguments of a field's function.

Where all are built-in scalars, enums and lists of such scalars, the conversion is compiled once and
costs a microsecond. Everything else (input objects, other scalars, literals with variables in them,
defaults) is given to the functions of graphql-core and Strawberry that an execution uses.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from graphql import (
    EnumValueNode,
    FieldNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLSchema,
    OperationDefinitionNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_argument_values,
    get_named_type,
    get_nullable_type,
    get_variable_values,
    is_list_type,
    is_non_null_type,
    type_from_ast,
    value_from_ast,
)
from graphql.language import NullValueNode
from strawberry.types.arguments import convert_arguments

from schema.execution.variables import MAX_VALUES, find_excess

MAX_INT = 2**31 - 1
MIN_INT = -(2**31)

Check = Callable[[Any], bool]
Members = Mapping[str, Any]


class NotPlain(Exception):
    """The operation, or its variables, need graphql-core."""


# What a JSON value of each scalar is, and what else it has to be.
_TYPES: dict[str, type] = {"String": str, "ID": str, "Boolean": bool, "Int": int}
_CHECKS: dict[str, Check] = {"Int": lambda value: MIN_INT <= value <= MAX_INT}


class _Variable(NamedTuple):
    """A variable whose value is an argument as it is; an enum's is one of `members`."""

    name: str
    argument: str
    type_: type
    check: Check | None  # what a value of the type has to be beside it
    members: Members | None
    required: bool  # null is refused


class Arguments:
    """How the arguments of one field come about."""

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
        self._constants: dict[str, Any] = {}
        self._variables: list[_Variable] = []
        try:
            self._compile()
            self._is_plain = True
        except NotPlain:
            self._is_plain = False

    def of(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the function's arguments; None when graphql-core has to refuse the variables.

        Where a value is not plainly of its type, an execution's own functions convert it: an ID may
        be a number, and one value stands for a list of it.
        """
        arguments = self._plain(variables) if self._is_plain else None
        return self._coerced(variables) if arguments is None else arguments

    def _plain(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        arguments = self._constants.copy()
        for variable in self._variables:
            if variable.name not in variables:
                if variable.required:
                    return None
                continue
            value: Any = variables[variable.name]
            if value is None:
                if variable.required:
                    return None
            elif type(value) is not variable.type_ or not (
                variable.check is None or variable.check(value)
            ):
                return None
            elif variable.members is not None:
                value = variable.members[value]  # type: ignore[index]  # its name: `check` has seen
            arguments[variable.argument] = value
        return arguments

    def _coerced(self, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        if find_excess(variables) is not None:
            return None
        values = get_variable_values(self._schema, self._declared, dict(variables), max_errors=1)
        if isinstance(values, list):
            return None
        try:
            coerced = get_argument_values(self._field, self._node, values)
            return convert_arguments(coerced, self._arguments, self._scalars, self._config)
        except Exception:  # an execution meets the same error, and tells it
            return None

    def _compile(self) -> None:
        """Find the constants, and the variables that are arguments as they are. Raises NotPlain."""
        python_names = _python_names(self._field)
        declared = {definition.variable.name.value: definition for definition in self._declared}
        for given in self._node.arguments or ():
            name, value = given.name.value, given.value
            argument, python_name = self._field.args[name], python_names[name]
            if isinstance(value, VariableNode):
                definition = declared.pop(value.name.value, None)
                if definition is None or definition.default_value is not None:
                    raise NotPlain  # given to two arguments, or with a default
                self._variables.append(self._variable(definition, argument, python_name))
            else:
                self._constants[python_name] = _constant(argument, value)
        if declared:
            raise NotPlain  # used elsewhere, or the document would not be valid

    def _variable(
        self, definition: VariableDefinitionNode, argument: GraphQLArgument, python_name: str
    ) -> _Variable:
        declared: Any = type_from_ast(self._schema, definition.type)
        type_: Any = get_nullable_type(declared)
        if is_list_type(type_) != is_list_type(get_nullable_type(argument.type)):
            raise NotPlain  # one value stands for a list of it
        members: Members | None = None
        python_type: type
        check: Check | None
        if isinstance(type_, GraphQLEnumType):
            members = _members(type_)
            python_type, check = str, members.__contains__
        elif is_list_type(type_):
            python_type, check = list, _list_check(type_.of_type)
        else:
            python_type, check = _scalar(type_)
        required = is_non_null_type(declared) or is_non_null_type(argument.type)
        name = definition.variable.name.value
        return _Variable(name, python_name, python_type, check, members, required)


def constants_of(node: FieldNode, field: GraphQLField) -> dict[str, Any]:
    """Return the arguments of a field's function, all of which stand in the document.

    Raises NotPlain.
    """
    python_names = _python_names(field)
    constants: dict[str, Any] = {}
    for given in node.arguments or ():
        if isinstance(given.value, VariableNode):
            raise NotPlain
        name = given.name.value
        constants[python_names[name]] = _constant(field.args[name], given.value)
    return constants


def _python_names(field: GraphQLField) -> dict[str, str]:
    definition = field.extensions["strawberry-definition"]
    names = zip(field.args, definition.arguments, strict=True)
    return {name: argument.python_name for name, argument in names}


def _scalar(type_: Any) -> tuple[type, Check | None]:
    """Return what a value of a scalar is, and has to be beside it. Raises NotPlain."""
    if is_list_type(type_) or type_.name not in _TYPES:
        raise NotPlain
    return _TYPES[type_.name], _CHECKS.get(type_.name)


def _list_check(item: Any) -> Check:
    type_, check = _scalar(get_nullable_type(item))
    nullable = not is_non_null_type(item)

    def fits(value: Any) -> bool:
        if value is None:
            return nullable
        return type(value) is type_ and (check is None or check(value))

    return lambda values: len(values) <= MAX_VALUES and all(map(fits, values))


def _constant(argument: GraphQLArgument, value: ValueNode) -> Any:
    if isinstance(value, NullValueNode):
        return None
    if is_list_type(get_nullable_type(argument.type)):
        raise NotPlain  # a list must be a new one each time
    named = get_named_type(argument.type)
    if isinstance(named, GraphQLEnumType):
        assert isinstance(value, EnumValueNode)  # noqa: S101  # the document is valid
        return _members(named)[value.value]
    if named.name not in _TYPES:
        raise NotPlain
    return value_from_ast(value, argument.type)


def _members(enum: GraphQLEnumType) -> Members:
    """Return the Python enum's members by their names in GraphQL."""
    definition = enum.extensions["strawberry-definition"]
    return {
        value.name: member
        for value, member in zip(definition.values, definition.wrapped_cls, strict=True)
    }
