"""graphql-core: how its executor goes from event to event, and what parsing and validating take."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from graphql import (
    ExecutionResult,
    GraphQLError,
    build_schema,
    execute,
    located_error,
    parse,
    specified_rules,
    subscribe,
    validate,
)
from graphql.execution import Executor

from schema.execution.operations import _forgetting

SCHEMA = build_schema("type Query { a: Int } type Subscription { n: Thing } type Thing { a: Int }")


async def _events(executor: type[Any]) -> list[dict[int, Any]]:
    """Run three events through a subscription; return what each event's executor remembers."""
    remembered: list[dict[int, Any]] = []

    class Watched(executor):  # type: ignore[misc]  # which one, the test says
        def build_per_event_executor(self, payload: Any) -> Any:
            made = super().build_per_event_executor(payload)
            remembered.append(made._relevant_sub_fields)
            return made

    async def numbers(*_: Any) -> AsyncGenerator[dict[str, Any], None]:
        for number in range(3):
            yield {"n": {"a": number}}

    source: Any = subscribe(
        SCHEMA,
        parse("subscription { n { a } }"),
        subscribe_field_resolver=numbers,
        executor_class=Watched,
    )
    stream = await source if hasattr(source, "__await__") else source
    results = [result.data async for result in stream]
    assert results == [{"n": {"a": number}} for number in range(3)]
    return remembered


async def test_each_event_has_a_memory_of_its_own_with_our_executor() -> None:
    remembered = await _events(_forgetting(Executor))
    assert len({id(memory) for memory in remembered}) == 3


async def test_graphql_core_still_keeps_the_memory_of_all_events() -> None:
    # When this fails, the leak is mended: `_forgetting` (schema/execution/operations.py) can go.
    remembered = await _events(Executor)
    assert len({id(memory) for memory in remembered}) == 1
    assert len(remembered[0]) >= 3


def test_an_executor_of_ours_can_be_given() -> None:
    result = execute(SCHEMA, parse("{ a }"), {"a": 1}, executor_class=_forgetting(Executor))
    assert isinstance(result, ExecutionResult)
    assert (result.data, result.errors) == ({"a": 1}, None)


def test_parsing_is_bounded_by_tokens() -> None:
    with pytest.raises(GraphQLError, match="tokens"):
        parse("{ a a a a a a }", max_tokens=5)


def test_validation_ends_after_so_many_errors_and_can_hide_suggestions() -> None:
    document = parse("{ " + " ".join(f"aa{n}" for n in range(20)) + " }")
    for hides in (False, True):
        errors = validate(SCHEMA, document, specified_rules, 3, hide_suggestions=hides)
        assert len(errors) == 4  # the last one says that there are more
        assert any("Did you mean" in error.message for error in errors) is not hides


def test_an_error_says_its_cause_and_its_path() -> None:
    cause = ValueError("x")
    located = located_error(cause, None, ["a"])
    assert located.original_error is cause
    assert located.path == ["a"]
    assert located.formatted == {"message": "x", "path": ["a"]}


def test_variables_that_do_not_fit_are_errors_without_a_path() -> None:
    # schema/execution/operations.py tells them by that from fields that failed.
    schema = build_schema("type Query { a(n: Int): Int }")
    document = parse("query ($n: Int) { a(n: $n) }")
    result = execute(schema, document, variable_values={"n": "x"})
    assert isinstance(result, ExecutionResult)
    assert result.data is None
    assert result.errors
    assert [error.path for error in result.errors] == [None]


def test_a_document_knows_its_text() -> None:
    # The cache of documents counts its characters by it (schema/execution/documents.py).
    document = parse("{ a }")
    assert document.loc is not None
    assert document.loc.source.body == "{ a }"
