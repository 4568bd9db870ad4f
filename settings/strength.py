"""Whether a signing secret is easy to guess."""

import re
from itertools import pairwise

# The secret printed in the older server's documents: everybody knows it.
SAMPLE_SECRETS = frozenset({"your_jwt_secret", "your_secret_key", "supersecret", "secret"})
# RFC 7518 §3.2: a key of the size of the hash output or larger.
MIN_SECRET_BYTES = 32
# 32 random hexadecimal digits have fewer than 8 different ones once in fifty million.
MIN_SECRET_CHARACTERS = 8
MIN_SECRET_REST = 8  # letters beside the sample and its padding
# The samples of documents, and the words that people add to make them longer.
_SAMPLES = re.compile("|".join(sorted(SAMPLE_SECRETS, key=len, reverse=True)))
_PADDING = re.compile(
    r"[^a-z]|your|my|jwt|key|token|super|very|long|change|me|random|string|for|this|is|a|the"
)


def weakness_of(secret: str) -> str | None:
    """Return what makes a secret easy to guess; None for one without a known weakness."""
    if secret.lower() in SAMPLE_SECRETS:
        return "is the sample value of the documents"
    if len(secret.encode()) < MIN_SECRET_BYTES:
        return f"is shorter than {MIN_SECRET_BYTES} bytes"
    periods = range(1, min(MIN_SECRET_BYTES, len(secret) - MIN_SECRET_CHARACTERS + 1))
    repeats = any(secret[period:] == secret[:-period] for period in periods)
    if repeats or len(set(secret)) < MIN_SECRET_CHARACTERS:
        return "repeats a few characters"
    steps = [ord(after) - ord(before) for before, after in pairwise(secret)]
    # Of 32 random hexadecimal digits, more than half do so once in a hundred thousand.
    if sum(-1 <= step <= 1 for step in steps) > len(steps) * 2 / 3:
        return "counts up or down"
    rest = _SAMPLES.sub("", secret.lower())
    if rest != secret.lower() and len(_PADDING.sub("", rest)) < MIN_SECRET_REST:
        return "is the sample value of the documents, made longer"
    return None
