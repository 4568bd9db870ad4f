"""Names that others read: without invisible characters and those that turn the reading direction.

One policy for every name: of people, of files, of the programs in the list of sessions. Callers
bound the text first: `normalize` is quadratic in a run of combining marks.
"""

import re
import unicodedata
from collections.abc import Iterator

from db.people.accounts import DELETED_NAME

# UTS #39 §5.4: no language stacks more marks on one letter; a higher stack covers other lines.
MAX_MARKS = 4
# First a flag such as Scotland's, which is made of tags: elsewhere tags are never shown.
_FLAG_OR_UNSEEN = re.compile(
    "(\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)"
    "|["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U00016fe4\U0001bca0-\U0001bca3"
    "\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    "]"
)
# They join and part letters of Persian and of Indian languages, and the parts of an emoji. Between
# Latin letters they would only make two names that look equal.
_JOINERS = "\u200c\u200d"
_FIRST_JOINED = "\u0590"
_EMPTY_CELL = "\u2800"  # of Braille: a space
_NOT_SEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zs", "Zl", "Zp", "Mn", "Me"})
_MARKS = frozenset({"Mn", "Me"})
# Letters that look like those of the name which no living account has.
_LOOKALIKES = str.maketrans(
    "i1ı|\u04cf\u0456\u0435\u0451\u0501\u0442\u03c4\u03c5\u057d\u0455\u0433\u03b5",
    "lllllleedttuusre",
)


def without_unseen(text: str) -> str:
    """Return the text composed (NFC), with single spaces, without characters that nobody sees.

    Removed are format and filler characters and those that set the direction of reading, unless
    they belong to an emoji or to a letter of their script.
    """
    text = unicodedata.normalize("NFC", text).replace(_EMPTY_CELL, " ")
    if text.isascii():
        return " ".join(text.split())
    text = _FLAG_OR_UNSEEN.sub(lambda found: found[1] or "", text)
    kept: list[str] = []
    for position, character in enumerate(text):
        before = kept[-1] if kept else ""
        after = text[position + 1 : position + 2]
        if _belongs(character, before, after):
            kept.append(character)
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


def _belongs(character: str, before: str, after: str) -> bool:
    """Whether a joiner or a variation selector has something to join or to vary."""
    if character in _JOINERS:
        return all(
            side >= _FIRST_JOINED and not side.isspace() and side not in _JOINERS
            for side in (before, after)
        )
    if "\ufe00" <= character <= "\ufe0f":
        return before != "" and unicodedata.category(before) not in _NOT_SEEN
    if "\U000e0100" <= character <= "\U000e01ef":
        return before != "" and unicodedata.category(before) == "Lo"
    if "\u180b" <= character <= "\u180f":
        return "\u1820" <= before <= "\u18aa"
    return True


def has_something_to_see(text: str) -> bool:
    """Whether a glyph is drawn for any of the characters."""
    return any(unicodedata.category(character) not in _NOT_SEEN for character in text)


def longest_stack(text: str) -> int:
    """Return how many combining marks stand on one letter at most."""
    return max((height for _, height in _heights(text)), default=0)


def without_stacks(text: str) -> str:
    """Return the text with no more marks on a letter than a language has."""
    return "".join(character for character, height in _heights(text) if height <= MAX_MARKS)


def _heights(text: str) -> Iterator[tuple[str, int]]:
    """Yield each character, and how high it stands on its letter: 0 for all but marks."""
    height = 0
    for character in text:
        selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
        is_mark = unicodedata.category(character) in _MARKS and not selector
        height = height + 1 if is_mark else 0
        yield character, height


def has_noncharacter(text: str) -> bool:
    """Whether there is a code point that is no character by definition (Unicode §23.7)."""
    return any((ord(c) & 0xFFFE) == 0xFFFE or "\ufdd0" <= c <= "\ufdef" for c in text)


def is_reserved(name: str) -> bool:
    """Whether readers would take the name for the one that deleted accounts have."""
    return _skeleton(name) == _RESERVED


def _skeleton(name: str) -> str:
    """Return the name without case, width, accents, spaces and signs."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    folded = folded.translate(_LOOKALIKES)
    return "".join(c for c in folded if c.isalnum())


_RESERVED = _skeleton(DELETED_NAME)
