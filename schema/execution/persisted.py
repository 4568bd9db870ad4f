"""Automatic persisted queries, as Apollo's clients speak them: a document, then only its hash.

A client sends `extensions: {persistedQuery: {version: 1, sha256Hash}}` without a `query`; when the
hash is not known here, it sends both. Any document that is valid can be registered so.
"""

from hashlib import sha256
from typing import Any

from cachetools import LRUCache
from graphql import GraphQLFormattedError

from resolvers.errors import Code
from schema.execution.documents import (
    LEAST_CACHED_DOCUMENT,
    MAX_CACHED_CHARACTERS,
    MAX_CACHED_DOCUMENT,
    RequestRefused,
)
from schema.execution.requests import GraphQLRequest


class PersistedQueryUnknown(RequestRefused):
    """The client is to send the whole document. Over HTTP its library expects the status 200."""


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
        if not request.is_persisted:
            assert request.query is not None  # noqa: S101  # the transports have looked
            return request.query
        if not self._serves:
            if request.query:
                return request.query
            raise PersistedQueryUnknown([_error("PersistedQueryNotSupported", _NOT_SUPPORTED)])
        assert request.extensions is not None  # noqa: S101  # it is persisted
        hash_ = _hash_of(request.extensions["persistedQuery"])
        if request.query:
            if self._texts.get(hash_) != request.query and _sha256(request.query) != hash_:
                raise _refusal("provided sha does not match query", Code.BAD_USER_INPUT)
            return request.query
        if (text := self._texts.get(hash_)) is None:
            raise PersistedQueryUnknown([_error("PersistedQueryNotFound", _NOT_FOUND)])
        return text

    def register(self, request: GraphQLRequest) -> None:
        """Keep the document of a request, which was found valid, if the request has a hash."""
        query = request.query
        if (
            not (self._serves and query and request.is_persisted)
            or len(query) > MAX_CACHED_DOCUMENT
        ):
            return
        assert request.extensions is not None  # noqa: S101  # it is persisted
        hash_ = request.extensions["persistedQuery"]["sha256Hash"].lower()
        self._texts[hash_] = query


_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"


def _sha256(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _hash_of(persisted: Any) -> str:
    if isinstance(persisted, dict):
        hash_ = persisted.get("sha256Hash")
        if persisted.get("version") != 1:
            raise _refusal("Unsupported persisted query version", Code.BAD_USER_INPUT)
        if isinstance(hash_, str) and len(hash_) == 64 and hash_.isascii() and hash_.isalnum():
            return hash_.lower()
    raise _refusal(
        "persistedQuery must be {version: 1, sha256Hash: 64 hexadecimal digits}",
        Code.BAD_USER_INPUT,
    )


def _refusal(message: str, code: Code) -> RequestRefused:
    return RequestRefused([_error(message, code.value)])


def _error(message: str, code: str) -> GraphQLFormattedError:
    return {"message": message, "extensions": {"code": code}}
