"""Strawberry: the graphql-core schema that it makes, and what it keeps of fields and enums."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import strawberry
from graphql import GraphQLEnumType, GraphQLField, GraphQLObjectType, GraphQLSchema
from graphql.execution import Executor
from strawberry.dataloader import DataLoader
from strawberry.relay.utils import from_base64, to_base64

from schema.root import schema

CORE: GraphQLSchema = schema._schema
PYTHON = "strawberry-definition"


def _fields() -> Iterator[tuple[str, GraphQLField]]:
    for type_ in CORE.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            yield from ((f"{type_.name}.{name}", field) for name, field in type_.fields.items())


def test_the_schema_is_one_of_graphql_core() -> None:
    assert isinstance(CORE, GraphQLSchema)
    assert issubclass(schema.execution_context_class, Executor)


@pytest.mark.parametrize(("name", "field"), [*_fields()], ids=lambda value: str(value)[:40])
def test_a_field_knows_its_python_side(name: str, field: GraphQLField) -> None:
    # schema/execution/compiler.py calls its function itself.
    definition = field.extensions[PYTHON]
    assert isinstance(definition.python_name, str)
    assert isinstance(definition.metadata, dict | type(definition.metadata))
    assert not definition.extensions
    assert not definition.permission_classes
    if definition.base_resolver is not None:
        assert callable(definition.base_resolver.wrapped_func)
        assert hasattr(definition.base_resolver, "info_parameter")


def test_a_fields_arguments_are_in_one_order_on_both_sides() -> None:
    # schema/execution/arguments.py pairs them by their place.
    [field] = [field for name, field in _fields() if name == "Query.messages"]
    python = [argument.python_name for argument in field.extensions[PYTHON].arguments]
    assert [name.replace("_", "").rstrip("_") for name in python] == [
        name.lower() for name in field.args
    ]


def test_an_enums_values_are_in_the_order_of_its_members() -> None:
    kind = CORE.type_map["MessageKind"]
    assert isinstance(kind, GraphQLEnumType)
    definition = kind.extensions[PYTHON]
    members = [*definition.wrapped_cls]
    assert [value.name for value in definition.values] == [member.name for member in members]
    assert [kind.serialize(member) for member in members] == [member.name for member in members]


def test_an_enums_values_take_a_description_afterwards() -> None:
    # schema/scalars.py gives them theirs: the enum is of `db`, which knows no GraphQL.
    kind = CORE.type_map["MessageKind"]
    assert isinstance(kind, GraphQLEnumType)
    assert all(value.description for value in kind.values.values())


def test_a_scalar_can_stand_for_a_python_type() -> None:
    scalar = strawberry.scalar(name="Twice", serialize=lambda n: 2 * n, parse_value=int)
    assert scalar.name == "Twice"


def test_global_ids_are_base64_of_a_name_and_an_id() -> None:
    assert to_base64("User", "7") == "VXNlcjo3"
    assert from_base64("VXNlcjo3") == ("User", "7")
    for bad in ("", "x", "VXNlcg==", "é", "\0"):
        with pytest.raises(ValueError):  # noqa: PT011  # whatever its words are
            from_base64(bad)


async def test_a_loader_asks_once_for_what_one_turn_of_the_loop_wants() -> None:
    asked: list[list[int]] = []

    async def load(keys: list[int]) -> list[Any]:
        asked.append(keys)
        return [ValueError("none") if key == 2 else key for key in keys]

    loader = DataLoader(load, cache=False)
    found = await asyncio.gather(*map(loader.load, (1, 2, 3)), return_exceptions=True)
    assert [asked, found[0], str(found[1]), found[2]] == [[[1, 2, 3]], 1, "none", 3]


async def test_a_loader_does_not_gather_while_a_question_is_answered() -> None:
    # Why resolvers/guards/token_states.py is not one. When this fails, look at it again.
    going, asked = asyncio.Event(), []

    async def load(keys: list[int]) -> list[int]:
        asked.append(keys)
        await going.wait()
        return keys

    loader = DataLoader(load, cache=False)
    waiting = []
    for number in range(3):
        waiting.append(asyncio.ensure_future(loader.load(number)))
        for _ in range(3):
            await asyncio.sleep(0)
    going.set()
    await asyncio.gather(*waiting)
    assert asked == [[0], [1], [2]]
