"""Automatic persisted queries, as Apollo's clients speak them: a document, then only its hash.

A client sends `extensions: {persistedQuery: {version: 1, sha256Hash}}` without a `query`; when the
hash is not known here, it sends both. Any document that is valid can be registered so.
"""

from hashlib import sha256
from typing import Any

from cachetools import LRUCache
from graphql import GraphQLError

from schema.execution.documents import (
    LEAST_CACHED_DOCUMENT,
    MAX_CACHED_CHARACTERS,
    MAX_CACHED_DOCUMENT,
    RequestRefused,
)
from schema.execution.requests import GraphQLRequest


class PersistedQueryUnknown(RequestRefused):
    """The client is to send the whole document. Over HTTP its library expects the status 200."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__([{"message": message, "extensions": {"code": code}}])


class PersistedQueries:
    """A cache of the documents that were registered, by their hashes.

    If it does not serve, a hash alone is refused so that the client sends whole documents from then
    on.
    """

    def __init__(self, *, serves: bool = True) -> None:
        self._serves = serves
        self._texts: LRUCache[str, str] = LRUCache(
            MAX_CACHED_CHARACTERS, getsizeof=lambda text: max(len(text), LEAST_CACHED_DOCUMENT)
        )

    def text_of(self, request: GraphQLRequest) -> str:
        """Return the document that the request means. Raises RequestRefused."""
        query, persisted = request.query or "", request.persisted_query
        if persisted is None or (query and not self._serves):
            return query
        if not self._serves:
            raise PersistedQueryUnknown(
                "PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED"
            )
        hash_ = _hash_of(persisted)
        known = self._texts.get(hash_)
        if not query and known is None:
            raise PersistedQueryUnknown("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
        if query and query != known and _sha256(query) != hash_:
            raise _refusal("provided sha does not match query")
        return query or known or ""

    def register(self, request: GraphQLRequest) -> None:
        """Keep the document of a request, which was found valid, if the request has a hash."""
        query, persisted = request.query, request.persisted_query
        if self._serves and query and persisted and len(query) <= MAX_CACHED_DOCUMENT:
            self._texts[_hash_of(persisted)] = query


def _sha256(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _hash_of(persisted: Any) -> str:
    if isinstance(persisted, dict):
        hash_ = persisted.get("sha256Hash")
        if persisted.get("version") != 1:
            raise _refusal("Unsupported persisted query version")
        if isinstance(hash_, str) and len(hash_) == 64 and hash_.isascii() and hash_.isalnum():
            return hash_.lower()
    raise _refusal("persistedQuery must be {version: 1, sha256Hash: 64 hexadecimal digits}")


def _refusal(message: str) -> RequestRefused:
    return RequestRefused.of(GraphQLError(message))
