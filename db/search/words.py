"""The words of a text, in any script, in the one form in which they are compared.

Letters lose their case, their accents and other signs that people leave out (`É` is `e`, `أ` is
`ا`). Scripts without spaces between words (Chinese, Japanese, Thai, and Korean, whose words have
endings) give every two neighbouring characters as a word, and the last character of a run alone.
So each character begins one word, and any piece of such a text is found as words in a row. An
emoji is a word.

The index keeps what `index_form` returns. `spans_of` finds the same words with their places.
"""

import re
import unicodedata
from typing import NamedTuple

# A table of more code points than any text of people has would only fill the memory.
MAX_FOLDS = 20_000
# So many signs on a character belong to its place: to look at all for each takes their square.
MAX_SIGNS = 32

# Signs above and below letters, in ranges. Marks of other scripts are vowels, and stay.
_SIGNS = (
    *((0x0300, 0x036F), (0x0483, 0x0487), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF)),  # Latin, Cyrillic
    *((0x20D0, 0x20FF), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F)),  # of symbols and emoji
    *((0x0591, 0x05BD), (0x05BF, 0x05BF), (0x05C1, 0x05C2), (0x05C4, 0x05C5), (0x05C7, 0x05C7)),
    *((0x0610, 0x061A), (0x0640, 0x0640), (0x064B, 0x065F), (0x0670, 0x0670)),  # Arabic
    *((0x06D6, 0x06DC), (0x06DF, 0x06E8), (0x06EA, 0x06ED), (0x08D3, 0x08FF)),
    *((0x093C, 0x093C), (0x09BC, 0x09BC), (0x0A3C, 0x0A3C)),  # nukta
    (0x1F3FB, 0x1F3FF),  # skin tones
)
# Letters that Unicode does not take apart, as people type them on other keyboards.
_LETTERS = {
    **dict(zip("ıøđðłħŧŋ", "ioddlhtn", strict=True)),
    **dict(zip("ىیةہھٱک", "ييهههاك", strict=True)),
    "þ": "th",
    "æ": "ae",
    "œ": "oe",
}
# Newer emoji than this Python knows.
_EMOJI = range(0x1F000, 0x1FB00)

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u312f\u31a0-\u31ff"  # kana, bopomofo
    "\u3400-\u4dbf\u4e00-\ua48f\uac00-\ud7a3"  # Han, Yi, Hangul
    "\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD_OR_RUN = re.compile(f"[{_UNSPACED}]+|[^\\s{_UNSPACED}]+")
_ASCII_WORD = re.compile("[a-z0-9]+")
# What is written in pieces: Korean letters of one syllable, and kana with a voice mark. Each match
# is composed alone: to compose a whole text takes the square of its length.
_IN_PIECES = re.compile(
    "[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?|[\u3046-\u30fd][\u3099\u309a]"
)
# The Arabic article, with the words that are written together with it.
ARTICLE = "(?:[وبكف]?ال|لل)"
_WITH_ARTICLE = re.compile(f"(?<!\\S){ARTICLE}(\\S{{3,}})")


class Word(NamedTuple):
    """A word, and where in the text it stands."""

    text: str
    start: int
    end: int


class _Folds(dict[int, str]):
    """What becomes of each character, by its code point; worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        folded = "".join(map(_part, _folded_character(chr(code))))
        if len(self) < MAX_FOLDS:
            self[code] = folded
        return folded


def _folded_character(character: str) -> str:
    """Return the character without case and signs: nothing, one letter, or a few."""
    if _is_sign(character):
        return ""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    plain = "".join(_LETTERS.get(c, c) for c in apart if not _is_sign(c))
    return unicodedata.normalize("NFC", plain)


def _is_sign(character: str) -> bool:
    code = ord(character)
    return unicodedata.category(character) == "Cf" or any(
        first <= code <= last for first, last in _SIGNS
    )


def _part(character: str) -> str:
    """Return the character as a part of a word, as a word of its own, or as a space."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category[0] in "LNM":
        return character
    if category == "So" or (category == "Cn" and ord(character) in _EMOJI):
        return f" {character} "
    return " "


_FOLDS = _Folds()
_ASCII = {code: _FOLDS[code] for code in range(128)}


def index_form(text: str) -> tuple[str, str]:
    """Return the text's words, with a space between each two, and the parts of words.

    A part has no place in the order of words: one character of a script without spaces, or an
    Arabic word without the article.
    """
    if text.isascii():
        return text.translate(_ASCII), ""
    folded = _composed(text.translate(_FOLDS))
    parts: list[str] = []
    if _RUN.search(folded):
        parts += dict.fromkeys("".join(_RUN.findall(folded)))
        folded = _RUN.sub(_pairs, folded)
    if "ال" in folded or "لل" in folded:
        parts += _WITH_ARTICLE.findall(folded)
    return folded, " ".join(parts)


def words_of(text: str) -> list[str]:
    """Return the text's words, in order."""
    return index_form(text)[0].split()


def spans_of(text: str) -> list[Word]:
    """Return the words of `words_of` with their places in the text."""
    if text.isascii():
        return [Word(found[0], *found.span()) for found in _ASCII_WORD.finditer(text.lower())]
    folded, origin = _folded_with_origin(text)
    words: list[Word] = []
    for found in _WORD_OR_RUN.finditer(folded):
        start, end = found.span()
        is_run = _RUN.match(found[0]) is not None
        for first in range(start, end) if is_run else (start,):
            last = min(first + 2, end) if is_run else end
            place = origin[first], _end_of(text, origin[last - 1])
            words.append(Word(folded[first:last], *place))
    return words


def is_unspaced(character: str) -> bool:
    """Whether the character is of a script without spaces between words."""
    return _RUN.match(character) is not None


def without_article(word: str) -> str:
    """Return the Arabic word without its article; every other word as it is."""
    found = _WITH_ARTICLE.fullmatch(word)
    return found[1] if found else word


def _pairs(run: re.Match[str]) -> str:
    text = run[0]
    return f" {' '.join(map(str.__add__, text, text[1:]))} {text[-1]} "


def _composed(folded: str) -> str:
    if not _IN_PIECES.search(folded):
        return folded
    return _IN_PIECES.sub(lambda found: unicodedata.normalize("NFC", found[0]), folded)


def _folded_with_origin(text: str) -> tuple[str, list[int]]:
    """Return the folded text, and for each of its characters the place that it comes from."""
    pieces: list[str] = []
    origin: list[int] = []
    for place, character in enumerate(text):
        if folded := _FOLDS[ord(character)]:
            pieces.append(folded)
            origin += [place] * len(folded)
    folded = "".join(pieces)
    if not _IN_PIECES.search(folded):
        return folded, origin
    composed: list[str] = []
    places: list[int] = []
    end = 0
    for found in _IN_PIECES.finditer(folded):
        one = unicodedata.normalize("NFC", found[0])
        composed += folded[end : found.start()], one
        places += origin[end : found.start()]
        # The first character of the piece stays where it began; the others end it.
        places += [origin[found.start()]] * (len(one) - 1)
        places.append(origin[found.end() - 1] if len(one) > 1 else origin[found.start()])
        end = found.end()
    composed.append(folded[end:])
    return "".join(composed), places + origin[end:]


def _end_of(text: str, last: int) -> int:
    """Return where the word ends that has its last character here: past the signs on it."""
    end, most = last + 1, min(last + MAX_SIGNS, len(text))
    while end < most and (_is_piece(text, end) or not _FOLDS[ord(text[end])]):
        end += 1
    return end


def _is_piece(text: str, place: int) -> bool:
    """Whether the character here is only a piece of the syllable before it."""
    return "\u1161" <= text[place] <= "\u11c2" or text[place] in "\u3099\u309a\uff9e\uff9f"
