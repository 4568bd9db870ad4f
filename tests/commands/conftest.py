"""An older server's database, and the import run in this process."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from commands import importing
from settings import Settings
from tests.commands.older import Older
from tests.conftest import fresh_database_url
from tests.support.server import make_settings

Import = Callable[..., Awaitable[str]]


@pytest.fixture
def older(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Older:
    """The older server's database, empty, on each engine."""
    return Older(engine, request, tmp_path)


@pytest.fixture
def settings(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of a target that does not exist yet, on each engine."""
    url = fresh_database_url(engine, request, tmp_path)
    return make_settings(tmp_path / "data", database_url=url)


@pytest.fixture
def moved(older: Older, settings: Settings, capsys: pytest.CaptureFixture[str]) -> Import:
    """Run the import with these words; return what it prints."""

    async def run(*words: str, **others: object) -> str:
        parser = argparse.ArgumentParser()
        importing.add_parser(parser.add_subparsers())
        options = parser.parse_args(["import", "--from", older.url, *words])
        chosen = settings.model_copy(update=others)
        await asyncio.to_thread(importing.run, chosen, options)
        return capsys.readouterr().out

    return run
