"""What JavaScript's clients write as JSON, and no more than that."""

import json
import math
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest

from server.json_input import MAX_DEPTH, check_depth, read_json

READ: dict[str, Any] = {
    r'"hi \ud83d"': "hi \ufffd",
    r'{"\udc00": ["\ud83d\ude00 \ud83d"]}': {"\ufffd": ["😀 \ufffd"]},
    r'"\\ud83d"': r"\ud83d",
    '{"a": 1, "b": [true, null, "é"]}': {"a": 1, "b": [True, None, "é"]},
}


@pytest.mark.parametrize("text", READ, ids=ascii)
def test_what_they_write_is_read(text: str) -> None:
    assert read_json(text) == read_json(text.encode()) == READ[text]


@pytest.mark.parametrize("number", ["7" * 6000, "-" + "7" * 6000, "1e999", "-1e999"])
def test_a_number_that_nothing_holds_is_the_largest(number: str) -> None:
    (read,) = read_json(f"[{number}]")
    assert math.isfinite(read)
    assert abs(read) > 1e300
    assert (read < 0) is number.startswith("-")


@pytest.mark.parametrize(
    "broken",
    [
        *("", "{", "NaN", "[Infinity]", '"a\nb"', "{'a': 1}", "[1,]", "1 2"),
        b'"\xff"',
        b'"\xed\xa0\x80"',
        '"\\ud83d"'.encode("utf-16"),
    ],
    ids=ascii,
)
def test_what_is_no_json_is_refused(broken: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_json(broken)


@pytest.mark.parametrize("bad", ["", '"\\ud800",'], ids=["JSON", "not quite JSON"])
@pytest.mark.parametrize("item", ["[]", "{}", "0"])
def test_more_values_than_anybody_means_are_refused_by_their_number(item: str, bad: str) -> None:
    few = f"[{bad}" + f"{item}," * 5_000 + "1]"
    assert len(read_json(few)) > 5_000
    assert len(read_json(few.encode())) > 5_000
    many = f"[{bad}" + f"{item}," * 200_000 + "1]"
    for text in (many, many.encode()):
        with pytest.raises(ValueError, match="too many values"):
            read_json(text)


def test_a_text_may_be_all_commas() -> None:
    for text in ("," * 60_000, "[{" * 30_000, '["' * 30_000):
        assert read_json(json.dumps(text)) == text
        assert read_json(json.dumps(text).encode()) == text
        assert read_json('["\\ud800",' + json.dumps(text) + "]")[1] == text


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_how_deep_json_may_be_nested_is_the_same_on_every_interpreter(opening: str) -> None:
    closing = {"[": "]", '{"a":': "}"}[opening]

    def nested(depth: int) -> str:
        return opening * depth + "1" + closing * depth

    assert read_json(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 5000, 100_000):
        for text in (nested(depth), nested(depth).encode(), opening * depth):
            with pytest.raises(ValueError, match=r"nested more than|too many values"):
                read_json(text)


def test_many_brackets_beside_each_other_or_in_strings_are_not_deep() -> None:
    assert len(read_json(f"[{'[],' * 5000}[]]")) == 5001
    for text in ("[" * 5000, '\\"[' * 5000, "\\\\" * 300 + "{" * 300):
        assert read_json(f'["{text}"]')


def test_looking_how_deep_it_is_takes_no_time_that_matters() -> None:
    hostile = [b"[]" * 500_000, b'"' + b"[" * 1_000_000, b'"\\' * 500_000, b"[" * 1_000_000]
    for text in hostile:
        began = perf_counter()
        with suppress(ValueError):
            check_depth(text)
        assert perf_counter() - began < 1.0
