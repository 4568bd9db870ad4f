"""msgspec, limits, emoji, cachetools, itsdangerous: what much of Parley stands on."""

import base64
import hashlib
import hmac
import string

import emoji
import limits
import msgspec
import pytest
from cachetools import LRUCache
from itsdangerous import Signer
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
    # Only the words are limits': its storages are not used (resolvers/guards/limits/windows.py).
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


def test_a_cache_counts_sizes_and_forgets_what_was_not_asked_for_lately() -> None:
    cache: LRUCache[str, str] = LRUCache(10, getsizeof=len)
    for key in "abc":
        cache[key] = "xxx"
    assert cache.get("a") == "xxx"
    cache["d"] = "xxx"
    assert [*map(cache.get, "abcd")] == ["xxx", None, "xxx", "xxx"]
    cache["e"] = "x" * 9
    assert [*cache] == ["e"]
    assert cache.currsize == 9


def test_a_signature_is_plain_hmac_of_a_key_of_its_own() -> None:
    # Addresses of files stay what they were when the library is another one.
    signer = Signer("secret", salt=b"salt", key_derivation="hmac", digest_method=hashlib.sha256)
    key = hmac.digest(b"secret", b"salt", "sha256")
    plain = base64.urlsafe_b64encode(hmac.digest(key, b"/files/7?1", "sha256")).rstrip(b"=")
    signature = signer.get_signature(b"/files/7?1")
    assert signature == plain
    # Why resolvers/guards/file_urls.py compares by itself: other spellings are taken, too.
    assert signer.verify_signature(b"/files/7?1", signature)
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = letters[letters.index(chr(signature[-1])) ^ 1].encode()  # bits that no byte has
    assert signer.verify_signature(b"/files/7?1", signature[:-1] + last)
