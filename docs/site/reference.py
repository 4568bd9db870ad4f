"""Prints the pages that nobody writes: the settings, and the GraphQL schema."""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_specified_scalar_type,
    print_ast,
)
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from settings import Rate, Settings

# The blocks of `.env.example`, by their first setting.
BLOCKS = {
    "ENV": "The server",
    "DATA_DIR": "Database",
    "REDIS_URL": "Redis",
    "JWT_SECRET": "Tokens, sessions and passwords",
    "CORS_ORIGINS": "Web pages, proxies and files",
    "LIMITS": "Rates and connections",
    "MAX_BODY_BYTES": "Sizes, and who may do what",
    "REQUEST_HEAD_SECONDS": "Times",
    "LOG_LEVEL": "The server's own log",
}
_SETTINGS = """\
# Settings

Settings are environment variables, or lines of a file `.env`; the environment wins. A size may be
written as `25MB`, a time as `7d`, a rate as `50/5seconds`, and a choice in capitals or not."""

_SCHEMA = """\
# GraphQL schema

Everything that `/graphql` serves, in the schema's own words. `!` means never null.
[The protocol](../protocol.md#graphql) says how to send it."""
_KINDS: dict[str, tuple[type[GraphQLNamedType], ...]] = {
    "Types": (GraphQLObjectType,),
    "Interfaces and unions": (GraphQLInterfaceType, GraphQLUnionType),
    "Inputs": (GraphQLInputObjectType,),
    "Enums": (GraphQLEnumType,),
    "Scalars": (GraphQLScalarType,),
}


def settings_page(example: str) -> str:
    """Return the page of all settings: their defaults, what they take, and why to change them."""
    lines = [_SETTINGS]
    for block in re.split(r"\n\n+", example.strip()):
        written = block.splitlines()
        first = written[1].partition("=")[0]
        title = BLOCKS.get(first, f"{first} and what goes with it")
        lines += ["", f"## {title}", "", "| setting | default | takes | why |", "|---|---|---|---|"]
        for why, line in zip(written[::2], written[1::2], strict=True):
            name, _, default = line.partition("=")
            takes = _takes(name, Settings.model_fields[name.lower()])
            cells = (_code(name), _code(default), takes, why.removeprefix("# "))
            lines.append(_row(*cells))
    return "\n".join([*lines, ""])


def _takes(name: str, field: FieldInfo) -> str:
    """Return what a setting takes, in a few words."""
    kind: Any = field.annotation
    if get_origin(kind) is UnionType:  # with None: what an empty setting means
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Literal:
        return ", ".join(_code(str(choice)) for choice in get_args(kind))
    if kind is SecretStr:
        return f"text; or name a file by {_code(name + '_FILE')}"
    words = {bool: "`on`, `off`", Rate: "a rate", int: "a whole number", float: "a number"}
    return words.get(kind, "a list" if get_origin(kind) is tuple else "text") + _bounds(field)


def _bounds(field: FieldInfo) -> str:
    found = {
        bound: value
        for item in field.metadata
        for bound in ("ge", "gt", "le")
        if (value := getattr(item, bound, None)) is not None
    }
    words = {"ge": "at least", "gt": "more than", "le": "at most"}
    return "".join(f", {words[bound]} {value:,}" for bound, value in found.items())


def schema_page(printed: str) -> str:
    """Return the page of the whole GraphQL schema."""
    schema = build_schema(printed)
    lines = [_SCHEMA]
    roots = {
        "Queries": schema.query_type,
        "Mutations": schema.mutation_type,
        "Subscriptions": schema.subscription_type,
    }
    for title, root in roots.items():
        lines += ["", f"## {title}"]
        for name, field in root.fields.items() if root else ():
            lines += [
                "",
                f"### {name} {{ #{title.lower()}-{name.lower()} }}",
                "",
                *_root_field(field),
            ]
    shown = [*_shown(schema, {root.name for root in roots.values() if root})]
    for title, kinds in _KINDS.items():
        lines += ["", f"## {title}"]
        for kind in shown:
            if isinstance(kind, kinds):
                lines += ["", f"### {kind.name} {{ #{_anchor(kind)} }}", "", *_type(kind, schema)]
    return "\n".join([*lines, ""])


def _shown(schema: GraphQLSchema, roots: set[str]) -> Iterator[GraphQLNamedType]:
    for name, kind in sorted(schema.type_map.items()):
        if name not in roots and not name.startswith("__") and not is_specified_scalar_type(kind):
            yield kind


def _root_field(field: GraphQLField) -> Iterator[str]:
    yield _description(field.description, field.deprecation_reason)
    yield ""
    yield f"Answers {_link(field.type)}."
    if field.args:
        yield from ("", "| argument | type | default | |", "|---|---|---|---|")
        for name, argument in field.args.items():
            about = _description(argument.description, argument.deprecation_reason)
            yield _row(_code(name), _link(argument.type), _code(_default(argument)), about)


def _type(kind: GraphQLNamedType, schema: GraphQLSchema) -> Iterator[str]:
    yield _description(kind.description)
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        if kind.interfaces:
            yield from ("", f"Implements {_links(kind.interfaces)}.")
        if isinstance(kind, GraphQLInterfaceType):
            yield from ("", f"Is one of {_links(schema.get_possible_types(kind))}.")
        yield from _fields(kind.fields)
    elif isinstance(kind, GraphQLInputObjectType):
        yield from _fields(kind.fields)
    elif isinstance(kind, GraphQLUnionType):
        yield from ("", f"Is one of {_links(kind.types)}.")
    elif isinstance(kind, GraphQLEnumType):
        yield from ("", "| value | |", "|---|---|")
        for name, value in kind.values.items():
            yield _row(_code(name), _description(value.description, value.deprecation_reason))


def _fields(fields: Mapping[str, GraphQLField | GraphQLInputField]) -> Iterator[str]:
    yield from ("", "| field | type | |", "|---|---|---|")
    for name, field in fields.items():
        about = _description(field.description, field.deprecation_reason)
        for argument, its in field.args.items() if isinstance(field, GraphQLField) else ():
            default = f" = {_default(its)}" if _default(its) else ""
            written = _code(f"{argument}: {its.type}{default}")
            about += f"<br>{written} {_description(its.description, its.deprecation_reason)}"
        yield _row(_code(name), _link(field.type), about)


def _default(argument: GraphQLArgument) -> str:
    written = argument.ast_node and argument.ast_node.default_value
    return print_ast(written) if written else ""


def _link(kind: object) -> str:
    named = get_named_type(kind)  # type: ignore[call-overload]  # of any field or argument
    written = _code(str(kind))
    return written if is_specified_scalar_type(named) else f"[{written}](#{_anchor(named)})"


def _links(kinds: Iterable[GraphQLNamedType]) -> str:
    return ", ".join(map(_link, kinds))


def _anchor(kind: GraphQLNamedType) -> str:
    return f"type-{kind.name.lower()}"


def _description(text: str | None, deprecation: str | None = None) -> str:
    """Return a description as one paragraph, in which only code is markup."""
    text = " ".join((text or "").split())
    if deprecation:
        text += f" **Deprecated**: {deprecation}"
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("[", "\\[") for part in parts[::2]]
    return "`".join(parts)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
