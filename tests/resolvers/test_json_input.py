"""What JavaScript's clients write as JSON, and no more than that."""

import json
import math
from typing import Any

import pytest

from resolvers.json_input import MAX_CONTAINERS, read_json

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


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(RecursionError):
        read_json("[" * MAX_CONTAINERS)


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
