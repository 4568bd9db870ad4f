"""What the links of a Markdown page are, and which anchors its headings make."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(r"^ *(```+|~~~+)[^\n]*\n.*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n\n).)+?(?<!`)\1(?!`)", re.DOTALL)
# [text](target), ![text](target "title"), [name]: target and src="target".
_TARGET = re.compile(
    r"\]\((?P<inline>[^()\s]+(?:\([^()\s]*\)[^()\s]*)*)(?: +\"[^\"]*\")?\)"
    r"|^ {0,3}\[[^\]\n]+\]: +(?P<defined>\S+)"
    r"|\b(?:src|href)=\"(?P<html>[^\"]+)\"",
    re.MULTILINE,
)
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?)(?: +#+)?$", re.MULTILINE)
# Text at the margin, and right behind it a list: code hosts see one there, the generator does not.
_LIST_AT_ONCE = re.compile(r"^(?!(?:[-*+]|\d+\.) |[|#>])\S.*\n(?=(?:[-*+]|\d+\.) )", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


class Link(NamedTuple):
    """A link's target, and where in the page it stands."""

    target: str
    start: int
    end: int

    @property
    def path(self) -> str:
        """The file that it names; "" is the page itself."""
        return self.target.partition("#")[0]

    @property
    def anchor(self) -> str:
        """The heading that it names in that file; "" is none."""
        return self.target.partition("#")[2]


def links_of(page: str) -> Iterator[Link]:
    """Yield the links to our own files and headings; what is shown as code has none."""
    for found in _TARGET.finditer(_without_code(page)):
        kind = found.lastgroup or ""
        start, end = found.span(kind)
        target = page[start:end]
        if not _ELSEWHERE.match(target):
            yield Link(target, start, end)


def anchors_of(page: str) -> set[str]:
    """Return the anchors of a page's headings, as code hosts and our site make them."""
    anchors: set[str] = set()
    for heading in _HEADING.finditer(_FENCE.sub(_blank, page)):
        anchor = slug = _slug(heading["text"])
        number = 0
        while anchor in anchors:
            number += 1
            anchor = f"{slug}-{number}"
        anchors.add(anchor)
    return anchors


def blocks_apart(page: str) -> str:
    """Return the page with an empty line between a paragraph and the list that follows it."""
    shown = _FENCE.sub(_blank, page)
    for found in reversed([*_LIST_AT_ONCE.finditer(shown)]):
        page = f"{page[: found.end()]}\n{page[found.end() :]}"
    return page


def title_of(page: str) -> str:
    """Return the first heading, without its marks."""
    heading = _HEADING.search(page)
    if heading is None:
        raise ValueError("a page begins with a heading")
    return _plain(heading["text"])


def _plain(heading: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]*\)|[`*]", lambda found: found[1] or "", heading).strip()


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", _plain(heading).lower()).replace(" ", "-")


def _without_code(page: str) -> str:
    """Return the page with blanks in place of its code, each character at its place."""
    return _CODE.sub(_blank, _FENCE.sub(_blank, page))


def _blank(code: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", code[0])
