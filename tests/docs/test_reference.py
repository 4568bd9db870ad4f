"""The printed pages show every setting and the whole GraphQL schema."""

import re

import pytest
from graphql import build_schema, is_object_type

from docs.site.pages import ROOT, SCHEMA, SETTINGS
from docs.site.reference import BLOCKS, schema_page, settings_page
from settings import Settings

PRINTED = (ROOT / SCHEMA).read_text()
EXAMPLE = (ROOT / SETTINGS).read_text()


def test_every_setting_has_a_row() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \| (.*?) \|$", settings_page(EXAMPLE), re.M
    )
    assert [name.lower() for name, *_ in rows] == [*Settings.model_fields]
    assert [name for name, _, takes, why in rows if not (takes and why)] == []


@pytest.mark.parametrize(
    ("name", "default", "takes"),
    [
        ("PORT", "`3000`", "a whole number, at least 0, at most 65,535"),
        ("LIMITS", "`on`", "`on`, `off`"),
        ("CHAT_PAGE", "", "`on`, `off`"),
        ("BROADCAST", "`everyone`", "`everyone`, `admins`, `off`"),
        ("SENDS_PER_USER", "`50/5seconds`", "a rate"),
        ("CORS_ORIGINS", "`*`", "a list"),
        ("JWT_SECRET", "", "text; or name a file by `JWT_SECRET_FILE`"),
        ("PING_INTERVAL_SECONDS", "`15`", "a number, more than 0"),
    ],
)
def test_a_setting_says_what_it_takes(name: str, default: str, takes: str) -> None:
    assert f"| `{name}` | {default} | {takes} |" in settings_page(EXAMPLE)


def test_every_block_of_settings_has_its_name() -> None:
    firsts = re.findall(r"(?:\A|\n\n)#[^\n]*\n([A-Z_]+)=", EXAMPLE)
    assert [first for first in BLOCKS if first not in firsts] == []


def test_every_part_of_the_schema_is_shown() -> None:
    page, schema = schema_page(PRINTED), build_schema(PRINTED)
    roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
    for kind in schema.type_map.values():
        if kind in roots and is_object_type(kind):
            shown = {name for name in kind.fields if f"\n### {name} {{ #" in page}
            assert shown == kind.fields.keys()
        elif f"type-{kind.name.lower()} }}" in page:
            section = page.partition(f"#type-{kind.name.lower()} }}\n")[2].partition("\n### ")[0]
            assert (kind.description or "").split("\n")[0].split(" ")[0] in section
            for part in [*getattr(kind, "fields", ()), *getattr(kind, "values", ())]:
                assert f"| `{part}` |" in section
        else:
            assert kind.name in {"String", "Int", "Float", "Boolean", "ID"} or kind.name[:2] == "__"


def test_what_a_description_says_is_no_markup() -> None:
    page = schema_page(
        '"""Text <b> [x] `a<b`, one\n\ntwo."""\n'
        "type Query {\n"
        '  """A | B."""\n'
        '  f(a: Int = 3, """Which."""\n b: [ID!]): Thing @deprecated(reason: "Use g.")\n}\n'
        '"""A <thing>."""\ntype Thing { x(n: Int = 5): Int! }\n'
    )
    assert "A | B. **Deprecated**: Use g." in page
    assert "| `a` | `Int` | `3` |  |\n| `b` | `[ID!]` |  | Which. |" in page
    assert "Answers [`Thing`](#type-thing)." in page
    assert "A &lt;thing>." in page
    assert "| `x` | `Int!` | <br>`n: Int = 5`  |" in page
