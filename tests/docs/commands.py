"""The commands that a page shows."""

import re
from pathlib import Path

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands_of(page: Path) -> list[str]:
    """Return each command in the page's blocks of shell, in order; one line is one command."""
    blocks = _BLOCK.findall(page.read_text())
    joined = (block.replace("\\\n", "") for block in blocks)
    return [line for block in joined for line in block.splitlines() if line.strip()]
