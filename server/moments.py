"""How a moment looks on every wire."""

from datetime import datetime


def wire_moment(moment: datetime) -> str:
    """Return a UTC time in RFC 3339's form, always with six digits of a second.

    JSON encoders leave out a fraction of zero. Clients that compare times as text, or that parse
    them by a fixed pattern, would then meet another form once in a million messages.
    """
    return moment.isoformat(timespec="microseconds")[:26] + "Z"
