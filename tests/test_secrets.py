"""No secret is in the repository: what looks like one in a tracked file fails here."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each is written in parts, so that this file is no find of its own.
SHAPES = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE " + r"KEY-----",
    "an AWS key": r"\b(?:AKIA|ASIA)" + r"[0-9A-Z]{16}\b",
    "a GitHub token": r"\bgh[pousr]_" + r"[A-Za-z0-9]{36}|\bgithub_pat_" + r"[A-Za-z0-9_]{60,}",
    "a Slack token": r"\bxox[abprs]-" + r"[A-Za-z0-9-]{10,}",
    "a Google key": r"\bAIza" + r"[0-9A-Za-z_-]{35}\b",
    "a Stripe key": r"\b[sr]k_live_" + r"[0-9A-Za-z]{20,}",
    "a signed token": r"\beyJ" + r"[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    "a value in .env.example": r"(?m)^(?:JWT_SECRET|DB_PASS|DATABASE_URL|REDIS_URL)=" + r"\S+$",
}
EXAMPLES = {
    "a private key": "-----BEGIN RSA PRIVATE " + "KEY-----",
    "an AWS key": "AKIA" + "A" * 16,
    "a GitHub token": "ghp_" + "a" * 36,
    "a Slack token": "xoxb-" + "1" * 12,
    "a Google key": "AIza" + "a" * 35,
    "a Stripe key": "sk_live_" + "a" * 24,
    "a signed token": ".".join(("eyJ" + "a" * 12, "eyJ" + "b" * 12, "c" * 43)),
    "a value in .env.example": "JWT_SECRET=" + "hunter2",
}
# Files that servers make, and people keep beside their checkouts.
PRIVATE = re.compile(r"(^|/)(\.env|jwt_secret|id_rsa|id_ed25519)$|\.(pem|key|p12|pfx|db|sqlite)$")


def tracked() -> list[str]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a Git checkout")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def finds(text: str) -> list[str]:
    return [name for name, shape in SHAPES.items() if re.search(shape, text)]


def test_no_tracked_file_holds_a_secret() -> None:
    names = tracked()
    assert len(names) > 100
    found = {
        name: what
        for name in names
        if (what := finds((ROOT / name).read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


def test_no_tracked_file_is_one_that_is_private() -> None:
    assert [name for name in tracked() if PRIVATE.search(name)] == []
    for private in (".env", "data/jwt_secret", "tls/server.key", "data/parley.db"):
        assert PRIVATE.search(private)
    assert not PRIVATE.search(".env.example")


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_found(name: str) -> None:
    assert finds(f"x = 1\n{EXAMPLES[name]}\n") == [name]
    assert finds("nothing of that kind\nJWT_SECRET=\n") == []
