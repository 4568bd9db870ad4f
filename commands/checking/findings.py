"""What a check found, one line each, in which no secret is shown."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from settings import Settings

# A shorter one stands in too many words: what is left would show it.
SHORTEST_HIDDEN = 4
HIDDEN = "…"


class State(StrEnum):
    """How things are."""

    OK = "ok"
    NOTE = "note"  # it works, and the operator may want to know
    WRONG = "wrong"


class Finding(NamedTuple):
    """One thing: how it is, and what to do where it is wrong."""

    state: State
    said: str
    remedy: str = ""


def ok(said: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(State.OK, said)


def note(said: str, remedy: str = "") -> Finding:
    """Return that something works, and that there is something to know."""
    return Finding(State.NOTE, said, remedy)


def wrong(said: str, remedy: str) -> Finding:
    """Return that something is wrong, and what to do."""
    return Finding(State.WRONG, said, remedy)


class Hider:
    """Removes every secret of the settings from what is to be printed."""

    def __init__(self, settings: Settings) -> None:
        found = {secret for secret in _secrets(settings) if len(secret) >= SHORTEST_HIDDEN}
        self._secrets = sorted(found, key=len, reverse=True)  # one may be a part of another

    def hide(self, text: str) -> str:
        """Return the text in one line, without secrets and characters that move the cursor."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        line = " ".join(text.split())
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def _secrets(settings: Settings) -> Iterable[str]:
    # What is in no URL is secret as a whole.
    for whole in (settings.jwt_secret, settings.db_pass):
        if whole is not None:
            yield from _forms(whole.get_secret_value())
    for url in (settings.database_url, settings.redis_url, settings.storage_url):
        if url is not None:
            yield url.get_secret_value()
            yield from _secrets_of_url(url.get_secret_value())


def _secrets_of_url(url: str) -> Iterable[str]:
    # A password may hold a / or ?, which ends an address: the last @ ends the password.
    rest = url.partition("://")[2]
    before, separator, _ = rest.rpartition("@")
    if separator and ":" in before:
        yield from _forms(before.partition(":")[2])
    for name, value in parse_qsl(urlsplit(url).query):
        if any(word in name.lower() for word in ("secret", "key", "token", "password", "sas")):
            yield from _forms(value)


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret, safe=""), unquote(secret)
