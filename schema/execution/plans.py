"""Plans: operations of plain fields, compiled once into the few calls that answer them.

graphql-core walks the document anew for each request and each event, and Strawberry wraps each
field again: together they take ten times as long as the rest of a chat message. A chat's clients
send the same few documents again and again, so the walk is made once. A plan answers, byte for
byte, what graphql-core answers (tests/schema/test_plans.py compares both on generated documents).
For a document that plans do not cover the compiler returns None, and graphql-core executes it.

A plan covers one field at the root, with arguments of every kind; objects, interfaces and unions,
fragments, `__typename`; and below the root, fields whose arguments, if any, stand in the document.
Under a mutation these have no function of their own. Under a query or a subscription they may:
graphql-core can execute those again when a function fails.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable, iscoroutine
from typing import Any, NamedTuple, cast

import msgspec
from graphql import FieldNode, located_error

from resolvers.pending import Pending
from schema.context import Info, OperationContext
from schema.execution.arguments import Arguments
from schema.execution.batches import MOST_KEPT, Batch, BatchResults, Results
from schema.execution.errors import format_error
from schema.execution.recent import RecentCache, RecentTasks
from schema.execution.sources import Source

Result = dict[str, Any]
JSONValue = Any  # a value as the encoder takes it

# The metadata of a field whose function returns the same to every viewer: its results are shared.
SAME_FOR_ALL = {"same_for_all": True}

_encoder = msgspec.json.Encoder()


class _PlanInfo(msgspec.Struct, frozen=True):
    """The `info` of a field's function: a function uses nothing else of it (a test reads that)."""

    context: OperationContext


_info = cast("Callable[[OperationContext], Info]", _PlanInfo)


class Later(NamedTuple):
    """A field whose function has to be awaited, and where its value goes."""

    parent: dict[str, JSONValue]
    field: "Field"
    value: Awaitable[Any]


class Completion(NamedTuple):
    """The state of completing one value: the fields' `info`, and what has to be awaited."""

    info: Info | None
    later: list[Later]


Complete = Callable[[Any, Completion], JSONValue]


class Kind(NamedTuple):
    """How the results of one type of object are made."""

    calls: bool  # a field of the selection has a function
    shared: bool  # the results are the same for everybody


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a selection: how to get its value, and how to complete it (GraphQL §6.4.3)."""

    key: str
    name: str
    required: bool
    function: Callable[..., Any] | None
    complete_value: Complete | None  # None: the encoder takes the value as it is

    def complete(self, value: Any, completion: Completion) -> JSONValue:
        """Return the value as the client sees it. Raises TypeError for a null where none may be."""
        if value is None:
            if self.required:
                raise TypeError(f"{self.name} is null, which its type does not allow")
            return None
        return value if self.complete_value is None else self.complete_value(value, completion)


class NotShared(Exception):
    """The event has no result that is the same for everybody and needs no waiting."""


class Plan:
    """One operation, ready to be run."""

    def __init__(
        self,
        root: Field,
        function: Callable[..., Any],
        nodes: list[FieldNode],
        arguments: Arguments,
        *,
        calls: bool,
        waits: bool,
        shared: bool,
        kinds: Mapping[int, Kind],
    ) -> None:
        self._root = root
        self._function = function  # the root's
        self._nodes = nodes
        self._arguments = arguments
        self._calls = calls  # a field below the root has a function
        self._waits = waits  # the root's function is a coroutine function
        self._shared = shared
        # Where the root's type is an interface or a union: how each type is made, by its definition
        self._kinds = kinds
        self._kind = Kind(calls, shared)
        encoded: RecentCache[Any, msgspec.Raw] = RecentCache(self._encode)
        self._encoded = encoded.of  # an event's result, where it is the same for everybody
        self._encode_once = self._encode  # one object: events find their encoded result by it
        self._encoding: RecentTasks[Any, msgspec.Raw] = RecentTasks(self._encode_calling)

    def start(
        self, context: OperationContext, variables: Mapping[str, Any] | None
    ) -> Pending[Result] | Result | None:
        """Start a query or a mutation that needs no task; return its result, perhaps pending.

        None when it has to be executed; nothing was started then.
        """
        if self._waits or self._calls:
            return None
        arguments = self._arguments.of(variables or {})
        if arguments is None:
            return None
        try:
            value = self._function(None, _info(context), **arguments)
        except Exception as error:  # the border, as in `execute`
            return self._failed(error)
        if not isinstance(value, Pending):
            if not isawaitable(value):
                return self._result(lambda: value)
            value = Pending.of(asyncio.ensure_future(value))  # itself, if it is a future
        value.result = partial(self._result, value.result)
        return value

    async def execute(
        self, context: OperationContext, variables: Mapping[str, Any] | None
    ) -> Result | None:
        """Return the result of a query or a mutation; None when graphql-core has to execute it.

        With None nothing was changed: every failure of a mutation is in its result.
        """
        started = self.start(context, variables)
        if started is not None:
            return await started if isinstance(started, Pending) else started
        arguments = self._arguments.of(variables or {})
        if arguments is None:
            return None
        info = _info(context)
        try:
            value = self._function(None, info, **arguments)
            if isawaitable(value):
                value = await value
            if self._calls:
                return {"data": await self._complete_calling(value, info)}
        except Exception as error:  # the border: as graphql-core reports a field that failed
            # Below the root, graphql-core says which field failed, and what that makes null.
            return None if self._calls else self._failed(error)
        return self._result(lambda: value)

    def _result(self, value: Callable[[], Any]) -> Result:
        try:
            return {"data": {self._root.key: self._root.complete(value(), _NOTHING_LATER)}}
        except Exception as error:  # the border, as in `execute`
            return self._failed(error)

    def _failed(self, error: Exception) -> Result:
        located = located_error(error, self._nodes, [self._root.key])
        data = None if self._root.required else {self._root.key: None}
        return {"data": data, "errors": [format_error(located)]}

    def subscribe(
        self, context: OperationContext, variables: Mapping[str, Any] | None
    ) -> Source[Any] | None:
        """Return the source of a subscription's events; None when graphql-core has to."""
        arguments = self._arguments.of(variables or {})
        if arguments is None:
            return None
        return Source.of(self._function(None, _info(context), **arguments))

    @property
    def is_same_for_all(self) -> bool:
        """Whether each event's result is the same for everybody, and needs no waiting."""
        return self._shared and not self._calls

    @property
    def encode(self) -> Callable[[Any], msgspec.Raw] | None:
        """Returns an event's result, which is the same for everybody; None if no event has such.

        Raises NotShared for an event, of some types, that has to be shown by `show_event`.
        """
        if self.is_same_for_all:
            return self._encoded
        if any(kind.shared and not kind.calls for kind in self._kinds.values()):
            return self._encode_if_shared
        return None

    def _kind_of(self, event: Any) -> Kind:
        if not self._kinds:
            return self._kind
        return self._kinds.get(id(getattr(event, "__strawberry_definition__", None)), self._kind)

    def _encode_if_shared(self, event: Any) -> msgspec.Raw:
        if self._kind_of(event) != (False, True):
            raise NotShared
        return self._encoded(event)

    async def prepare_batch(self, batch: Batch, context: OperationContext) -> bool:
        """Whether every event of the batch has, or needs no waiting for, a result for everybody.

        Raises whatever a field's function raises.
        """
        if not self._calls or not self._shared:
            return self._shared
        for event in batch.events:
            kept = event.encoded
            if self._encode_once not in kept:
                encoded = bytes(await self._encoding.of(event, _info(context)))
                if len(kept) >= MOST_KEPT:
                    return False
                kept[self._encode_once] = encoded
        return True

    def show_batch(self, batch: Batch) -> Results:
        """Return the results of events that are the same for everybody."""
        return BatchResults(batch, self._encode_once)

    async def show_event(self, event: Any, context: OperationContext) -> msgspec.Raw:
        """Return an event's result, encoded; once for all subscribers where it is the same.

        Raises whatever a field's function raises.
        """
        calls, shared = self._kind_of(event)
        if not calls:
            return self._encoded(event) if shared else self._encode(event)
        if not shared:
            return await self._encode_calling(event, _info(context))
        return await self._encoding.of(event, _info(context))

    def _encode(self, event: Any) -> msgspec.Raw:
        completed = {self._root.key: self._root.complete(event, _NOTHING_LATER)}
        return msgspec.Raw(_encoder.encode({"data": completed}))

    async def _encode_calling(self, event: Any, info: Info) -> msgspec.Raw:
        return msgspec.Raw(_encoder.encode({"data": await self._complete_calling(event, info)}))

    async def _complete_calling(self, value: Any, info: Info) -> dict[str, JSONValue]:
        """Complete a value whose fields have functions, awaiting those of one depth together."""
        completion = Completion(info, [])
        try:
            completed = {self._root.key: self._root.complete(value, completion)}
            while completion.later:
                waiting, completion = completion.later, Completion(info, [])
                values = await asyncio.gather(*(later.value for later in waiting))
                for later, found in zip(waiting, values, strict=True):
                    later.parent[later.field.key] = later.field.complete(found, completion)
        finally:
            for later in completion.later:  # a value failed half-way: nobody awaits the others
                if iscoroutine(later.value):
                    later.value.close()
        return completed


_NOTHING_LATER = Completion(None, [])
