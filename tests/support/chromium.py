"""Chromium, driven by playwright-core under Node, against the chat page."""

from tests.support.node import NodeRun, run_node
from tests.support.tools import require

SECONDS = 60.0


async def run_page(script: str, url: str, **options: object) -> NodeRun:
    """Run tests/node/page/<script>, which ends with 0 if all is as it should be; skips without."""
    run = await run_node(
        f"page/{script}", url, options, env={"CHROMIUM": str(chromium())}, timeout=SECONDS
    )
    assert run.code == 0, run.stderr
    return run


def chromium() -> str:
    """Where it is; Debian calls it chromium, others otherwise."""
    return str(require("Chromium", "chromium", "chromium-browser", "google-chrome"))
