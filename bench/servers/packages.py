"""The peers' npm packages, installed from the lock file into bench/peers/node_modules."""

import hashlib
import subprocess
from pathlib import Path

from tests.support.tools import require

PEERS = Path(__file__).parent.parent / "peers"
INSTALL_SECONDS = 180.0


def node_with_packages() -> Path:
    """The node program, once node_modules holds what the lock says."""
    node = require("Node.js", "node", "nodejs")
    stamp = PEERS / "node_modules" / ".installed"
    wanted = hashlib.sha256((PEERS / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        # No install scripts: bcrypt brings its compiled form for each system in the package.
        command = [str(require("npm")), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(  # noqa: S603  # found by name on the PATH
            command,
            cwd=PEERS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"npm ci failed: {done.stderr.strip()[:1000]}")
        stamp.write_text(wanted)
    return node
