"""From a document to its results: parse, validate, pick the operation, execute.

What is wrong with a request is told apart from what went wrong in its execution, as the HTTP and
the WebSocket protocol want it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from inspect import isawaitable
from typing import Any, cast

import msgspec
from graphql import ExecutionResult, GraphQLError, execute, subscribe
from strawberry import Schema

from resolvers.context import Context
from resolvers.errors import ParleyError, Unavailable
from schema.context import OperationContext
from schema.execution.documents import Documents, Operation, RequestRefused
from schema.execution.errors import format_error, format_exception
from schema.execution.live import Live
from schema.execution.persisted import PersistedQueries
from schema.execution.requests import GraphQLRequest
from schema.execution.together import Results, Together
from schema.execution.variables import check_amounts
from schema.loaders import Loaders

Result = dict[str, Any]


class EventLost(Exception):
    """An event of a subscription could not be shown; the subscriber must resume before it."""


class Operations:
    """The schema's operations, for every transport."""

    def __init__(self, schema: Schema, ctx: Context) -> None:
        # Strawberry offers no public way to its graphql-core schema; pinned to a minor for it.
        self._schema = schema._schema
        self._executor = _forgetting(schema.execution_context_class)
        self._documents = Documents(self._schema, ctx)
        self._persisted = PersistedQueries(serves=ctx.settings.persisted_queries)
        self._stream_loaders = Loaders(ctx, shared=True)

    def prepare(self, ctx: Context, request: GraphQLRequest) -> Operation:
        """Return the operation that the request means. Raises RequestRefused, RateLimited.

        A document that is new here takes from the caller's time.
        """
        query, name = self._persisted.text_of(request), request.operation_name
        known = ctx.viewer is not None
        operation = self._documents.recall(query, name, known=known)
        if operation is None:
            self._documents.check_refused(query, name)
            with ctx.thinking():
                operation = self._documents.prepare(query, name, known=known)
        self._persisted.register(request)
        return operation

    def recall(self, ctx: Context, request: GraphQLRequest) -> Operation | None:
        """Return the operation if it was prepared lately."""
        if request.query is None or request.is_persisted:
            return None  # `prepare` looks for it
        known = ctx.viewer is not None
        return self._documents.recall(request.query, request.operation_name, known=known)

    def _check_variables(
        self, ctx: Context, operation: Operation, variables: dict[str, Any] | None
    ) -> None:
        if operation.cost is not None:
            try:
                operation.cost.check(ctx, variables)
            except GraphQLError as error:
                raise RequestRefused.of(error) from error

    def begin(
        self, ctx: Context, operation: Operation, variables: dict[str, Any] | None
    ) -> "asyncio.Future[Any] | Result | None":
        """Begin a mutation that needs no task: return what `finish` waits for, or its result.

        None when it has to be executed as ever; nothing was begun then.
        """
        if operation.plan is None:
            return None
        try:
            self._check_variables(ctx, operation, variables)
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
        self._check_variables(ctx, operation, variables)
        if operation.plan is not None:
            planned = await operation.plan.execute(OperationContext(ctx, Loaders(ctx)), variables)
            if planned is not None:
                return planned
        check_amounts(variables)
        with ctx.thinking() if ctx.viewer is None else nullcontext():
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
    ) -> AsyncGenerator[Result | msgspec.Raw | Results, None]:
        """Yield a subscription's results, encoded or to be encoded; several at once with `live`.

        With `live`, this may end once all there was has been yielded: `live.is_parked` then.
        Raises RequestRefused, and what the operation raises.
        """
        plan = operation.plan
        if live is not None and live.is_parked and plan is not None:
            context = OperationContext(ctx, self._stream_loaders)
            async for planned in self._show_events(operation, live.rest(), context, variables):
                yield planned
            return
        self._check_variables(ctx, operation, variables)
        if live is not None:
            if plan is not None and plan.is_same_for_all:
                live.encode = plan.encode
            else:
                live = None
        context = OperationContext(ctx, self._stream_loaders, live)
        if plan is not None:
            several = OperationContext(ctx, self._stream_loaders, live, together=live is not None)
            events = plan.subscribe(several, variables)
            if events is not None:
                async for planned in self._show_events(operation, events, context, variables):
                    yield planned
                return
        check_amounts(variables)
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
            raise self._documents.refusal_of(stream.errors or [])
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
    ) -> AsyncGenerator[Result | msgspec.Raw | Results, None]:
        plan = operation.plan
        assert plan is not None  # noqa: S101  # the callers have looked
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Together):
                    yield plan.show_together(event)
                    continue
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

    def _checked(self, result: ExecutionResult) -> Result:
        if result.data is None and result.errors and all(e.path is None for e in result.errors):
            # Nothing was executed: the variables do not fit the operation.
            raise self._documents.refusal_of(result.errors)
        return _formatted(result)


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
