"""Relay cursor connections (relay.dev/graphql/connections.htm) over ids."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import strawberry

from resolvers.errors import BadInput
from resolvers.guards.validation import find_id

# Keeps a cursor from being taken for an id, and leaves room for other kinds of position.
_PREFIX = "id:"
DEFAULT_PAGE = 50
MAX_CURSOR = 64  # characters: a cursor holds one id


@strawberry.type(description="Where a page lies among its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more past `endCursor`.")
    has_previous_page: bool = strawberry.field(
        description="Whether there is more before `startCursor`."
    )
    start_cursor: str | None = strawberry.field(description="The first edge's cursor.")
    end_cursor: str | None = strawberry.field(description="The last edge's cursor.")


class Slice(NamedTuple):
    """What `first/after/last/before` ask for: an end of the range between two exclusive ids."""

    after: int | None
    before: int | None
    newest: bool
    limit: int


def cursor_of(id_: int) -> str:
    """Return the opaque cursor of the thing with this id."""
    return urlsafe_b64encode(f"{_PREFIX}{id_}".encode()).decode().rstrip("=")


def id_at(cursor: str, argument: str) -> int:
    """Return the id that a cursor stands for; an id itself, or 0, stands for its own place.

    A client that keeps the last id it saw can ask for what is past it. No cursor looks like an id.
    Raises BadInput naming the argument.
    """
    if cursor == "0":
        return 0
    if (named := find_id(cursor)) is not None:
        return named
    if len(cursor) > MAX_CURSOR:
        raise BadInput(f"{argument} is not a cursor of this list")
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, UnicodeError):
        text = ""
    id_ = find_id(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else None
    if id_ is None:
        raise BadInput(f"{argument} is not a cursor of this list")
    return id_


def slice_of(first: int | None, after: str | None, last: int | None, before: str | None) -> Slice:
    """Return the range that the arguments name: without `first` and `last`, its newest page."""
    if first is not None and last is not None:
        raise BadInput("first and last cannot be used together")
    return Slice(
        after=None if after is None else id_at(after, "after"),
        before=None if before is None else id_at(before, "before"),
        newest=first is None,
        limit=next((size for size in (first, last) if size is not None), DEFAULT_PAGE),
    )


def page_info(ids: list[int], *, has_previous: bool, has_next: bool) -> PageInfo:
    """Return the PageInfo of a page of these ids."""
    return PageInfo(
        has_next_page=has_next,
        has_previous_page=has_previous,
        start_cursor=cursor_of(ids[0]) if ids else None,
        end_cursor=cursor_of(ids[-1]) if ids else None,
    )
