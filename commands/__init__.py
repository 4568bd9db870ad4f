"""The commands of `main.py`, a module each: `add_parser` adds its words, `run` does the work."""

import sys
from pathlib import Path


def program() -> str:
    """Return what this program is called: `parley` where the package is installed, or main.py."""
    return "parley" if Path(sys.argv[0]).name == "parley" else "main.py"


def command_line() -> str:
    """Return how a terminal starts this program, to be followed by a command."""
    return "parley" if program() == "parley" else "python main.py"
