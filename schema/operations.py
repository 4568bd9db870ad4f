"""From a document to its results: parse, validate, pick the operation, execute.

Strawberry's own `execute` does all of that anew for each request, 5 ms of it; here a document is
parsed and validated once, and what is wrong with a request is told apart from what went wrong in
its execution, as the HTTP and the WebSocket protocol want it.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, cast

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
from schema.context import OperationContext
from schema.errors import format_error, format_exception
from schema.loaders import Loaders

# A document of more is refused before it is read to the end. Validation compares each field with
# those of the same name: at 4,000 tokens it kept the event loop from everybody for a second.
MAX_TOKENS = 1000
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
        self._stream_loaders = Loaders(ctx, shared=True)
        self._documents: OrderedDict[str, DocumentNode] = OrderedDict()
        self._cached_characters = 0

    def prepare(self, query: str, operation_name: str | None) -> Operation:
        """Return the operation that the request means. Raises RequestRefused."""
        document = self._document(query)
        if isinstance(document, list):
            raise RequestRefused(document)
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
        return Operation(document, definitions[0], operation_name or None)

    async def execute(
        self, ctx: Context, operation: Operation, variables: dict[str, Any] | None
    ) -> Result:
        """Return the result of a query or a mutation. Raises RequestRefused for its variables."""
        result = execute(
            self._schema,
            operation.document,
            context_value=OperationContext(ctx, Loaders(ctx)),
            variable_values=variables,
            operation_name=operation.name,
            executor_class=self._executor,
        )
        executed = await result if isawaitable(result) else result
        return _checked(executed)

    async def subscribe(
        self, ctx: Context, operation: Operation, variables: dict[str, Any] | None
    ) -> AsyncGenerator[Result, None]:
        """Yield a subscription's results. Raises RequestRefused, and what the operation raises."""
        source = subscribe(
            self._schema,
            operation.document,
            context_value=OperationContext(ctx, self._stream_loaders),
            variable_values=variables,
            operation_name=operation.name,
            executor_class=self._executor,
        )
        stream = await source if isawaitable(source) else source
        if isinstance(stream, ExecutionResult):
            raise RequestRefused(stream.errors or [])
        # graphql-core types it as an iterator; it is closed like the generator it wraps.
        async with aclosing(cast("AsyncGenerator[ExecutionResult, None]", stream)) as results:
            async for result in results:
                if result.data is None:
                    _refuse_to_skip(result.errors or [])
                yield _formatted(result)

    def _document(self, query: str) -> DocumentNode | list[GraphQLError]:
        known = self._documents.get(query)
        if known is not None:
            self._documents.move_to_end(query)
            return known
        document = self._parse(query)
        # One that is wrong is not sent again, unless to fill the memory.
        if len(query) <= MAX_CACHED_DOCUMENT and not isinstance(document, list):
            self._documents[query] = document
            self._cached_characters += len(query)
            while self._cached_characters > MAX_CACHED_CHARACTERS:
                dropped, _ = self._documents.popitem(last=False)
                self._cached_characters -= len(dropped)
        return document

    def _parse(self, query: str) -> DocumentNode | list[GraphQLError]:
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
            errors = validate(self._schema, document, max_errors=MAX_VALIDATION_ERRORS)
        except GraphQLError as error:
            return [error]
        except RecursionError:
            return [GraphQLError("The document is nested too deeply")]
        return errors or document


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


def _checked(result: ExecutionResult) -> Result:
    if result.data is None and result.errors and all(e.path is None for e in result.errors):
        # Nothing was executed: the variables do not fit the operation.
        raise RequestRefused(result.errors)
    return _formatted(result)


def _formatted(result: ExecutionResult) -> Result:
    formatted: Result = {"data": result.data}
    if result.errors:
        formatted["errors"] = [format_error(error) for error in result.errors]
    return formatted


def refusal(error: Exception) -> Result:
    """Return the result that tells why an operation broke off, without `data`."""
    if isinstance(error, RequestRefused):
        return {"errors": error.errors}
    return {"errors": [format_exception(error)]}
