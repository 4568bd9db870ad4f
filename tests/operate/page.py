"""The commands on a page of docs/operate, run by a shell as they are written."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from settings import Settings
from tests.support.tools import AS_INSTALLED

ROOT = Path(__file__).parent.parent.parent
RUN_SECONDS = 120
PYTHON = """#!/bin/sh
[ "$1" = main.py ] && shift && set -- "{main}" "$@"
exec "{python}" -W "ignore:'crypt'" "$@"
"""


class Page:
    """One page's blocks of commands, in a directory where `python main.py` is this Parley."""

    def __init__(self, name: str, directory: Path, **environment: str) -> None:
        self.text = (ROOT / "docs" / "operate" / f"{name}.md").read_text()
        self.blocks: list[str] = re.findall(r"^```sh\n(.+?)^```", self.text, re.DOTALL | re.M)
        self.directory = directory
        programs = directory / "programs"
        programs.mkdir(parents=True)
        python = programs / "python"
        main = f'"{ROOT / "main.py"}"'
        python.write_text(
            f'#!/bin/sh\n[ "$1" = main.py ] && shift && set -- {main} "$@"\n'
            f'exec {sys.executable} -W "ignore:\'crypt\'" "$@"\n'
        )
        python.chmod(0o700)
        ours = {name.upper() for name in Settings.model_fields}
        clean = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        path = f"{programs}{os.pathsep}{clean.get('PATH', os.defpath)}"
        self.environment = {**clean, **AS_INSTALLED, "PATH": path, **environment}

    async def run(self, *words: str) -> str:
        """Run the one block with these words; return what it prints."""
        [block] = [block for block in self.blocks if all(word in block for word in words)]
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
