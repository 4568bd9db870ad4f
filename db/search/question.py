"""What somebody searches for, read from what they typed."""

import re
from typing import NamedTuple

from db.search.words import is_unspaced, words_of

# Beyond, a question takes longer than anybody's who looks for a message.
MAX_PHRASES = 32
# One letter begins half of all words.
SHORTEST_BEGINNING = 2
# Numbers begin alike more often than words do.
SHORTEST_NUMBER = 3

_QUOTED = re.compile('"([^"]*)"|“([^”“]*)”|„([^“”„]*)[“”]|«([^»«]*)»|「([^」「]*)」|『([^』『]*)』')


class TooManyWords(ValueError):
    """There are more different words than a question may have."""


class Phrase(NamedTuple):
    """Words that stand in a row. With `begins`, the last one may go on."""

    words: tuple[str, ...]
    begins: bool = False

    @property
    def may_have_typo(self) -> bool:
        """Whether it is one word of letters that is long enough to be mistyped."""
        return self.begins and self.typos > 0

    @property
    def typos(self) -> int:
        """How many letters may be wrong."""
        [*others, word] = self.words
        if others or is_unspaced(word) or any(map(str.isdigit, word)):
            return 0
        return 2 if len(word) >= 9 else int(len(word) >= 5)


def read_question(text: str) -> tuple[Phrase, ...]:
    """Return the phrases that a message must have, all of them, in any order.

    Each word finds the words that begin with it. Between quotation marks, whole words are found in
    this order. What has no letter, no digit and no emoji finds nothing. Raises TooManyWords.
    """
    phrases: dict[Phrase, None] = {}
    end = 0
    for quoted in _QUOTED.finditer(text):
        phrases |= dict.fromkeys(_loose(text[end : quoted.start()]))
        inside = next(group for group in quoted.groups() if group is not None)
        phrases |= dict.fromkeys(_phrase(inside, loose=False))
        end = quoted.end()
    phrases |= dict.fromkeys(_loose(text[end:]))
    if len(phrases) > MAX_PHRASES:
        raise TooManyWords
    return tuple(phrases)


def _loose(text: str) -> list[Phrase]:
    return [phrase for chunk in text.split() for phrase in _phrase(chunk, loose=True)]


def _phrase(text: str, *, loose: bool) -> list[Phrase]:
    """Return the text's phrase: none where it has no word."""
    words = words_of(text)
    if not words:
        return []
    last = words[-1]
    if is_unspaced(last):
        if len(last) == 1 and len(words) > 1 and len(words[-2]) == 2 and is_unspaced(words[-2]):
            words.pop()  # the end of a run: the message's run may go on
            return [Phrase(tuple(words))]
        return [Phrase(tuple(words), begins=len(last) == 1)]
    shortest = SHORTEST_NUMBER if last.isdigit() else SHORTEST_BEGINNING
    return [Phrase(tuple(words), begins=loose and last[0].isalnum() and len(last) >= shortest)]
