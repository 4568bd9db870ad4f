"""How easily a signing secret is guessed."""

import re
from itertools import pairwise

# The secret printed in the older server's documents: everybody knows it.
SAMPLE_SECRETS = frozenset({"your_jwt_secret", "your_secret_key", "supersecret", "secret"})
# RFC 7518 §3.2: a key of the size of the hash output or larger.
MIN_SECRET_BYTES = 32
# 32 random hexadecimal digits have fewer than 8 different ones once in fifty million.
MIN_SECRET_CHARACTERS = 8
MIN_SECRET_REST = 12  # characters, beside the words that everybody tries
# What people put where a secret should be, in documents, templates and tutorials.
_SAMPLE_WORDS = re.compile(
    "development|application|characters|production|0123456789|123456789|changeit|changeme|"
    "password|12345678|replace|default|testing|example|express|refresh|signing|private|"
    "compose|1234567|secret|strong|random|string|secure|change|please|sample|server|parley|"
    "access|public|qwerty|nobody|docker|123456|token|super|short|least|chars|bytes|admin|"
    "hello|world|value|knows|local|12345|your|this|that|json|very|long|with|bits|pass|prod|"
    "test|demo|chat|node|auth|sign|here|some|must|hash|salt|host|1234|2024|2025|2026|our|"
    "the|jwt|web|key|top|for|and|bit|dev|app|not|use|env|set|123|256|512|my|is|an|me|it|in|"
    "to|or|at|do|be"
)


def weakness_of(secret: str) -> str | None:
    """Say what makes a secret easy to guess; None when nothing is seen."""
    if secret.lower() in SAMPLE_SECRETS:
        return "is the sample value of the documents"
    if len(secret.encode()) < MIN_SECRET_BYTES:
        return f"is shorter than {MIN_SECRET_BYTES} bytes"
    periods = range(1, min(MIN_SECRET_BYTES, len(secret) - MIN_SECRET_CHARACTERS + 1))
    repeats = any(secret[period:] == secret[:-period] for period in periods)
    if repeats or len(set(secret)) < MIN_SECRET_CHARACTERS:
        return "repeats a few characters"
    steps = [ord(after) - ord(before) for before, after in pairwise(secret)]
    if sum(-1 <= step <= 1 for step in steps) > len(steps) / 2:
        return "counts up or down"
    rest = _SAMPLE_WORDS.sub("", re.sub(r"[^a-z0-9]", "", secret.lower()))
    if len(rest) < MIN_SECRET_REST:
        return "is made of words that everybody tries"
    return None
