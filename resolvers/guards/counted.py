"""What happened since the start of this process, for the operator's figures (observe/figures)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from resolvers.errors import ParleyError


class Counted:
    """Counts what nothing else keeps a count of; none of it is on a message's way."""

    def __init__(self) -> None:
        self.logins: Counter[str] = Counter(ok=0)  # by outcome: "ok", or an error's code
        self.tokens: Counter[str] = Counter(ok=0)  # of connections, likewise
        self.slow_readers: Counter[str] = Counter()  # by face
        self.resumes = 0
        self.replayed = 0
        self.uploads: Counter[str] = Counter()  # by kind
        self.upload_bytes = 0


@contextmanager
def counting(outcomes: Counter[str]) -> Iterator[None]:
    """Count how the block ends: "ok", or the code of its refusal."""
    try:
        yield
    except ParleyError as error:
        outcomes[error.code.value] += 1
        raise
    outcomes["ok"] += 1
