"""Plans: operations of plain fields, compiled once into the few calls that answer them.

graphql-core walks the document anew for each request and each event, Strawberry wraps each field
again, and together they take ten times as long as what a chat message needs. A chat's clients send
the same few documents for ever, most of plain fields, so that walk can be made once. What a plan
answers is, byte for byte, what graphql-core answers (tests/schema/test_plans.py compares them on
generated documents); for whatever it does not know, the compiler returns None and graphql-core is
asked as ever.

A plan knows: one field at the root, with arguments of every kind; objects, interfaces and unions,
fragments, `__typename`; and below the root fields without arguments. Under a mutation these have no
function of their own; under a query or a subscription they may, since what fails there can be
asked again, of graphql-core.
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
from schema.execution.batches import Batch, BatchResults, Results
from schema.execution.errors import format_error
from schema.execution.recent import RecentCache
from schema.execution.sources import Source

Result = dict[str, Any]
Shown = Any  # what the JSON encoder writes as the client is to see it

# Where a field's function says that it shows the same to everybody: its results are shared.
SAME_FOR_ALL = {"same_for_all": True}

_encoder = msgspec.json.Encoder()


class _Caller(msgspec.Struct, frozen=True):
    """All that a field's function may use of its `info` (tests/test_architecture.py sees to it)."""

    context: OperationContext


class Later(NamedTuple):
    """A field whose function has to be awaited, and where its value goes."""

    parent: dict[str, Shown]
    field: "Field"
    value: Awaitable[Any]


class Show(NamedTuple):
    """What is going on while one value is shown."""

    info: Info | None
    later: list[Later]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a selection: how to get its value, and how to show it."""

    key: str
    name: str
    required: bool
    function: Callable[..., Any] | None
    complete: Callable[[Any, Show], Shown] | None  # None: as it is

    def show(self, value: Any, show: Show) -> Shown:
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
        root: Field,
        nodes: list[FieldNode],
        arguments: Arguments,
        call: Callable[..., Any],
        *,
        calls: bool,
        waits: bool,
        shared: bool,
    ) -> None:
        self._root = root
        self._nodes = nodes
        self._arguments = arguments
        self._call = call
        self._calls = calls
        self._waits = waits  # the root's function is a coroutine's
        self._shared = shared
        encoded: RecentCache[Any, msgspec.Raw] = RecentCache(self._encode)
        self.encode = encoded.of  # an event's result, where it is the same for all
        self._encode_once = self._encode  # one object: what is kept is found by it
        self._encoding: RecentCache[Any, asyncio.Task[msgspec.Raw]] = RecentCache(
            self._start_encoding
        )

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
            value = self._call(_info(context), arguments)
        except Exception as error:  # the border, as in `execute`
            return self._failed(error)
        if not isinstance(value, Pending):
            if not isawaitable(value):
                return self._result(lambda: value)
            value = Pending.of(asyncio.ensure_future(value))  # itself, if it is a future
        return Pending(value.future, partial(self._result, value.result))

    async def execute(
        self, context: OperationContext, variables: Mapping[str, Any] | None
    ) -> Result | None:
        """Return the result of a query or a mutation; None when graphql-core has to execute it.

        Nothing was changed then: under a mutation, nothing can fail that is not told here.
        """
        started = self.start(context, variables)
        if started is not None:
            return await started if isinstance(started, Pending) else started
        arguments = self._arguments.of(variables or {})
        if arguments is None:
            return None
        info = _info(context)
        try:
            value = self._call(info, arguments)
            if isawaitable(value):
                value = await value
            if self._calls:
                return {"data": await self._show_calling(value, info)}
        except Exception as error:  # the border: as graphql-core reports a field that failed
            if self._calls:
                return None  # which of the fields, and what that makes null, graphql-core says
            return self._failed(error)
        return self._result(lambda: value)

    def _result(self, value: Callable[[], Any]) -> Result:
        try:
            return {"data": {self._root.key: self._root.show(value(), _NOTHING_LATER)}}
        except Exception as error:  # the border, as in `execute`
            return self._failed(error)

    def _failed(self, error: Exception) -> Result:
        located = located_error(error, self._nodes, [self._root.key])
        data = None if self._root.required else {self._root.key: None}
        return {"data": data, "errors": [format_error(located)]}

    def subscribe(
        self, context: OperationContext, variables: Mapping[str, Any] | None
    ) -> Source[Any] | None:
        """Return a subscription's events, to be shown; None when graphql-core has to."""
        arguments = self._arguments.of(variables or {})
        if arguments is None:
            return None
        return Source.of(self._call(_info(context), arguments))

    @property
    def is_same_for_all(self) -> bool:
        """Whether an event looks the same to everybody, and can be shown without waiting."""
        return self._shared and not self._calls

    def show_batch(self, batch: Batch) -> Results:
        """Return the results of events that look the same to everybody."""
        return BatchResults(batch, self._encode_once)

    async def show_event(self, event: Any, context: OperationContext) -> msgspec.Raw:
        """Return an event's result, encoded; once for all subscribers where it is the same.

        Raises whatever a field's function raises.
        """
        if not self._calls:
            return self.encode(event) if self._shared else self._encode(event)
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
        show = Show(info, [])
        try:
            shown = {self._root.key: self._root.show(value, show)}
            while show.later:
                waiting, show = show.later, Show(info, [])
                values = await asyncio.gather(*(later.value for later in waiting))
                for later, value in zip(waiting, values, strict=True):
                    later.parent[later.field.key] = later.field.show(value, show)
        finally:
            for later in show.later:  # begun by a value that failed half-way: nobody awaits them
                if iscoroutine(later.value):
                    later.value.close()
        return shown


_NOTHING_LATER = Show(None, [])


def _retrieve(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()


def _info(context: OperationContext) -> Info:
    return cast("Info", _Caller(context))
