"""What a test has left open fails that test, not the run at its end."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def left_open() -> Iterator[None]:
    """Collect after the test: the collector warns of sockets and files that were not closed."""
    yield
    gc.collect()
