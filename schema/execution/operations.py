"""From a request to its results: find the operation, check its variables, execute it.

A request that cannot be executed is RequestRefused; what fails in an execution is in the result.
The HTTP and the WebSocket protocol answer the two differently.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from inspect import isawaitable
from typing import Any, cast

import msgspec
from graphql import ExecutionResult, GraphQLError, OperationType, execute, subscribe
from strawberry import Schema

from resolvers.context import Context
from resolvers.errors import ParleyError, Unavailable
from resolvers.pending import Pending
from schema.context import OperationContext, Resumption
from schema.execution.batches import Batch, Results
from schema.execution.documents import Documents, Operation, RequestRefused
from schema.execution.errors import format_error, format_exception, with_request_id
from schema.execution.fastlane import Fastlane
from schema.execution.persisted import PersistedQueries
from schema.execution.plans import Plan, Result
from schema.execution.requests import GraphQLRequest
from schema.execution.variables import find_excess
from schema.loaders import Loaders

_encoder = msgspec.json.Encoder()


class EventLost(Exception):
    """An event's result could not be made; the subscriber must resume before the event."""


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

        Preparing a document that is not in the cache counts against the caller's time.
        """
        query, name = self._persisted.text_of(request), request.operation_name
        known = ctx.viewer is not None
        operation = self._documents.recall(query, name, known=known)
        if operation is None:
            self._documents.check_refused(query, name)
            with ctx.charging_time():
                operation = self._documents.prepare(query, name, known=known)
        self._persisted.register(request)
        return operation

    def recall(self, ctx: Context, request: GraphQLRequest) -> Operation | None:
        """Return the operation if its document is in the cache and not a persisted one."""
        if request.query is None or request.persisted_query is not None:
            return None
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

    def start(
        self, ctx: Context, operation: Operation, variables: dict[str, Any] | None
    ) -> Pending[Result] | Result | None:
        """Start a query or a mutation that needs no task; return its result, perhaps pending.

        None when it has to be executed; nothing was started then. Raises RequestRefused for its
        variables.
        """
        if operation.cost is not None:
            self._check_variables(ctx, operation, variables)
        if operation.plan is None or operation.type is OperationType.SUBSCRIPTION:
            return None
        return operation.plan.start(OperationContext(ctx, Loaders(ctx)), variables)

    async def execute(
        self, ctx: Context, operation: Operation, variables: dict[str, Any] | None
    ) -> Result:
        """Return the result of a query or a mutation. Raises RequestRefused for its variables."""
        self._check_variables(ctx, operation, variables)
        context = OperationContext(ctx, Loaders(ctx))
        if operation.plan is not None:
            planned = await operation.plan.execute(context, variables)
            if planned is not None:
                return planned
        _check_amounts(variables)
        with ctx.charging_time() if ctx.viewer is None else nullcontext():
            started = execute(**self._arguments(operation, context, variables))
        result = await started if isawaitable(started) else started
        errors = result.errors or []
        if result.data is None and errors and all(error.path is None for error in errors):
            # Nothing was executed: the variables do not fit the operation.
            raise self._documents.refusal_of(errors)
        return _formatted(result)

    def _arguments(
        self, operation: Operation, context: OperationContext, variables: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return what graphql-core is given to execute an operation."""
        return {
            "schema": self._schema,
            "document": operation.document,
            "context_value": context,
            "variable_values": variables,
            "operation_name": operation.name,
            "executor_class": self._executor,
        }

    async def subscribe(
        self,
        ctx: Context,
        operation: Operation,
        variables: dict[str, Any] | None,
        fastlane: Fastlane | None = None,
        *,
        resumption: Resumption | None = None,
    ) -> AsyncGenerator[Results, None]:
        """Yield a subscription's results, encoded; those of one `Results` are sent as one piece.

        With a fastlane this may end once the queue is empty, with `fastlane.is_parked`. Called
        again, it yields what was queued since. With a `resumption` each result comes by itself,
        once the resumption has its place. Raises RequestRefused, and the operation's errors.
        """
        plan = operation.plan
        context = OperationContext(ctx, self._stream_loaders, resumption)
        source, consumer = None, None
        if fastlane is not None and fastlane.is_parked:
            source, fastlane = fastlane.rest(), None
        else:
            self._check_variables(ctx, operation, variables)
            if plan is not None:
                source = plan.subscribe(context, variables)
        if plan is None or source is None:
            async with aclosing(self._walk(operation, context, variables)) as walked:
                async for results in walked:
                    yield results
            return
        if fastlane is not None and plan.encode is not None:
            fastlane.follow(source.show, plan.encode)
            consumer = fastlane
        async with aclosing(source.read(consumer)) as batches:
            async for batch in batches:
                if isinstance(batch, Batch) and await _is_prepared(plan, batch, context):
                    yield plan.show_batch(batch)
                    continue
                for item in batch:
                    await source.turn()
                    event = source.show(item)
                    try:
                        shown = await plan.show_event(event, context)
                    except Exception:  # graphql-core says which field, and what that makes null
                        shown = await self._show_event(operation, context, variables, event)
                    yield [shown]

    async def _show_event(
        self,
        operation: Operation,
        context: OperationContext,
        variables: dict[str, Any] | None,
        event: object,
    ) -> msgspec.Raw:
        result = execute(**self._arguments(operation, context, variables), root_value=event)
        return _event(await result if isawaitable(result) else result, context)

    async def _walk(
        self, operation: Operation, context: OperationContext, variables: dict[str, Any] | None
    ) -> AsyncGenerator[Results, None]:
        """Yield a subscription's results as graphql-core executes it."""
        _check_amounts(variables)
        source = subscribe(**self._arguments(operation, context, variables))
        stream = await source if isawaitable(source) else source
        if isinstance(stream, ExecutionResult):
            for error in filter(is_outage, stream.errors or []):
                raise error
            raise self._documents.refusal_of(stream.errors or [])
        # graphql-core types the stream as an iterator, but it has the generator's `aclose`.
        async with aclosing(cast("AsyncGenerator[ExecutionResult, None]", stream)) as results:
            async for result in results:
                yield [_event(result, context)]


async def _is_prepared(plan: Plan, batch: Batch, context: OperationContext) -> bool:
    try:
        return await plan.prepare_batch(batch, context)
    except Exception:  # an execution of the one event says which field failed
        return False


def _check_amounts(variables: dict[str, Any] | None) -> None:
    if (error := find_excess(variables)) is not None:
        raise RequestRefused.of(error)


def _forgetting(executor: type[Any]) -> type[Any]:
    """Return the executor without its leak: 1.7 kB an event, kept as long as the subscription.

    graphql-core 3.3.2 copies the executor for each event. The copies share one cache of collected
    fields, whose keys never come again.
    """

    class ForgettingExecutor(executor):  # type: ignore[misc]  # the schema says which
        def build_per_event_executor(self, payload: Any) -> Any:
            copied = super().build_per_event_executor(payload)
            copied._relevant_sub_fields = {}
            return copied

    return ForgettingExecutor


def _event(result: ExecutionResult, context: OperationContext) -> msgspec.Raw:
    """Return an event's result, encoded. Raises EventLost.

    An event that came to nothing by a fault of the server's is not passed over: its subscriber
    would resume after a later event, and miss this one.
    """
    if result.data is None:
        for error in result.errors or []:
            cause = error.original_error
            if not isinstance(cause, ParleyError) or isinstance(cause, Unavailable):
                raise EventLost(error.message) from cause
    shown = with_request_id(_formatted(result), context.ctx.request_id)
    return msgspec.Raw(_encoder.encode(shown))


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
