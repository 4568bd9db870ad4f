"""Work in the background: it goes on after a failure, and says what failed."""

import asyncio
import logging

import pytest

from db.engines.database import DatabaseUnavailable
from resolvers import background
from resolvers.errors import Unavailable

logger = logging.getLogger("parley.test")


class Work:
    """Fails in the ways that are listed, one a call, and then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = [*failures]
        self.calls = 0
        self.succeeded = asyncio.Event()

    async def __call__(self) -> None:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        self.succeeded.set()


async def test_repeated_work_goes_on_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(Unavailable(), DatabaseUnavailable("away"), ZeroDivisionError())
    task = asyncio.create_task(
        background.repeat(work, every=0.001, logger=logger, failure="It could not be done")
    )
    await asyncio.wait_for(work.succeeded.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    said = [record for record in caplog.records if record.name == logger.name]
    assert [record.levelname for record in said] == ["WARNING", "WARNING", "ERROR"]
    assert all("It could not be done" in record.getMessage() for record in said)
    assert [record.exc_info is not None for record in said] == [False, False, True]


async def test_retried_work_is_done_once_and_its_task_is_kept_until_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.001)
    work = Work(DatabaseUnavailable("away"), DatabaseUnavailable("still away"))
    background.start_retried(work, name="retried", logger=logger, failure="It could not be read")
    [task] = [task for task in background._running if task.get_name() == "retried"]
    await asyncio.wait_for(task, 10)
    await asyncio.sleep(0)
    assert (work.calls, task in background._running) == (3, False)
    said = [record.getMessage() for record in caplog.records if record.name == logger.name]
    assert len(said) == 2
    assert all("It could not be read; trying again" in text for text in said)
