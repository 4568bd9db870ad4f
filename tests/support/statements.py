"""Which statements go to a database: through SQLAlchemy, or straight to its driver."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from db.engines import statements

# Every server of the tests looks for the log's head and its last entry, in both tables.
WATCHED = ("FROM log", "messages.id <= ")
# And now and then they ask whether the database answers.
PING = "SELECT 1"


@contextmanager
def statements_sent(*, here: bool = False) -> Iterator[list[tuple[str, Any]]]:
    """The SELECTs sent meanwhile, with their parameters, in order.

    By anybody, without what servers ask all the time; or all those of this thread, where `here`.
    """
    sent: list[tuple[str, Any]] = []
    ask_driver = statements.ask_driver
    this = get_ident()

    def see(conn: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        counts = get_ident() == this if here else not any(part in statement for part in WATCHED)
        if counts and statement.startswith("SELECT") and statement != PING:
            sent.append((statement, parameters))

    async def ask(driver: Any, text: str, given: Sequence[object]) -> Sequence[Sequence[Any]]:
        sent.append((text, given))
        return await ask_driver(driver, text, given)

    event.listen(Engine, "before_cursor_execute", see)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "ask_driver", ask)
        try:
            yield sent
        finally:
            event.remove(Engine, "before_cursor_execute", see)
