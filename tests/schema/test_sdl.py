"""The printed schema: committed as it is, described in full, with the names of the wire."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    find_breaking_changes,
)

import schema as package
from schema.root import schema

ROOT = Path(package.__file__).parent
COMMITTED = (ROOT / "schema.graphql").read_text(encoding="utf-8")

# What clients were promised. Fields and arguments may be added, none taken away or retyped.
PROMISED = """
scalar DateTime
type Query {
  me: User!
  user(id: ID!): User
  users(search: String, first: Int = 50, after: String): UserConnection!
  onlineUsers: [User!]!
  messages(with: ID, first: Int, after: String, last: Int, before: String): MessageConnection!
  message(id: ID!): Message
}
type Mutation {
  register(email: String!, password: String!, displayName: String!): AuthPayload!
  login(email: String!, password: String!): AuthPayload!
  sendMessage(
    receiverId: ID, content: String, kind: MessageKind = TEXT, clientMessageId: String
  ): Message!
}
type Subscription { messageAdded(after: ID): Message!  presence: PresenceChange! }
enum MessageKind { TEXT EMOJI }
type AuthPayload { token: String!  expiresAt: DateTime!  user: User! }
type User {
  id: ID!  displayName: String!  email: String  createdAt: DateTime!  online: Boolean!
  lastSeenAt: DateTime
}
type PresenceChange { user: User!  online: Boolean!  lastSeenAt: DateTime }
type Message {
  id: ID!  senderId: ID!  sender: User!  receiverId: ID  receiver: User  kind: MessageKind!
  content: String!  clientMessageId: String  createdAt: DateTime!
}
type PageInfo {
  hasNextPage: Boolean!  hasPreviousPage: Boolean!  startCursor: String  endCursor: String
}
type UserConnection { edges: [UserEdge!]!  pageInfo: PageInfo! }
type UserEdge { cursor: String!  node: User! }
type MessageConnection { edges: [MessageEdge!]!  pageInfo: PageInfo! }
type MessageEdge { cursor: String!  node: Message! }
"""


def undescribed(sdl: str) -> Iterator[str]:
    """Name everything of the schema that has no description."""
    for name, type_ in build_schema(sdl).type_map.items():
        if name.startswith("__") or name in {"ID", "Int", "String", "Boolean", "Float"}:
            continue
        if not type_.description:
            yield name
        if isinstance(type_, GraphQLEnumType):
            yield from (f"{name}.{key}" for key, v in type_.values.items() if not v.description)
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for key, field in type_.fields.items():
                if not field.description:
                    yield f"{name}.{key}"
                for argument, details in field.args.items():
                    if not details.description:
                        yield f"{name}.{key}({argument})"
        if isinstance(type_, GraphQLInputObjectType):
            yield from (f"{name}.{k}" for k, field in type_.fields.items() if not field.description)


def test_the_committed_schema_is_the_one_served() -> None:
    assert schema.as_str().rstrip() == COMMITTED.rstrip()


def test_the_command_line_prints_it() -> None:
    command = [sys.executable, "main.py", "schema"]
    done = subprocess.run(
        command, cwd=ROOT.parent, capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout == COMMITTED


def test_everything_has_a_description() -> None:
    assert list(undescribed(COMMITTED)) == []


def test_what_has_no_description_is_found() -> None:
    sdl = '"A" type Query { a("x" b: Int, c: Int): E } enum E { "d" F G }'
    assert list(undescribed(sdl)) == ["Query.a", "Query.a(c)", "E", "E.G"]


def test_what_clients_were_promised_is_there() -> None:
    promised, served = build_schema(PROMISED), build_schema(COMMITTED)
    assert [change.description for change in find_breaking_changes(promised, served)] == []


@pytest.mark.parametrize(
    ("promised", "broken"),
    [
        ("  email: String\n", ""),
        ("  receiver: User\n", "  receiver: String\n"),
        ("    after: ID = null", "    since: ID = null"),
        ("  EMOJI\n", ""),
        ("    first: Int = null\n  ): [User!]!", "    first: Int = null\n  ): [User!]"),
    ],
)
def test_a_promise_that_was_broken_is_found(promised: str, broken: str) -> None:
    plain = re.sub(r'"""(?s:.*?)"""', "", COMMITTED)
    assert promised in plain
    served = build_schema(plain.replace(promised, broken))
    assert find_breaking_changes(build_schema(PROMISED), served)
