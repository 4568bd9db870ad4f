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
from resolvers.errors import Code, ParleyError
from schema.execution.compiler import compile_plan
from schema.execution.costs import Cost, Costs
from schema.execution.errors import format_error
from schema.execution.introspection import hide_suggestions, validation_rules
from schema.execution.labels import Label, label_of
from schema.execution.plans import Plan
from schema.execution.selections import fragments_of
from schema.execution.sizes import DocumentLimits, check_document

# Clients send the same few documents again and again. Parsed, a document takes some hundred times
# the memory of its text, so the cache is bounded by the characters of all documents together.
MAX_CACHED_CHARACTERS = 200_000
MAX_CACHED_DOCUMENT = 5_000
# A short document counts as this many characters: parsed, it takes some kilobytes as well.
LEAST_CACHED_DOCUMENT = 200
MAX_OPERATION_NAME = 256
# For each error graphql-core may look through all of the schema's names for a similar one.
MAX_VALIDATION_ERRORS = 8
MAX_REFUSED = 500
# An error may quote the document, and name each place in it.
MAX_ERROR_CHARACTERS = 500
MAX_ERROR_LOCATIONS = 10


class RequestRefused(Exception):
    """The request cannot be executed: `errors`, formatted, say why."""

    def __init__(self, errors: list[GraphQLFormattedError]) -> None:
        super().__init__(errors[0]["message"])
        ParleyError.raised[Code.BAD_USER_INPUT.value, "document"] += 1
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
    label: Label

    @property
    def size(self) -> int:
        """What it counts as in the cache, in characters."""
        assert self.document.loc is not None  # noqa: S101  # it was parsed
        return max(len(self.document.loc.source.body), LEAST_CACHED_DOCUMENT)

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


class Documents:
    """The documents that clients send.

    What strangers send has a cache of its own, so that strangers cannot push out the documents of
    users who are logged in. What was refused has another.
    """

    def __init__(self, schema: GraphQLSchema, ctx: Context) -> None:
        settings = ctx.settings
        self._schema = schema
        self._max_characters = settings.max_query_characters
        self._max_tokens = settings.max_query_tokens
        self._limits = DocumentLimits(
            *(getattr(settings, f"max_query_{name}") for name in DocumentLimits._fields)
        )
        self._costs = Costs(schema, ctx)
        self._introspection = settings.shows_introspection
        self._rules = validation_rules(introspection=self._introspection)
        self._known = _operations()
        self._strangers = _operations()
        self._refused: LRUCache[bytes, list[GraphQLFormattedError]] = LRUCache(MAX_REFUSED)

    def recall(self, query: str, operation_name: str | None, *, known: bool) -> Operation | None:
        """Return the operation if it is in the cache; a caller who is logged in is `known`."""
        key = (query, operation_name)
        try:
            return self._known[key]
        except KeyError:
            operation = self._strangers.get(key)
        if operation is not None and known:
            self._known[key] = operation
        return operation

    def check_refused(self, query: str, operation_name: str | None) -> None:
        """Raise RequestRefused for a document that is too long, or was refused lately."""
        size, limit = len(query), self._max_characters
        if size > limit:
            raise _refusal(f"The document has {size} characters; the limit is {limit}")
        if operation_name is not None and len(operation_name) > MAX_OPERATION_NAME:
            raise _refusal(f"operationName is longer than {MAX_OPERATION_NAME} characters")
        if (errors := self._refused.get(_digest(query, operation_name))) is not None:
            raise RequestRefused(errors)

    def prepare(self, query: str, operation_name: str | None, *, known: bool) -> Operation:
        """Parse and validate a document; return the operation that is meant. Raises RequestRefused.

        Call `check_refused` before it: that bounds the document's length.
        """
        try:
            operation = self._prepare(query, operation_name)
        except RequestRefused as refused:
            self._refused[_digest(query, operation_name)] = refused.errors
            raise
        if len(query) <= MAX_CACHED_DOCUMENT:
            cache = self._known if known else self._strangers
            cache[query, operation_name] = operation
        return operation

    def refusal_of(self, errors: list[GraphQLError]) -> RequestRefused:
        """Return the refusal that tells graphql-core's errors."""
        if not self._introspection:
            hide_suggestions(errors)
        return RequestRefused.of(*errors[: MAX_VALIDATION_ERRORS + 1])

    def _prepare(self, query: str, operation_name: str | None) -> Operation:
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
            if errors:
                raise self.refusal_of(errors)
            definition = _find(document, operation_name)
            fragments = fragments_of(document)
            cost = self._costs.check(definition, fragments)
            plan = compile_plan(self._schema, document, definition)
        except GraphQLError as error:
            raise RequestRefused.of(error) from error
        except RecursionError as error:
            raise _refusal("The document is nested too deeply") from error
        label = label_of(definition, fragments)
        return Operation(document, definition, operation_name or None, plan, cost, label)


def _find(document: DocumentNode, operation_name: str | None) -> OperationDefinitionNode:
    found = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if operation_name:
        found = [node for node in found if node.name and node.name.value == operation_name]
        if not found:
            raise GraphQLError(f"Unknown operation named {operation_name!r}")
    if not found:
        raise GraphQLError("The document has no operation")
    if len(found) > 1:
        raise GraphQLError("The document has several operations: operationName must say which")
    return found[0]


def _operations() -> LRUCache[tuple[str, str | None], Operation]:
    """Return a cache of the operations used last."""
    return LRUCache(MAX_CACHED_CHARACTERS, getsizeof=lambda operation: operation.size)


def _digest(query: str, operation_name: str | None) -> bytes:
    text = f"{operation_name or ''}\0{query}"
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _refusal(message: str) -> RequestRefused:
    return RequestRefused.of(GraphQLError(message))


def _bounded(error: GraphQLFormattedError) -> GraphQLFormattedError:
    if len(error["message"]) > MAX_ERROR_CHARACTERS:
        error["message"] = error["message"][:MAX_ERROR_CHARACTERS] + "…"
    if len(error.get("locations", ())) > MAX_ERROR_LOCATIONS:
        error["locations"] = error["locations"][:MAX_ERROR_LOCATIONS]
    return error
