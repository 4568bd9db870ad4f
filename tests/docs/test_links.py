"""Every link of the documents leads to a file, and to a heading, that exists."""

from pathlib import Path

import pytest

from docs.site.markdown import anchors_of, blocks_apart, links_of

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "web/client/README.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)


def _broken(page: Path) -> list[str]:
    """The links of the page that lead nowhere."""
    broken = []
    for link in links_of(page.read_text()):
        named = (page.parent / link.path) if link.path else page
        if not named.exists() or (
            link.anchor
            and named.suffix == ".md"
            and link.anchor not in anchors_of(named.read_text())
        ):
            broken.append(link.target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_what_is_there(page: Path) -> None:
    assert _broken(page) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# Other\n\n## Sent `once`, twice\n\n## Same\n\n## Same\n")
    right = (
        "[a](other.md) [b](other.md#sent-once-twice) [c](#here) ![d](other.md 'no title')\n"
        '[e](other.md#same-1 "A title") [f](https://example.com/#x) [`g`](other.md)\n'
        "`[h](gone.md)`\n\n```md\n[i](gone.md)\n# Not here\n```\n\n# Here\n"
    )
    page.write_text(right)
    assert _broken(page) == []
    page.write_text(
        f"{right}[1](gone.md) ![2](gone.png) [3](other.md#gone) [4](#not-here)\n"
        '[5](gone.txt "A title") <img src="gone.svg">\n\n[6]: gone.html\n'
    )
    assert sorted(_broken(page)) == sorted(
        ["gone.md", "gone.png", "other.md#gone", "#not-here", "gone.txt", "gone.svg", "gone.html"]
    )


def test_a_list_is_set_apart_from_the_text_before_it() -> None:
    page = "Two:\n- one\n- two\n  goes on\n- three\n\n```\ntext\n- code\n```\n\n1. one\n2. two\n"
    assert blocks_apart(page) == page.replace("Two:\n", "Two:\n\n")
