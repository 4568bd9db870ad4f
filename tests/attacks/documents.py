"""GraphQL documents by the grammar of our schema, with values that do not suit it."""

import json
from pathlib import Path
from random import Random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    build_schema,
    get_named_type,
)

from tests.attacks import hostile

SDL = Path(__file__).resolve().parents[2] / "schema" / "schema.graphql"
SCHEMA = build_schema(SDL.read_text())
DEPTH = 5
ROOTS = {
    "query": SCHEMA.query_type,
    "mutation": SCHEMA.mutation_type,
    "subscription": SCHEMA.subscription_type,
}
DIRECTIVES = ("", "", "", "", " @include(if: true)", " @skip(if: false)", " @nobody", " @defer")
# After one of these the attacker would be nobody: test_ended_tokens.py has them.
ENDS_ITSELF = {"logout", "logoutEverywhere", "revokeSession"}
BROKEN = (
    "",
    " ",
    "{",
    "}",
    "{}",
    "query",
    "query {",
    "{me}",
    "{ me { id ",
    "{ nothing }",
    "# only a comment",
    "fragment F on User { id }",
    "{ ...F } fragment F on User { ...F }",
    "query A { me { id } } query B { me { id } }",
    "query A { me { id } } query A { me { id } }",
    "type Query { a: Int }",
    '{ user(id: """block""") { id } }',
    "{ user(id: $id) { id } }",
    "query($id: ID!) { user(id: $id) { id } }",
    "query($id: [ID!]! = [1]) { user(id: $id) { id } }",
    "query($i: Upload!) { me { id } }",
    "{ __schema { types { fields { type { ofType { name } } } } } }",
    '{ __type(name: "User") { fields { name } } }',
    "{ __typename @include(if: $x) }",
    "\ufeff{ me { id } }",
    "{ me { id } }\0",
    "{" * 500,
    "{ me { id " + "x: id " * 400 + "} }",
    "{ " + " ".join(f"a{i}: me {{ id }}" for i in range(150)) + " }",
    "query(" + " ".join(f"$v{i}: Int" for i in range(300)) + ") { me { id } }",
    "{ user(id: " + "[" * 600 + "]" * 600 + ") { id } }",
    "{ messages(last: 99999999999999999999) { nodes { id } } }",
    "subscription { messageAdded { id } presence { online } }",
    'mutation { revokeSession(id: "x") }',
    "mutation($id: ID!) { revokeSession(id: $id) { id } }",
    "subscription { a: presence { online } b: presence { online } }",
)


def request(rng: Random) -> dict[str, Any]:
    """Return the parameters of a GraphQL request, of which any may be wrong."""
    query, variables = document(rng)
    said: dict[str, Any] = {"query": query}
    if variables or rng.random() < 0.2:
        said["variables"] = variables
    for name in ("query", "variables", "operationName", "extensions"):
        if rng.random() < 0.03:
            said[name] = hostile.value(rng)
    return said


def document(rng: Random) -> tuple[str, dict[str, Any]]:
    """Return a document and its variables."""
    if rng.random() < 0.1:
        return rng.choice(BROKEN), {"id": hostile.value(rng)}
    kind = rng.choice(("query", "query", "query", "mutation", "mutation", "subscription"))
    root = ROOTS[kind]
    assert root is not None
    writer = _Writer(rng)
    body = writer.selection(root, DEPTH, rng.choice((1, 1, 2, 4)) if kind != "subscription" else 1)
    head = kind + rng.choice(("", " A"))
    if writer.declared:
        head += f"({', '.join(writer.declared)})"
    query = f"{head} {body}{' '.join(writer.fragments)}"
    if rng.random() < 0.15:
        query = hostile.mutated(rng, query.encode("utf-8", "replace")).decode(errors="replace")
    return query, writer.variables


class _Writer:
    """Writes one document."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.declared: list[str] = []
        self.variables: dict[str, Any] = {}
        self.fragments: list[str] = []

    def selection(self, type_: GraphQLObjectType, depth: int, number: int) -> str:
        """Return fields of the type, with what is in them."""
        rng = self._rng
        names = rng.choices([name for name in type_.fields if name not in ENDS_ITSELF], k=number)
        fields = [self._field(name, type_.fields[name], depth) for name in names]
        if rng.random() < 0.1:
            fields.append(rng.choice(("__typename", "nothing", "... { __typename }")))
        fields = [field for field in fields if field]
        body = f"{{ {' '.join(fields) or '__typename'} }}"
        if rng.random() < 0.07 and len(self.fragments) < 3:
            name = f"F{len(self.fragments)}"
            self.fragments.append(f" fragment {name} on {type_.name} {body}")
            return f"{{ ...{name} }}"
        return body

    def _field(self, name: str, field: GraphQLField, depth: int) -> str:
        rng = self._rng
        inner = get_named_type(field.type)
        said = rng.choice(("", "", "", f"a{rng.randrange(9)}: ")) + name
        arguments = [
            f"{argument}: {self._argument(str(spec.type))}"
            for argument, spec in field.args.items()
            if rng.random() < (0.95 if str(spec.type).endswith("!") else 0.4)
        ]
        if arguments:
            said += f"({', '.join(arguments)})"
        said += rng.choice(DIRECTIVES) if rng.random() < 0.1 else ""
        if isinstance(inner, GraphQLObjectType):
            if depth == 0:
                return ""
            said += f" {self.selection(inner, depth - 1, rng.randrange(1, 5))}"
        return said

    def _argument(self, type_: str) -> str:
        rng = self._rng
        value = self._value(type_)
        if rng.random() < 0.5 and len(self.declared) < 8:
            name = f"v{len(self.declared)}"
            self.declared.append(f"${name}: {type_}")
            if rng.random() < 0.95:
                self.variables[name] = value
            return f"${name}"
        return _literal(rng, value, type_)

    def _value(self, type_: str) -> Any:
        rng = self._rng
        if rng.random() < 0.15:
            return hostile.value(rng)
        match type_.strip("!"):
            case "ID":
                return rng.choice(("1", "2", "3", str(rng.randrange(1, 200)), hostile.text(rng)))
            case "Int":
                return rng.choice((1, 5, 50, hostile.number(rng)))
            case "MessageKind":
                return rng.choice(("TEXT", "EMOJI", "IMAGE", "FILE", "VOICE"))
            case _:
                return hostile.text(rng)


def _literal(rng: Random, value: Any, type_: str) -> str:
    if type_.startswith("MessageKind") and isinstance(value, str) and value.isidentifier():
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"a{i}: {_literal(rng, v, '')}" for i, v in enumerate(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_literal(rng, v, "") for v in value) + "]"
    return json.dumps(value, ensure_ascii=rng.random() < 0.7)


def mutation(call: str) -> str:
    """Return the document of a mutation with `$id`."""
    return f"mutation($id: ID!) {{ {call} {{ id }} }}"
