"""Where a text answers a question, and an excerpt of it with the hits marked.

The index only proposes messages. A message is shown when its text, as it is now, answers the
question by the rule here: so an edited or deleted text is never found.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from db.search.question import Phrase
from db.search.words import ARTICLE, Word, is_unspaced, spans_of, without_article, words_of

# An excerpt's length in characters, and how many of them stand before its first hit.
EXCERPT = 160
BEFORE = 40
# The most hits in an excerpt: it ends before another one.
MAX_HITS = 8
# What is marked, and what stands before, between and after.
MAX_PIECES = 2 * MAX_HITS + 1

_JOINED_TO_THE_LAST = re.compile("[\u0300-\u036f\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")


class Piece(NamedTuple):
    """A piece of an excerpt."""

    text: str
    is_hit: bool


def excerpt(text: str, question: Sequence[Phrase], *, typos: bool = False) -> list[Piece] | None:
    """Return the part of the text with the first hits; None where it does not answer."""
    hits = _find(words_of(text), question, typos=typos)
    if not hits:
        return None
    words = spans_of(text)
    return _cut(text, _merged((words[hit.first].start, _end_of(words, hit)) for hit in hits))


class _Hit(NamedTuple):
    first: int  # its first word
    last: int
    half: bool  # of the last word, which is two characters, only the first


def _end_of(words: Sequence[Word], hit: _Hit) -> int:
    return words[hit.last + 1].start if hit.half else words[hit.last].end


def _find(words: Sequence[str], question: Sequence[Phrase], *, typos: bool) -> list[_Hit]:
    """Return the hits; none where a phrase is missing."""
    text = f" {' '.join(words)} "
    starts = [*accumulate((len(word) + 1 for word in words), initial=0)]
    hits: set[_Hit] = set()
    for phrase in question:
        found = [found.span() for found in _pattern(phrase).finditer(text)]
        if not found and typos and phrase.may_have_typo:
            found = [*_with_typos(phrase, words, starts)]
        if not found:
            return []
        character = phrase.begins and is_unspaced(phrase.words[-1])
        for start, end in found:
            first, last = bisect_right(starts, start) - 1, bisect_right(starts, end - 1) - 1
            hits.add(_Hit(first, last, half=character and len(words[last]) == 2))
    return sorted(hits)


@lru_cache(1024)
def _pattern(phrase: Phrase) -> re.Pattern[str]:
    """Return what finds the phrase in words with spaces around them."""
    written = " ".join(map(re.escape, phrase.words))
    if len(phrase.words) == 1 and "\u0600" <= phrase.words[0][0] <= "\u06ff":
        written = f"{ARTICLE}?{re.escape(without_article(phrase.words[0]))}"
    return re.compile(f" {written}{'[^ ]*' if phrase.begins else ''}(?= )")


def _with_typos(
    phrase: Phrase, words: Sequence[str], starts: Sequence[int]
) -> Iterable[tuple[int, int]]:
    meant, most = phrase.words[0], phrase.typos
    near = {word for word in {*words} if are_near(word, meant, most)}
    for place, word in enumerate(words):
        if word in near:
            yield starts[place], starts[place] + 1 + len(word)


def are_near(one: str, other: str, most: int) -> bool:
    """Whether at most so many letters are wrong, missing, too many or swapped with the next."""
    # Each mistake changes at most two of the letters that there are.
    if abs(len(one) - len(other)) > most or len({*one} ^ {*other}) > 2 * most:
        return False
    before: list[int] = []
    row: list[int] = [*range(len(other) + 1)]
    for i, letter in enumerate(one):
        new = [i + 1]
        for j, wanted in enumerate(other):
            cost = min(row[j] + (letter != wanted), row[j + 1] + 1, new[j] + 1)
            if i and j and letter == other[j - 1] and one[i - 1] == wanted:
                cost = min(cost, before[j - 1] + 1)
            new.append(cost)
        if min(new) > most:
            return False
        before, row = row, new
    return bool(row[-1] <= most)


def _merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join hits that touch or overlap, as those of Chinese do."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _cut(text: str, hits: Sequence[tuple[int, int]]) -> list[Piece]:
    start = _start(text, hits[0][0])
    end = _end(text, max(start + EXCERPT, hits[0][1]))
    shown = [hit for hit in hits if hit[1] <= end]
    if len(shown) > MAX_HITS:
        end = shown[MAX_HITS][0]
    elif len(shown) < len(hits):
        end = min(end, hits[len(shown)][0])  # rather than half of a hit
    pieces: list[Piece] = []
    place, dots = start, "…" if start else ""
    for hit_start, hit_end in shown[:MAX_HITS]:
        if dots or hit_start > place:
            pieces.append(Piece(dots + text[place:hit_start], is_hit=False))
        pieces.append(Piece(text[hit_start:hit_end], is_hit=True))
        place, dots = hit_end, ""
    if place < end or end < len(text):
        pieces.append(Piece(text[place:end] + "…" * (end < len(text)), is_hit=False))
    return pieces


def _start(text: str, hit: int) -> int:
    """Return where an excerpt begins: at a word, a little before its first hit."""
    if hit <= BEFORE:
        return 0
    earliest = hit - BEFORE
    space = max(text.rfind(" ", earliest, hit - 1), text.rfind("\n", earliest, hit - 1))
    if space < 0 or is_unspaced(text[earliest]):
        return _whole(text, earliest)
    first = text.find(" ", earliest, hit)
    return first + 1 if first >= 0 else space + 1


def _end(text: str, end: int) -> int:
    if end >= len(text):
        return len(text)
    space = text.rfind(" ", end - BEFORE, end)
    return _whole(text, end) if space < 0 or is_unspaced(text[end]) else space


def _whole(text: str, place: int) -> int:
    """Return this place, or the next one that is not within a character as people see it."""
    while place < len(text) and (
        _JOINED_TO_THE_LAST.match(text[place]) or text[place - 1] == "\u200d"
    ):
        place += 1
    return place
