"""How large a change becomes as the text of a statement."""

from collections.abc import Sequence

from db.log.changes.change import Change
from db.log.drafts import Draft

# MySQL's driver writes a backslash before each of these.
ESCAPED = "\0\n\r\x1a\"'\\"


def texts_of(change: Change) -> Sequence[str]:
    """Return what people wrote in a change, the longest text first."""
    if isinstance(change, Draft):
        return change.content, change.client_message_id or "", change.metadata or ""
    return (change.text,)


def written_size(texts: Sequence[str]) -> int:
    """Return how many bytes texts take in a statement."""
    return sum(
        len(written.encode("utf-8", "surrogatepass")) + sum(map(written.count, ESCAPED))
        for written in texts
    )
