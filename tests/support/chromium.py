"""Chromium, driven by playwright-core under Node, against the chat page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.node import NodeProcess, NodeRun, node_process, run_node
from tests.support.tools import require

SECONDS = 60.0


async def run_page(script: str, url: str, **options: object) -> NodeRun:
    """Run tests/node/page/<script>, which ends with 0 if all is as it should be; skips without."""
    run = await run_node(
        f"page/{script}", url, options, env={"CHROMIUM": chromium()}, timeout=SECONDS
    )
    assert run.code == 0, run.stderr
    return run


@asynccontextmanager
async def page_process(script: str, url: str) -> AsyncIterator[NodeProcess]:
    """Run it beside the test, which takes its messages; the last of a good end is "done"."""
    async with node_process(f"page/{script}", url, env={"CHROMIUM": chromium()}) as process:
        yield process


def chromium() -> str:
    """Where it is; Debian calls it chromium, others otherwise."""
    return str(require("Chromium", "chromium", "chromium-browser", "google-chrome"))
