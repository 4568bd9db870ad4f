"""Plans: operations of plain fields, compiled once into the few calls that answer them.

graphql-core walks the document anew for each request and each event, Strawberry wraps each field
again, and together they take ten times as long as what a chat message needs. A chat's clients send
the same few documents for ever, most of plain fields, so that walk can be made once. What a plan
answers is, byte for byte, what graphql-core answers (tests/schema/test_plans.py compares them on
generated documents); for whatever it does not know, `compile_plan` returns None and graphql-core is
asked as ever.

A plan knows: one field at the root, arguments of built-in scalars and enums, fragments on object
types, `__typename`, and below the root fields without arguments. Under a mutation these have no
function of their own; under a query or a subscription they may, since what fails there can be
asked again, of graphql-core.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable, iscoroutine
from typing import Any, NamedTuple, cast

import msgspec
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
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
    is_leaf_type,
    is_list_type,
    located_error,
)

from schema.arguments import Arguments, NotPlain, compile_arguments
from schema.context import Info, OperationContext
from schema.errors import format_error
from schema.memo import Memo

Shown = Any  # what the JSON encoder writes as the client is to see it

# Where a field's function says that it shows the same to everybody: its results are shared.
SAME_FOR_ALL = {"same_for_all": True}

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class _Caller:
    """All that a field's function may use of its `info` (tests/test_architecture.py sees to it)."""

    context: OperationContext


class _Later(NamedTuple):
    """A field whose function has to be awaited, and where its value goes."""

    parent: dict[str, Shown]
    field: "_Field"
    value: Awaitable[Any]


class _Show(NamedTuple):
    """What is going on while one value is shown."""

    info: Info | None
    later: list[_Later]


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a selection: how to get its value, and how to show it."""

    key: str
    name: str
    required: bool
    function: Callable[..., Any] | None
    complete: Callable[[Any, _Show], Shown] | None  # None: as it is

    def show(self, value: Any, show: _Show) -> Shown:
        """Return the value as the client sees it."""
        if value is None:
            if self.required:
                raise TypeError(f"{self.name} is null, which its type does not allow")
            return None
        return value if self.complete is None else self.complete(value, show)


class Plan:
    """One operation, ready to be run."""

    def __init__(
        self,
        root: _Field,
        nodes: list[FieldNode],
        arguments: Arguments,
        call: Callable[..., Any],
        *,
        calls: bool,
        shared: bool,
    ) -> None:
        self._root = root
        self._nodes = nodes
        self._arguments = arguments
        self._call = call
        self._calls = calls
        self._shared = shared
        self._encoded: Memo[Any, msgspec.Raw] = Memo(self._encode)
        self._encoding: Memo[Any, asyncio.Task[msgspec.Raw]] = Memo(self._start_encoding)

    async def execute(
        self, context: OperationContext, variables: Mapping[str, Any] | None
    ) -> dict[str, Any] | None:
        """Return the result of a query or a mutation; None when graphql-core has to execute it.

        Nothing was changed then: under a mutation, nothing can fail that is not told here.
        """
        arguments = self._arguments.of(variables or {})
        if arguments is None:
            return None
        key, info = self._root.key, _info(context)
        try:
            value = self._call(info, arguments)
            if isawaitable(value):
                value = await value
            if self._calls:
                return {"data": await self._show_calling(value, info)}
            return {"data": {key: self._root.show(value, _NOTHING_LATER)}}
        except Exception as error:  # the border: as graphql-core reports a field that failed
            if self._calls:
                return None  # which of the fields, and what that makes null, graphql-core says
            located = located_error(error, self._nodes, [key])
            data = None if self._root.required else {key: None}
            return {"data": data, "errors": [format_error(located)]}

    def subscribe(
        self, context: OperationContext, variables: Mapping[str, Any] | None
    ) -> AsyncGenerator[Any, None] | None:
        """Return a subscription's events, to be shown; None when its variables are not plain."""
        arguments = self._arguments.of(variables or {})
        if arguments is None:
            return None
        return cast("AsyncGenerator[Any, None]", self._call(_info(context), arguments))

    def shortcut(self, show: Callable[[msgspec.Raw], bool] | None) -> Callable[[Any], bool] | None:
        """Return what shows an event at once, where it is the same for all and needs no waiting.

        It returns False when the event has to go the long way, where what fails is told.
        """
        if show is None or self._calls or not self._shared:
            return None

        def show_at_once(event: Any) -> bool:
            try:
                return show(self._encoded.of(event))
            except Exception:  # as the long way will find
                return False

        return show_at_once

    async def show_event(self, event: Any, context: OperationContext) -> msgspec.Raw:
        """Return an event's result, encoded; once for all subscribers where it is the same.

        Raises whatever a field's function raises.
        """
        if not self._calls:
            return self._encoded.of(event) if self._shared else self._encode(event)
        if not self._shared:
            return await self._encode_calling(event, _info(context))
        # Shielded: the others wait for it too.
        return await asyncio.shield(self._encoding.of(event, _info(context)))

    def _encode(self, event: Any) -> msgspec.Raw:
        return msgspec.Raw(
            _encoder.encode({"data": {self._root.key: self._root.show(event, _NOTHING_LATER)}})
        )

    def _start_encoding(self, event: Any, info: Info) -> "asyncio.Task[msgspec.Raw]":
        task = asyncio.create_task(self._encode_calling(event, info))
        task.add_done_callback(_retrieve)  # whoever waits hears of its failure, if anyone does
        return task

    async def _encode_calling(self, event: Any, info: Info) -> msgspec.Raw:
        return msgspec.Raw(_encoder.encode({"data": await self._show_calling(event, info)}))

    async def _show_calling(self, value: Any, info: Info) -> dict[str, Shown]:
        show = _Show(info, [])
        try:
            shown = {self._root.key: self._root.show(value, show)}
            while show.later:
                waiting, show = show.later, _Show(info, [])
                values = await asyncio.gather(*(later.value for later in waiting))
                for later, value in zip(waiting, values, strict=True):
                    later.parent[later.field.key] = later.field.show(value, show)
        finally:
            for later in show.later:  # begun by a value that failed half-way: nobody awaits them
                if iscoroutine(later.value):
                    later.value.close()
        return shown


_NOTHING_LATER = _Show(None, [])


def _retrieve(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()


def _info(context: OperationContext) -> Info:
    return cast("Info", _Caller(context))


def compile_plan(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Plan | None:
    """Return the plan of a valid operation; None when graphql-core has to execute it."""
    root_type = schema.get_root_type(operation.operation)
    if root_type is None or operation.directives:
        return None
    try:
        return _Compiler(document, operation).plan(root_type)
    except NotPlain:
        return None


class _Compiler:
    def __init__(self, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._operation = operation
        self._is_mutation = operation.operation is OperationType.MUTATION
        self._calls = False
        self._shared = True

    def plan(self, root_type: GraphQLObjectType) -> Plan:
        selected = self._collect(root_type, self._operation.selection_set)
        if len(selected) != 1:
            raise NotPlain
        [(key, nodes)] = selected.items()
        node, field = nodes[0], root_type.fields.get(nodes[0].name.value)
        if field is None or _function_of(field) is None:
            raise NotPlain
        arguments = compile_arguments(self._operation, node, field)
        required, complete = self._output(field.type, nodes)
        root = _Field(key, node.name.value, required, None, complete)
        return Plan(root, nodes, arguments, _caller(field), calls=self._calls, shared=self._shared)

    def _collect(
        self, type_: GraphQLObjectType, selection_set: SelectionSetNode | None
    ) -> dict[str, list[FieldNode]]:
        """Return the fields of a selection by their keys in the answer, in its order."""
        collected: dict[str, list[FieldNode]] = {}
        for node in self._flat(type_, selection_set):
            key = node.alias.value if node.alias else node.name.value
            collected.setdefault(key, []).append(node)
        return collected

    def _flat(
        self, type_: GraphQLObjectType, selection_set: SelectionSetNode | None
    ) -> Iterable[FieldNode]:
        for node in selection_set.selections if selection_set else ():
            if node.directives:
                raise NotPlain
            if isinstance(node, FieldNode):
                yield node
                continue
            inner: InlineFragmentNode | FragmentDefinitionNode
            if isinstance(node, FragmentSpreadNode):
                inner = self._fragments[node.name.value]
            elif isinstance(node, InlineFragmentNode):
                inner = node
            else:
                raise NotPlain
            condition = inner.type_condition
            if inner.directives or (condition and condition.name.value != type_.name):
                raise NotPlain
            yield from self._flat(type_, inner.selection_set)

    def _output(
        self, type_: GraphQLOutputType, nodes: list[FieldNode]
    ) -> tuple[bool, Callable[[Any, _Show], Shown] | None]:
        """Return whether a value of the type is required, and how it is shown."""
        required = isinstance(type_, GraphQLNonNull)
        bare: Any = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if is_list_type(bare):
            item_required, complete = self._output(bare.of_type, nodes)
            item = _Field("", nodes[0].name.value, item_required, None, complete)
            return required, lambda values, show: [item.show(value, show) for value in values]
        if isinstance(bare, GraphQLEnumType):
            return required, lambda value, show: bare.serialize(value)
        if is_leaf_type(bare):
            # Their values are what the encoder writes: str, int, bool, datetime.
            return required, None
        if isinstance(bare, GraphQLObjectType):
            return required, self._object(bare, nodes)
        raise NotPlain

    def _object(
        self, type_: GraphQLObjectType, nodes: list[FieldNode]
    ) -> Callable[[Any, _Show], Shown]:
        merged: dict[str, list[FieldNode]] = {}
        for node in nodes:
            for key, found in self._collect(type_, node.selection_set).items():
                merged.setdefault(key, []).extend(found)
        fields = [self._field(type_, key, found) for key, found in merged.items()]

        def show_object(value: Any, show: _Show) -> Shown:
            shown: dict[str, Shown] = {}
            for field in fields:
                if field.function is None:
                    found = type_.name if field.name == "" else getattr(value, field.name)
                else:
                    found = field.function(value, show.info)
                    if isawaitable(found):
                        shown[field.key] = None  # keeps its place
                        show.later.append(_Later(shown, field, found))
                        continue
                if found is not None and field.complete is None:
                    shown[field.key] = found
                else:
                    shown[field.key] = field.show(found, show)
            return shown

        return show_object

    def _field(self, type_: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> _Field:
        name = nodes[0].name.value
        if name == "__typename":
            return _Field(key, "", True, None, None)
        field = type_.fields[name]
        required, complete = self._output(field.type, nodes)
        definition = field.extensions["strawberry-definition"]
        function = _function_of(field)
        if function is not None:
            if self._is_mutation or nodes[0].arguments:
                raise NotPlain
            self._calls = True
            self._shared = self._shared and bool(definition.metadata.get("same_for_all"))
        return _Field(key, definition.python_name, required, function, complete)


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


async def stream_plan(
    plan: Plan,
    events: AsyncGenerator[Any, None],
    context: OperationContext,
    fall_back: Callable[[Any], Awaitable[Any]],
) -> AsyncGenerator[Any, None]:
    """Yield each event's result; one that the plan cannot show is shown by `fall_back`."""
    async with aclosing(events):
        async for event in events:
            try:
                result = await plan.show_event(event, context)
            except Exception:  # graphql-core says which field, and what that makes null
                result = await fall_back(event)
            yield result
