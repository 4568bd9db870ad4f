"""msgspec, limits and emoji: the few behaviours that much of Parley stands on."""

import emoji
import limits
import msgspec
import pytest
from limits import RateLimitItemPerSecond
from msgspec.structs import replace


class Record(msgspec.Struct, frozen=True, gc=False):
    """As those of db/models.py."""

    id: int
    text: str | None = None


def test_what_is_encoded_already_is_written_as_it_is() -> None:
    # An event's result is encoded once, and put into each subscriber's message.
    raw = msgspec.Raw(b'{"a":  1}')
    assert msgspec.json.encode({"payload": raw}) == b'{"payload":{"a":  1}}'


def test_records_are_immutable_and_copied_with_changes() -> None:
    record = Record(1)
    with pytest.raises(AttributeError):
        record.id = 2  # type: ignore[misc]  # on purpose
    assert replace(record, text="x") == Record(1, "x")


def test_a_decoder_is_strict_and_names_what_is_wrong() -> None:
    decoder = msgspec.json.Decoder(Record)
    for wrong in (b'{"id":"1"}', b"{}", b"[]", b'{"id":1.5}'):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(wrong)
    with pytest.raises(msgspec.DecodeError):
        decoder.decode(b'{"id":1} x')
    assert issubclass(msgspec.ValidationError, msgspec.DecodeError)


def test_nesting_without_end_is_an_error_and_no_crash() -> None:
    with pytest.raises(RecursionError):
        msgspec.json.decode(b"[" * 100_000)


def test_a_rate_is_read_from_words_and_has_a_namespace() -> None:
    # Only the words are limits': its storages are not used (resolvers/guards/windows.py).
    [item] = limits.parse_many("50/5seconds")
    assert (item.amount, item.get_expiry()) == (50, 5)
    assert limits.parse_many("10/hour")[0].get_expiry() == 3600
    with pytest.raises(ValueError):  # noqa: PT011  # whatever its words are
        limits.parse_many("many")
    one, same, other = (RateLimitItemPerSecond(5, 10, namespace=name) for name in "aab")
    assert (one.namespace, one.amount, one.get_expiry()) == ("a", 5, 10)
    # Items are equal whatever they are called: tell them apart by identity, or by the namespace.
    assert one == same == other
    assert other.namespace == "b"


def test_emoji_are_found_with_their_modifiers() -> None:
    assert emoji.purely_emoji("👍🏽👨‍👩‍👧‍👦")
    assert not emoji.purely_emoji("a👍")
    assert emoji.emoji_count("👍🏽👨‍👩‍👧‍👦") == 2
