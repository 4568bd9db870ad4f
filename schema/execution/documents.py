"""Documents: parsed, bounded and validated once, and remembered; the wrong ones too.

Strawberry's own `execute` does all of that anew for each request, 5 ms of it.
"""

from dataclasses import dataclass
from hashlib import sha256

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLFormattedError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from resolvers.context import Context
from schema.execution.compiler import compile_plan
from schema.execution.costs import Cost, Costs
from schema.execution.errors import format_error
from schema.execution.introspection import hide_suggestions, validation_rules
from schema.execution.plans import Plan
from schema.execution.sizes import Limits, check_document, fragments_of

# Documents are cached, but neither many nor long ones: clients send the same few again and again.
# Together so many characters: parsed, a document takes some hundred times its text.
MAX_CACHED_CHARACTERS = 200_000
MAX_CACHED_DOCUMENT = 5_000
# What a document counts for at least: parsed, a short one takes some kilobytes as well.
LEAST_CACHED_DOCUMENT = 200
MAX_OPERATION_NAME = 256
# Each may look for names like the wrong one among all of the schema's.
MAX_VALIDATION_ERRORS = 8
MAX_REFUSED = 500
# What is told of one error, which may quote the document and name each place in it.
MAX_ERROR_CHARACTERS = 500
MAX_ERROR_LOCATIONS = 10


class RequestRefused(Exception):
    """The request cannot be executed: `errors`, formatted, say why."""

    def __init__(self, errors: list[GraphQLFormattedError]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors

    @classmethod
    def of(cls, *errors: GraphQLError) -> "RequestRefused":
        """Return the refusal that tells these errors."""
        return cls([_bounded(format_error(error)) for error in errors])


@dataclass(frozen=True, slots=True)
class Operation:
    """A valid document, and which of its operations is meant."""

    document: DocumentNode
    definition: OperationDefinitionNode
    name: str | None
    plan: Plan | None
    cost: Cost | None  # None: whatever its variables are, it is within the limit

    @property
    def size(self) -> int:
        """What it counts for where it is kept, in characters."""
        assert self.document.loc is not None  # noqa: S101  # it was parsed
        return max(len(self.document.loc.source.body), LEAST_CACHED_DOCUMENT)

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


class Documents:
    """The documents that clients send.

    What strangers send has a place of its own, so that they cannot push out the documents of those
    who are logged in, and what was refused another.
    """

    def __init__(self, schema: GraphQLSchema, ctx: Context) -> None:
        settings = ctx.settings
        self._schema = schema
        self._max_characters = settings.max_query_characters
        self._max_tokens = settings.max_query_tokens
        self._limits = Limits(
            depth=settings.max_query_depth,
            fields=settings.max_query_fields,
            root_fields=settings.max_query_root_fields,
            aliases=settings.max_query_aliases,
            directives=settings.max_query_directives,
            definitions=settings.max_query_definitions,
            overlaps=settings.max_query_overlaps,
        )
        self._costs = Costs(schema, ctx)
        self._introspection = settings.shows_introspection
        self._rules = validation_rules(introspection=self._introspection)
        self._known = _operations()
        self._strangers = _operations()
        self._refused: LRUCache[bytes, list[GraphQLFormattedError]] = LRUCache(MAX_REFUSED)

    def recall(self, query: str, operation_name: str | None, *, known: bool) -> Operation | None:
        """Return the operation if it was prepared lately; `known` is who is logged in."""
        key = (query, operation_name)
        try:
            return self._known[key]
        except KeyError:
            operation = self._strangers.get(key)
        if operation is not None and known:
            self._known[key] = operation
        return operation

    def check_refused(self, query: str, operation_name: str | None) -> None:
        """Raise RequestRefused for what was refused lately, or is by its size alone."""
        if len(query) > self._max_characters:
            raise RequestRefused.of(
                GraphQLError(
                    f"The document has {len(query)} characters; the limit is {self._max_characters}"
                )
            )
        if operation_name is not None and len(operation_name) > MAX_OPERATION_NAME:
            raise RequestRefused.of(
                GraphQLError(f"operationName is longer than {MAX_OPERATION_NAME} characters")
            )
        if (errors := self._refused.get(_digest(query, operation_name))) is not None:
            raise RequestRefused(errors)

    def prepare(self, query: str, operation_name: str | None, *, known: bool) -> Operation:
        """Return the operation that is meant, looked at anew. Raises RequestRefused.

        Its size was checked by `check_refused`.
        """
        try:
            operation = self._find(self._parse(query), operation_name)
        except RequestRefused as refused:
            self._refused[_digest(query, operation_name)] = refused.errors
            raise
        if len(query) <= MAX_CACHED_DOCUMENT:
            cache = self._known if known else self._strangers
            cache[query, operation_name] = operation
        return operation

    def refusal_of(self, errors: list[GraphQLError]) -> RequestRefused:
        """Return the refusal for what graphql-core found wrong."""
        if not self._introspection:
            hide_suggestions(errors)
        return RequestRefused.of(*errors[: MAX_VALIDATION_ERRORS + 1])

    def _parse(self, query: str) -> DocumentNode:
        try:
            document = parse(query, max_tokens=self._max_tokens)
            check_document(document, self._limits)
            errors = validate(
                self._schema,
                document,
                self._rules,
                MAX_VALIDATION_ERRORS,
                hide_suggestions=not self._introspection,
            )
        except GraphQLError as error:
            raise RequestRefused.of(error) from error
        except RecursionError as error:
            raise _too_deep() from error
        if errors:
            raise self.refusal_of(errors)
        return document

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
                raise RequestRefused.of(GraphQLError(f"Unknown operation named {operation_name!r}"))
        if not definitions:
            raise RequestRefused.of(GraphQLError("The document has no operation"))
        if len(definitions) > 1:
            raise RequestRefused.of(
                GraphQLError("The document has several operations: operationName must say which")
            )
        [definition] = definitions
        try:
            cost = self._costs.check(definition, fragments_of(document))
        except GraphQLError as error:
            raise RequestRefused.of(error) from error
        except RecursionError as error:
            raise _too_deep() from error
        plan = compile_plan(self._schema, document, definition)
        return Operation(document, definition, operation_name or None, plan, cost)


def _operations() -> LRUCache[tuple[str, str | None], Operation]:
    """Return a place for the operations used last, together of a bounded number of characters."""
    return LRUCache(MAX_CACHED_CHARACTERS, getsizeof=lambda operation: operation.size)


def _digest(query: str, operation_name: str | None) -> bytes:
    text = f"{operation_name or ''}\0{query}"
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _too_deep() -> RequestRefused:
    return RequestRefused.of(GraphQLError("The document is nested too deeply"))


def _bounded(error: GraphQLFormattedError) -> GraphQLFormattedError:
    if len(error["message"]) > MAX_ERROR_CHARACTERS:
        error["message"] = error["message"][:MAX_ERROR_CHARACTERS] + "…"
    if len(error.get("locations", ())) > MAX_ERROR_LOCATIONS:
        error["locations"] = error["locations"][:MAX_ERROR_LOCATIONS]
    return error
