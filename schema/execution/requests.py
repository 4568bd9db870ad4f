"""A request as every transport hands it to the operations (GraphQL over HTTP, §5)."""

from typing import Any

import msgspec


class GraphQLRequest(msgspec.Struct, rename="camel"):
    """→ server: what to execute: a document, or the hash of one, and its parameters."""

    query: str | None = None  # None: a persisted one, which `extensions` name
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None

    @property
    def is_persisted(self) -> bool:
        """Whether it names its document by a hash (schema/execution/persisted.py)."""
        extensions = self.extensions
        return extensions is not None and extensions.get("persistedQuery") is not None

    @property
    def has_document(self) -> bool:
        """Whether it says what to execute."""
        return self.query is not None or self.is_persisted
