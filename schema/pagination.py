"""Relay cursor connections (relay.dev/graphql/connections.htm) over ids."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

import strawberry
from strawberry import field

from resolvers.errors import BadInput
from resolvers.guards.validation import find_id

# No cursor looks like an id, and other kinds of position can come later.
_PREFIX = "id:"
DEFAULT_PAGE = 50
MAX_CURSOR = 64  # characters: a cursor holds one id


T = TypeVar("T")


@strawberry.type(description="Where a page lies among its list.")
class PageInfo:
    has_next_page: bool = field(description="Whether there is more past `endCursor`.")
    has_previous_page: bool = field(description="Whether there is more before `startCursor`.")
    start_cursor: str | None = field(description="The first edge's cursor.")
    end_cursor: str | None = field(description="The last edge's cursor.")


@strawberry.type(description="An item of a page.")
class Edge(Generic[T]):
    cursor: str = field(description="Opaque; for `after` and `before`.")
    node: T = field(description="The item.")


@strawberry.type(name="Connection", description="A page of a list.")
class RelayConnection(Generic[T]):
    records: strawberry.Private[Sequence[Any]]  # in the order of their ids
    show: strawberry.Private[Callable[[Any], T]]
    has_previous: strawberry.Private[bool]
    has_next: strawberry.Private[bool]

    @field(description="The items with their cursors.")
    def edges(self) -> list[Edge[T]]:
        return [
            Edge(cursor=cursor_of(record.id), node=self.show(record)) for record in self.records
        ]

    @field(description="The items without their cursors.")
    def nodes(self) -> list[T]:
        return [self.show(record) for record in self.records]

    @field(description="Where this page lies.")
    def page_info(self) -> PageInfo:
        return PageInfo(
            has_next_page=self.has_next,
            has_previous_page=self.has_previous,
            start_cursor=cursor_of(self.records[0].id) if self.records else None,
            end_cursor=cursor_of(self.records[-1].id) if self.records else None,
        )


class PageRequest(NamedTuple):
    """What `first/after/last/before` ask for: `limit` ids between `after` and `before`, exclusive.

    The page lies at the new end of that range if `newest`, else at the old end.
    """

    after: int | None
    before: int | None
    newest: bool
    limit: int


def cursor_of(id_: int) -> str:
    """Return the opaque cursor of the thing with this id."""
    return urlsafe_b64encode(f"{_PREFIX}{id_}".encode()).decode().rstrip("=")


def id_at(cursor: str, argument: str) -> int:
    """Return the id that a cursor stands for. Raises BadInput naming the argument.

    An id, or 0, is a cursor too: a client that keeps the last id it saw asks for what follows it.
    """
    if cursor == "0":
        return 0
    if (named := find_id(cursor)) is not None:
        return named
    text = ""
    if len(cursor) <= MAX_CURSOR:
        with suppress(ValueError):
            text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    id_ = find_id(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else None
    if id_ is None:
        raise BadInput(f"{argument} is not a cursor of this list")
    return id_


def page_request(
    first: int | None, after: str | None, last: int | None, before: str | None
) -> PageRequest:
    """Return the page that the arguments name: without `first` and `last`, the newest one."""
    if first is not None and last is not None:
        raise BadInput("first and last cannot be used together")
    return PageRequest(
        after=None if after is None else id_at(after, "after"),
        before=None if before is None else id_at(before, "before"),
        newest=first is None,
        limit=next((size for size in (first, last) if size is not None), DEFAULT_PAGE),
    )
