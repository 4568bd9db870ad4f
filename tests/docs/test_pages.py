"""What a page's links become on the site."""

from pathlib import Path

import pytest

from docs.site.pages import ROOT, for_the_site


@pytest.mark.parametrize(
    ("source", "written", "becomes"),
    [
        ("README.md", "docs/protocol.md#events", "protocol.md#events"),
        ("docs/protocol.md", "guides/README.md", "guides/index.md"),
        ("docs/guides/apollo.md", "../protocol.md", "../protocol.md"),
        ("docs/guides/README.md", "../../web/client/README.md", "parley-client.md"),
        ("docs/chat-page.md", "../web/client", "guides/parley-client.md"),
        ("web/client/README.md", "../../README.md", "../index.md"),
        ("docs/protocol.md", "../schema/schema.graphql", "reference/schema.md"),
        ("README.md", ".env.example", "reference/settings.md"),
        ("README.md", "docs/decisions/", "decisions/index.md"),
        ("docs/protocol.md", "openapi.json", "openapi.json"),
        ("docs/protocol.md", "#events", "#events"),
        ("README.md", "deploy/haproxy.cfg", "source/deploy/haproxy.cfg.txt"),
        ("docs/protocol.md", "../tests/docs", "source/tests/docs.txt"),
    ],
)
def test_a_link_leads_to_where_the_site_has_it(
    tmp_path: Path, source: str, written: str, becomes: str
) -> None:
    page = f"[here]({written}), and `[as it is]({written})`\n"
    assert for_the_site(source, page, tmp_path) == page.replace(written, becomes, 1)


def test_a_file_without_a_page_is_shown_as_text(tmp_path: Path) -> None:
    for_the_site("README.md", "[file](deploy/haproxy.cfg) [place](tests/docs)\n", tmp_path)
    shown = (tmp_path / "source/deploy/haproxy.cfg.txt").read_text()
    assert shown == (ROOT / "deploy/haproxy.cfg").read_text()
    assert "test_pages.py" in (tmp_path / "source/tests/docs.txt").read_text().splitlines()


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^docs/seams\.md: a link leads to docs/gone\.md"):
        for_the_site("docs/seams.md", "[gone](gone.md)\n", tmp_path)
