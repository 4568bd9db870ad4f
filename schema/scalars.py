"""How values look on the wire."""

from datetime import datetime
from typing import NewType

import strawberry
from strawberry import ID
from strawberry.schema.config import StrawberryConfig

from db.models import MessageKind
from resolvers.attachments.forms import ReceivedFile
from resolvers.errors import BadInput, NotFound
from resolvers.guards.validation import find_id
from server.moments import wire_moment

DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A moment in UTC, as in RFC 3339: 2026-11-22T09:30:00.123456Z",
    specified_by_url="https://scalars.graphql.org/andimarek/date-time",
    serialize=wire_moment,
    parse_value=lambda text: datetime.fromisoformat(text),
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

CONFIG = StrawberryConfig(scalar_map={datetime: DATE_TIME, Upload: UPLOAD})

KINDS = {
    MessageKind.TEXT: "Text, in Unicode.",
    MessageKind.EMOJI: "One to three emoji and nothing else, for a client to show large.",
    MessageKind.IMAGE: "A picture: `attachment`, with `content` as its caption.",
    MessageKind.FILE: "Any other file: `attachment`, with `content` as its caption.",
    MessageKind.VOICE: "A voice note: `attachment`, with `content` as its caption.",
}
_kind = strawberry.enum(MessageKind, description="What a message's content is.")
# The enum is of `db`, which knows no GraphQL: its values cannot carry their descriptions there.
for _value in _kind.__strawberry_definition__.values:  # type: ignore[attr-defined]  # the decorator adds it
    _value.description = KINDS[MessageKind(_value.value)]


def wire_id(value: int) -> ID:
    """Return an id as clients see it: a decimal string."""
    return ID(str(value))


def known_id(value: ID, missing: str) -> int:
    """Return the number that a client's id names. Raises NotFound, with this text, for no id."""
    if (id_ := find_id(value)) is None:
        raise NotFound(missing)
    return id_
