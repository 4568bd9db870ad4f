"""How values look on the wire."""

from datetime import datetime

import strawberry
from strawberry.schema.config import StrawberryConfig

DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A moment in UTC, as in RFC 3339: 2026-11-22T09:30:00.123456Z",
    specified_by_url="https://scalars.graphql.org/andimarek/date-time",
    # The JSON encoder writes an aware datetime in just this form.
    serialize=lambda moment: moment,
    parse_value=lambda text: datetime.fromisoformat(text),
)

CONFIG = StrawberryConfig(scalar_map={datetime: DATE_TIME})


def wire_id(value: int) -> strawberry.ID:
    """Return an id as clients see it: a decimal string."""
    return strawberry.ID(str(value))
