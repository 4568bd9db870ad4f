"""Programs that some tests need and not every machine has."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

# Distributions keep servers in directories that a user's PATH leaves out.
SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")

# For a server in a process of its own: it finds the clients of the tests as little as it does for
# users, who install the server's packages only. They take a sixth of a start.
AS_INSTALLED = {"PYTHONPATH": str(Path(__file__).with_name("absent"))}


def require(tool: str, *names: str) -> Path:
    """The first program found among names (or tool itself); else the test is skipped."""
    names = names or (tool,)
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_DIRECTORIES])
    for name in names:
        if found := shutil.which(name, path=path):
            return Path(found)
    return missing(f"{tool} is not installed: no {' or '.join(names)} on the PATH")


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where every tool must be there (PARLEY_TEST_REQUIRE_ALL=1)."""
    if os.environ.get("PARLEY_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (PARLEY_TEST_REQUIRE_ALL=1)", pytrace=False)
    pytest.skip(reason)
