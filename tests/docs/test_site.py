"""The site as it is built: whole, strict about its links, and loading nothing from elsewhere."""

import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from docs.site.__main__ import built
from docs.site.pages import CONFIG, ROOT, lay_out
from tests.support.chromium import run_page

# What a browser loads by itself when it shows a page.
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
}
LOADING_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect"}
FOREIGN = re.compile(r"(?:https?:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a page loads, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag in LOADED:
            self.loads.append(found.get(LOADED[tag], ""))
        elif tag == "link" and LOADING_LINKS & {*found.get("rel", "").split()}:
            self.loads.append(found.get("href", ""))
        elif tag == "a":
            self.links.append(found.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "docs.site", str(place)], cwd=ROOT, check=True)
    return place / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {
        str(path.relative_to(site)): Page(path.read_text()) for path in sorted(site.rglob("*.html"))
    }


def test_a_page_loads_nothing_from_elsewhere(pages: dict[str, Page]) -> None:
    loads = {url for page in pages.values() for url in page.loads if url}
    assert any(url.endswith(".js") for url in loads)  # else this test sees nothing
    assert any(url.endswith(".css") for url in loads)
    assert [url for url in loads if FOREIGN.match(url)] == []


def test_no_style_loads_anything_from_elsewhere(site: Path) -> None:
    styles = [*site.rglob("*.css"), *site.rglob("*.html"), *site.rglob("*.svg")]
    loads = r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]*)"
    assert [url for path in styles for url in re.findall(loads, path.read_text())] == []


def test_nothing_makes_the_script_load_what_it_takes_from_a_cdn(site: Path) -> None:
    # The generator's script loads Mermaid, an editor and more for pages with such an element.
    for path in site.rglob("*.html"):
        assert not re.search(r'class="[^"]*\b(?:mermaid|glightbox|md-exec)\b', path.read_text())


def test_every_page_can_be_reached_from_the_first_one(pages: dict[str, Page], site: Path) -> None:
    reached, waiting = {"index.html"}, ["index.html"]
    while waiting:
        here = waiting.pop()
        for url in pages[here].links:
            path = url.partition("#")[0]
            if not path or FOREIGN.match(path) or ":" in path:
                continue
            name = str((site / here).parent.joinpath(path).resolve().relative_to(site.resolve()))
            assert (site / name).exists(), f"{here}: {url}"
            if name in pages and name not in reached:
                reached.add(name)
                waiting.append(name)
    assert reached == pages.keys() - {"404.html"}


def test_the_menu_shows_every_page(pages: dict[str, Page], site: Path) -> None:
    link = r'<a href="(?:\./)?([^"#]+\.html)" class="md-nav__link'
    menu = {*re.findall(link, (site / "index.html").read_text())}
    assert menu == pages.keys() - {"404.html"}


def test_a_list_or_table_is_never_part_of_a_paragraph(site: Path) -> None:
    for path in site.rglob("*.html"):
        swallowed = re.findall(
            r"<p>(?:(?!</p>).)*\n(?:[-*] |\d+\. |\|).*", path.read_text(), re.DOTALL
        )
        assert swallowed == [], path


class Files(SimpleHTTPRequestHandler):
    """Serves a directory, without a word."""

    def log_message(self, format: str, *args: object) -> None:
        pass


async def test_a_browser_shows_it_and_asks_nobody_else(site: Path) -> None:
    handler = partial(Files, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            await run_page("site.mjs", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("broken", ["nowhere.md", "security.md#nowhere", "#nowhere"])
def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path, broken: str) -> None:
    lay_out(tmp_path)
    page = tmp_path / "pages" / "chat-page.md"
    assert CONFIG.name in {path.name for path in tmp_path.iterdir()}
    page.write_text(f"{page.read_text()}\n[here]({broken})\n")
    assert not built(tmp_path)
