"""How values look on the wire."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NewType, cast

import msgspec
import strawberry
from strawberry import ID
from strawberry.schema.config import StrawberryConfig

from db.models import ConversationKind, MemberRole, MessageKind
from resolvers.attachments.forms import ReceivedFile
from resolvers.errors import BadInput, NotFound
from resolvers.guards.validation import find_id
from server.moments import wire_moment

MAX_MOMENT = 64  # characters


def parse_moment(text: object) -> datetime:
    """Return the moment that a client's text names. Raises BadInput."""
    try:
        if not isinstance(text, str) or len(text) > MAX_MOMENT:
            raise ValueError
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInput("A DateTime is text as in RFC 3339: 2026-11-22T09:30:00Z") from error


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A moment in UTC, as in RFC 3339: 2026-11-22T09:30:00.123456Z",
    specified_by_url="https://scalars.graphql.org/andimarek/date-time",
    serialize=wire_moment,
    parse_value=parse_moment,
)

Upload = NewType("Upload", ReceivedFile)


def _parse_upload(value: object) -> object:
    if not isinstance(value, ReceivedFile):
        raise BadInput("A file is sent by the GraphQL multipart request specification")
    return value


UPLOAD = strawberry.scalar(
    name="Upload",
    description="A file, sent by the GraphQL multipart request specification.",
    specified_by_url="https://github.com/jaydenseric/graphql-multipart-request-spec",
    serialize=lambda file: None,  # it is never an answer
    parse_value=_parse_upload,
)

JSON = NewType("JSON", str)  # its text; an argument is what a client gave, whatever it is
JSON_OBJECT = strawberry.scalar(
    name="JSON",
    description="A JSON object, as a value of a variable or written in the document.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
    # As it is stored: the encoder of answers writes it as it stands.
    serialize=msgspec.Raw,
    parse_value=lambda value: value,
)

CONFIG = StrawberryConfig(scalar_map={datetime: DATE_TIME, Upload: UPLOAD, JSON: JSON_OBJECT})

KINDS = {
    MessageKind.TEXT: "Text, in Unicode.",
    MessageKind.EMOJI: "One to three emoji and nothing else, for a client to show large.",
    MessageKind.IMAGE: "A picture: `attachment`, with `content` as its caption.",
    MessageKind.FILE: "Any other file: `attachment`, with `content` as its caption.",
    MessageKind.VOICE: "A voice note: `attachment`, with `content` as its caption.",
}
CONVERSATION_KINDS = {
    ConversationKind.DIRECT: "Between two people: `peer` is the other one.",
    ConversationKind.GROUP: "Among the `members` of a group.",
    ConversationKind.EVERYBODY: "The broadcasts: everybody is in it.",
}
ROLES = {
    MemberRole.OWNER: "May do everything in the group.",
    MemberRole.ADMIN: "May change the group and its members.",
    MemberRole.MEMBER: "Reads and writes.",
}


def _describe(enum: type[StrEnum], description: str, values: Mapping[Any, str]) -> None:
    # The enum is of `db`, which knows no GraphQL: its values cannot carry their descriptions there.
    described: Any = strawberry.enum(enum, description=description)
    for value in described.__strawberry_definition__.values:
        value.description = values[enum(value.value)]


_describe(MessageKind, "What a message's content is.", KINDS)
_describe(ConversationKind, "Whose a conversation is.", CONVERSATION_KINDS)
_describe(MemberRole, "What a member may do in a conversation.", ROLES)


# Returns an id as clients see it: a decimal string. `str` itself, since each message has four.
wire_id = cast("Callable[[int], ID]", str)


def known_id(value: ID, missing: str) -> int:
    """Return the number that a client's id names. Raises NotFound, with this text, for no id."""
    if (id_ := find_id(value)) is None:
        raise NotFound(missing)
    return id_
