"""A request as every transport hands it to the operations (GraphQL over HTTP, §5)."""

from typing import Any

import msgspec


class GraphQLRequest(msgspec.Struct, rename="camel"):
    """→ server: what to execute: a document, or the hash of one, and its parameters."""

    query: str | None = None  # None: `extensions` name a persisted one
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None

    @property
    def persisted_query(self) -> Any:
        """The hash that names the document, with its version; None when there is none."""
        return None if self.extensions is None else self.extensions.get("persistedQuery")

    @property
    def has_document(self) -> bool:
        """Whether it says what to execute."""
        return self.query is not None or self.persisted_query is not None
