"""From a document to its results: parse, validate, pick the operation, execute.

Strawberry's own `execute` does all of that anew for each request, 5 ms of it; here a document is
parsed and validated once, and what is wrong with a request is told apart from what went wrong in
its execution, as the HTTP and the WebSocket protocol want it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, cast

import msgspec
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute,
    parse,
    subscribe,
    validate,
)
from strawberry import Schema

from resolvers.context import Context
from resolvers.errors import ParleyError, Unavailable
from schema.compiler import compile_plan
from schema.context import OperationContext
from schema.costs import Cost, Costs
from schema.errors import format_error, format_exception
from schema.introspection import hide_suggestions, validation_rules
from schema.live import Live
from schema.loaders import Loaders
from schema.plans import Plan
from schema.sizes import Limits, check_size, fragments_of

# Documents are cached, but neither many nor long ones: clients send the same few again and again.
# Together so many characters: parsed, a document takes some hundred times its text.
MAX_CACHED_CHARACTERS = 200_000
MAX_CACHED_DOCUMENT = 5_000
MAX_VALIDATION_ERRORS = 20

Result = dict[str, Any]


class RequestRefused(Exception):
    """The request cannot be executed: `errors`, formatted, say why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = [format_error(error) for error in errors]


class EventLost(Exception):
    """An event of a subscription could not be shown; the subscriber must resume before it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A valid document, and which of its operations is meant."""

    document: DocumentNode
    definition: OperationDefinitionNode
    name: str | None
    plan: Plan | None
    cost: Cost | None  # None: whatever its variables are, it is within the limit

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


class Operations:
    """The schema's operations, for every transport."""

    def __init__(self, schema: Schema, ctx: Context) -> None:
        # Strawberry offers no public way to its graphql-core schema; pinned to a minor for it.
        self._schema = schema._schema
        self._executor = _forgetting(schema.execution_context_class)
        settings = ctx.settings
        self._max_tokens = settings.max_query_tokens
        self._limits = Limits(
            depth=settings.max_query_depth,
            fields=settings.max_query_fields,
            root_fields=settings.max_query_root_fields,
            aliases=settings.max_query_aliases,
            directives=settings.max_query_directives,
        )
        self._costs = Costs(
            self._schema,
            max_page_size=settings.max_page_size,
            max_cost=settings.max_query_cost,
        )
        self._introspection = settings.shows_introspection
        self._rules = validation_rules(introspection=self._introspection)
        self._stream_loaders = Loaders(ctx, shared=True)
        self._known: OrderedDict[tuple[str, str | None], Operation] = OrderedDict()
        self._cached_characters = 0

    def prepare(self, query: str, operation_name: str | None) -> Operation:
        """Return the operation that the request means. Raises RequestRefused."""
        known = self.recall(query, operation_name)
        if known is not None:
            return known
        operation = self._find(self._parse(query), operation_name)
        # One that is wrong is not sent again, unless to fill the memory.
        if len(query) <= MAX_CACHED_DOCUMENT:
            self._known[query, operation_name] = operation
            self._cached_characters += len(query)
            while self._cached_characters > MAX_CACHED_CHARACTERS:
                (dropped, _), _ = self._known.popitem(last=False)
                self._cached_characters -= len(dropped)
        return operation

    def recall(self, query: str, operation_name: str | None) -> Operation | None:
        """Return the operation if it was prepared lately."""
        known = self._known.get((query, operation_name))
        if known is not None:
            self._known.move_to_end((query, operation_name))
        return known

    def _find(self, document: DocumentNode, operation_name: str | None) -> Operation:
        definitions = [
            definition
            for definition in document.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
        if operation_name:
            definitions = [
                definition
                for definition in definitions
                if definition.name is not None and definition.name.value == operation_name
            ]
            if not definitions:
                raise RequestRefused([GraphQLError(f"Unknown operation named {operation_name!r}")])
        if not definitions:
            raise RequestRefused([GraphQLError("The document has no operation")])
        if len(definitions) > 1:
            raise RequestRefused(
                [GraphQLError("The document has several operations: operationName must say which")]
            )
        [definition] = definitions
        cost = self._check(document, definition)  # first: it bounds what the plan walks through
        plan = compile_plan(self._schema, document, definition)
        return Operation(document, definition, operation_name or None, plan, cost)

    def _check(self, document: DocumentNode, definition: OperationDefinitionNode) -> Cost | None:
        fragments = fragments_of(document)
        try:
            check_size(definition, fragments, self._limits)
            return self._costs.check(definition, fragments)
        except GraphQLError as error:
            raise RequestRefused([error]) from error
        except RecursionError as error:
            raise _too_deep() from error

    def _check_variables(self, operation: Operation, variables: dict[str, Any] | None) -> None:
        if operation.cost is not None:
            try:
                operation.cost.check(variables)
            except GraphQLError as error:
                raise RequestRefused([error]) from error

    def begin(
        self, ctx: Context, operation: Operation, variables: dict[str, Any] | None
    ) -> "asyncio.Future[Any] | Result | None":
        """Begin a mutation that needs no task: return what `finish` waits for, or its result.

        None when it has to be executed as ever; nothing was begun then.
        """
        if operation.plan is None:
            return None
        try:
            self._check_variables(operation, variables)
        except RequestRefused:
            return None  # `execute` says so
        return operation.plan.begin(ctx, variables)

    def finish(self, ctx: Context, operation: Operation, outcome: "asyncio.Future[Any]") -> Result:
        """Return the result of a mutation that was begun, once its future is done."""
        assert operation.plan is not None  # noqa: S101  # it was begun
        return operation.plan.finish(ctx, outcome)

    async def execute(
        self, ctx: Context, operation: Operation, variables: dict[str, Any] | None
    ) -> Result:
        """Return the result of a query or a mutation. Raises RequestRefused for its variables."""
        self._check_variables(operation, variables)
        if operation.plan is not None:
            planned = await operation.plan.execute(OperationContext(ctx, Loaders(ctx)), variables)
            if planned is not None:
                return planned
        result = execute(
            self._schema,
            operation.document,
            context_value=OperationContext(ctx, Loaders(ctx)),
            variable_values=variables,
            operation_name=operation.name,
            executor_class=self._executor,
        )
        executed = await result if isawaitable(result) else result
        return self._checked(executed)

    async def subscribe(
        self,
        ctx: Context,
        operation: Operation,
        variables: dict[str, Any] | None,
        live: Live | None = None,
    ) -> AsyncGenerator[Result | msgspec.Raw, None]:
        """Yield a subscription's results, encoded or to be encoded.

        With `live`, this may end once all there was has been yielded: `live.is_parked` then.
        Raises RequestRefused, and what the operation raises.
        """
        plan = operation.plan
        if live is not None and live.is_parked and plan is not None:
            context = OperationContext(ctx, self._stream_loaders)
            async for planned in self._show_events(operation, live.rest(), context, variables):
                yield planned
            return
        self._check_variables(operation, variables)
        if live is not None:
            if plan is not None and plan.is_same_for_all:
                live.encode = plan.encode
            else:
                live = None
        context = OperationContext(ctx, self._stream_loaders, live)
        if plan is not None:
            events = plan.subscribe(context, variables)
            if events is not None:
                async for planned in self._show_events(operation, events, context, variables):
                    yield planned
                return
        source = subscribe(
            self._schema,
            operation.document,
            context_value=context,
            variable_values=variables,
            operation_name=operation.name,
            executor_class=self._executor,
        )
        stream = await source if isawaitable(source) else source
        if isinstance(stream, ExecutionResult):
            for error in filter(is_outage, stream.errors or []):
                raise error
            raise self._refused(stream.errors or [])
        # graphql-core types it as an iterator; it is closed like the generator it wraps.
        async with aclosing(cast("AsyncGenerator[ExecutionResult, None]", stream)) as results:
            async for result in results:
                yield _event(result)

    async def _show_events(
        self,
        operation: Operation,
        events: AsyncGenerator[Any, None],
        context: OperationContext,
        variables: dict[str, Any] | None,
    ) -> AsyncGenerator[Result | msgspec.Raw, None]:
        plan = operation.plan
        assert plan is not None  # noqa: S101  # the callers have looked
        async with aclosing(events):
            async for event in events:
                try:
                    result: Result | msgspec.Raw = await plan.show_event(event, context)
                except Exception:  # graphql-core says which field, and what that makes null
                    result = await self._show_event(operation, context, variables, event)
                yield result

    async def _show_event(
        self,
        operation: Operation,
        context: OperationContext,
        variables: dict[str, Any] | None,
        event: object,
    ) -> Result:
        result = execute(
            self._schema,
            operation.document,
            root_value=event,
            context_value=context,
            variable_values=variables,
            operation_name=operation.name,
            executor_class=self._executor,
        )
        return _event(await result if isawaitable(result) else result)

    def _parse(self, query: str) -> DocumentNode:
        try:
            document = parse(query, max_tokens=self._max_tokens)
            errors = validate(self._schema, document, self._rules, MAX_VALIDATION_ERRORS)
        except GraphQLError as error:
            raise RequestRefused([error]) from error
        except RecursionError as error:
            raise _too_deep() from error
        if errors:
            raise self._refused(errors)
        return document

    def _checked(self, result: ExecutionResult) -> Result:
        if result.data is None and result.errors and all(e.path is None for e in result.errors):
            # Nothing was executed: the variables do not fit the operation.
            raise self._refused(result.errors)
        return _formatted(result)

    def _refused(self, errors: list[GraphQLError]) -> RequestRefused:
        if not self._introspection:
            hide_suggestions(errors)
        return RequestRefused(errors)


def _too_deep() -> RequestRefused:
    return RequestRefused([GraphQLError("The document is nested too deeply")])


def _forgetting(executor: type[Any]) -> type[Any]:
    """Return the executor without its leak: a subscription's memory must not grow by its events.

    graphql-core 3.3.2 copies the executor for each event, and the copies share one memory of
    collected fields whose keys are never met again: 1.7 kB an event, kept while it lasts.
    """

    class ForgettingExecutor(executor):  # type: ignore[misc]  # which one, the schema says
        def build_per_event_executor(self, payload: Any) -> Any:
            copied = super().build_per_event_executor(payload)
            copied._relevant_sub_fields = {}
            return copied

    return ForgettingExecutor


def _refuse_to_skip(errors: list[GraphQLError]) -> None:
    """Raise EventLost when an event came to nothing for no fault of its own.

    Passed over, it would be lost: its subscriber resumes after a later one.
    """
    for error in errors:
        cause = error.original_error
        if not isinstance(cause, ParleyError) or isinstance(cause, Unavailable):
            raise EventLost(error.message) from cause


def _event(result: ExecutionResult) -> Result:
    if result.data is None:
        _refuse_to_skip(result.errors or [])
    return _formatted(result)


def _formatted(result: ExecutionResult) -> Result:
    formatted: Result = {"data": result.data}
    if result.errors:
        formatted["errors"] = [format_error(error) for error in result.errors]
    return formatted


def is_outage(error: Exception) -> bool:
    """Whether an operation broke off because the database did not answer."""
    if isinstance(error, GraphQLError):
        error = error.original_error or error
    return isinstance(error, Unavailable)


def refusal(error: Exception) -> Result:
    """Return the result that tells why an operation broke off, without `data`."""
    if isinstance(error, RequestRefused):
        return {"errors": error.errors}
    return {"errors": [format_exception(error)]}
