"""Lays the pages out for the site generator: where each file goes, and what its links become."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from docs.site.markdown import blocks_apart, links_of, title_of
from docs.site.reference import schema_page, settings_page

ROOT = Path(__file__).parent.parent.parent
CONFIG = Path(__file__).parent / "zensical.toml"
STYLE = Path(__file__).parent / "site.css"
SCHEMA = "schema/schema.graphql"
SETTINGS = ".env.example"
DECISIONS = "docs/decisions"

# Pages that are elsewhere than their files, and files of which a page is printed.
ELSEWHERE = {
    "README.md": "index.md",
    "docs/README.md": "documents.md",
    "CHANGELOG.md": "changelog.md",
    "web/client/README.md": "guides/parley-client.md",
    SCHEMA: "reference/schema.md",
    SETTINGS: "reference/settings.md",
}
PRINTED = {SCHEMA, SETTINGS}
REFERENCE = """\
# Reference

Each of these is made from the code.

- [GraphQL schema](schema.md): every operation and type; [for machines](schema.graphql)
- [Settings](settings.md): every environment variable
- REST for machines: [openapi.json](../openapi.json), OpenAPI 3.1
- Socket.IO for machines: [asyncapi.yaml](../asyncapi.yaml), AsyncAPI 3
"""

# What the menu shows, in this order. A `*` takes the pages that have no place of their own.
MENU = {
    "Start": ["index.md", "concepts.md", "documents.md", "chat-page.md"],
    "Guides": ["guides/index.md", "guides/parley-client.md", "guides/*.md"],
    "Protocol": ["protocol.md"],
    "Reference": ["reference/index.md", "reference/*.md"],
    "Operate": [
        "operate/index.md",
        "operate/*.md",
        "moving-in.md",
        "reliability.md",
        "security.md",
        "performance.md",
        "changelog.md",
        "*.md",
    ],
    "Develop": ["adding-an-operation.md", "seams.md"],
    "Decisions": ["decisions/index.md", "decisions/*.md"],
}


def lay_out(place: Path) -> None:
    """Put every page, and the generator's configuration, into the directory."""
    pages = place / "pages"
    for source, page in sorted(_sources().items()):
        path = pages / page
        path.parent.mkdir(parents=True, exist_ok=True)
        if source in PRINTED:
            continue
        if source.endswith(".md"):
            path.write_text(for_the_site(source, (ROOT / source).read_text(), pages))
        else:
            shutil.copyfile(ROOT / source, path)
    (pages / ELSEWHERE[SCHEMA]).write_text(schema_page((ROOT / SCHEMA).read_text()))
    shutil.copyfile(ROOT / SCHEMA, pages / "reference/schema.graphql")
    (pages / ELSEWHERE[SETTINGS]).write_text(settings_page((ROOT / SETTINGS).read_text()))
    (pages / "decisions/index.md").write_text(_decisions_page())
    (pages / "reference/index.md").write_text(REFERENCE)
    shutil.copyfile(STYLE, pages / STYLE.name)
    (place / CONFIG.name).write_text(_configuration(pages))


def _sources() -> dict[str, str]:
    """Return where on the site each file is that has a place there."""
    sources = dict(ELSEWHERE)
    for path in (ROOT / "docs").rglob("*"):
        source = path.relative_to(ROOT)
        if path.is_file() and source.parts[1] != "site" and path.suffix not in {".py", ".pyc"}:
            page = PurePosixPath(*source.parts[1:])
            named = page.with_stem("index") if page.stem == "README" else page
            sources.setdefault(str(source), str(named))
    return sources


def for_the_site(source: str, page: str, pages: Path) -> str:
    """Return the page of a file, with links that lead to where the site has what they name.

    What has no place there yet gets one in `pages`. A link that leads nowhere ends the process.
    """
    parts, done = [], 0
    here = PurePosixPath(_sources()[source]).parent
    for link in links_of(page):
        if not link.path:
            continue
        named = os.path.normpath(PurePosixPath(source).parent / unquote(link.path))
        if not (ROOT / named).exists():
            raise SystemExit(f"{source}: a link leads to {named}, which does not exist")
        target = os.path.relpath(_on_the_site(named, pages), here)
        anchor = f"#{link.anchor}" if link.anchor else ""
        parts += [page[done : link.start], target, anchor]
        done = link.end
    return blocks_apart("".join([*parts, page[done:]]))


def _on_the_site(named: str, pages: Path) -> str:
    """Return where the site has a file or directory; what has no place becomes plain text."""
    sources = _sources()
    if named in sources:
        return sources[named]
    if named == DECISIONS:
        return "decisions/index.md"
    if (page := sources.get(f"{named}/README.md")) is not None:
        return page
    shown = f"source/{named}.txt"
    (pages / shown).parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / named).is_dir():
        (pages / shown).write_text(
            "\n".join(sorted(path.name for path in (ROOT / named).iterdir()))
        )
    else:
        shutil.copyfile(ROOT / named, pages / shown)
    return shown


def _decisions_page() -> str:
    listed = [
        f"- [{title_of(path.read_text())}]({path.name})"
        for path in sorted((ROOT / DECISIONS).glob("*.md"))
    ]
    first = ["# Decisions", "", "One page for each choice that is hard to reverse.", ""]
    return "\n".join([*first, *listed, ""])


def _configuration(pages: Path) -> str:
    # A section of one page is that page.
    menu = [
        f"{{ {json.dumps(title)} = {json.dumps(its if its[1:] else its[0])} }}"
        for title, its in _menu(pages)
    ]
    return CONFIG.read_text().replace("nav = []", f"nav = [{', '.join(menu)}]")


def _menu(pages: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the menu; every page is in it."""
    placed = {name for names in MENU.values() for name in names}
    for title, names in MENU.items():
        shown: list[str] = []
        for name in names:
            found = sorted(str(path.relative_to(pages)) for path in pages.glob(name))
            shown += found if "*" not in name else [page for page in found if page not in placed]
        yield title, shown
