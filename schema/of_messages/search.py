"""Search in GraphQL."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import ID, argument, field

from db.models import MessageKind
from resolvers.errors import BadInput
from resolvers.guards.validation import find_id
from resolvers.of_messages.search import Cursor, Hit, HitsPage, SearchOrder, Wanted, search_messages
from schema.context import Info
from schema.messages import Message
from schema.pagination import MAX_CURSOR, PageInfo
from schema.scalars import known_id

DEFAULT_PAGE = 20
# Order, typos, the last message, how many came before.
_CURSOR = re.compile("(NEWEST|RELEVANCE):([01]):([0-9]{1,19}):([0-9]{1,9})")


@strawberry.enum(name="SearchOrder", description="Which messages come first.")
class Order(Enum):
    NEWEST = strawberry.enum_value("NEWEST", description="The newest ones.")
    RELEVANCE = strawberry.enum_value(
        "RELEVANCE", description="Those that answer best; at most the best 1,000 are found."
    )


@strawberry.type(description="A piece of a message's text.")
class SnippetPart:
    text: str = field(description="The text, as it was written. It is no HTML.")
    hit: bool = field(description="Whether this is what was searched for: show it marked.")


@strawberry.type(description="A message that was found.")
class SearchEdge:
    hit: strawberry.Private[Hit]

    @field(description="Opaque; for `after`, of the same search.")
    def cursor(self) -> str:
        return _cursor_of(self.hit.cursor)

    @field(description="The message.")
    def node(self) -> Message:
        return Message.of(self.hit.message)

    @field(
        description="The piece of its text with the first hits, about 160 characters, in order; an"
        " ellipsis stands for what is left out. Of a file it may be the file's name."
    )
    def snippet(self) -> list[SnippetPart]:
        return [SnippetPart(text=text, hit=is_hit) for text, is_hit in self.hit.excerpt]


@strawberry.type(description="A page of the messages that were found.")
class SearchConnection:
    page: strawberry.Private[HitsPage]
    after: strawberry.Private[str | None]

    @field(description="The messages with their cursors and snippets.")
    def edges(self) -> list[SearchEdge]:
        return [SearchEdge(hit=hit) for hit in self.page.hits]

    @field(description="The messages alone.")
    def nodes(self) -> list[Message]:
        return [Message.of(hit.message) for hit in self.page.hits]

    @field(
        description="Where this page lies. A page may have fewer messages than `first` while"
        " `hasNextPage` is true: go on from `endCursor`."
    )
    def page_info(self) -> PageInfo:
        hits, end = self.page.hits, self.page.end
        return PageInfo(
            has_next_page=self.page.has_more,
            has_previous_page=self.after is not None,
            start_cursor=_cursor_of(hits[0].cursor) if hits else None,
            end_cursor=None if end is None else _cursor_of(end),
        )

    @field(
        description="Whether all messages were looked through. False while the server still reads"
        " older messages into a new index: the newest are found already."
    )
    def complete(self) -> bool:
        return self.page.is_complete


@strawberry.type
class SearchQueries:
    @field(
        description="The messages that you may see and that have all words of `query`. A word finds"
        ' the words that begin with it; words between quotation marks ("…") stand in this order.'
        " Case and accents make no difference. Only where nothing is found, long words may have a"
        " typo. A message is found by its text and by the name of its file."
    )
    async def search_messages(
        self,
        info: Info,
        query: Annotated[str, argument("What to search for: at most 256 characters, 32 words.")],
        conversation: Annotated[ID | None, argument("Only in this conversation of yours.")] = None,
        with_: Annotated[
            ID | None,
            argument(name="with", description="Only between you and this user."),
        ] = None,
        from_: Annotated[
            ID | None, argument(name="from", description="Only messages of this user.")
        ] = None,
        kind: Annotated[MessageKind | None, argument("Only messages of this kind.")] = None,
        since: Annotated[datetime | None, argument("Only sent at this moment or later.")] = None,
        until: Annotated[datetime | None, argument("Only sent before this moment.")] = None,
        first: Annotated[int, argument("This many, at most 100.")] = DEFAULT_PAGE,
        after: Annotated[str | None, argument("Only those past this cursor.")] = None,
        order: Annotated[Order, argument("Which come first.")] = Order.NEWEST,
    ) -> SearchConnection:
        wanted = Wanted(
            query,
            None if conversation is None else known_id(conversation, "Conversation not found"),
            None if with_ is None else known_id(with_, "User not found"),
            None if from_ is None else known_id(from_, "User not found"),
            kind,
            since,
            until,
        )
        page = await search_messages(
            info.context.ctx,
            wanted,
            first=first,
            after=None if after is None else _cursor_at(after),
            order=SearchOrder(order.value),
        )
        return SearchConnection(page=page, after=after)


def _cursor_of(cursor: Cursor) -> str:
    text = f"{cursor.order.value}:{cursor.typos:d}:{cursor.after}:{cursor.shown}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cursor_at(cursor: str) -> Cursor:
    """Return what a cursor stands for. Raises BadInput."""
    if len(cursor) <= MAX_CURSOR:
        with suppress(ValueError):
            text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
            found = _CURSOR.fullmatch(text)
            if found and (id_ := find_id(found[3])) is not None:
                return Cursor(SearchOrder(found[1]), found[2] == "1", id_, int(found[4]))
    raise BadInput("after is not a cursor of this search")
