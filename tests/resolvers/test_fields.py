"""What may be typed into a field, and the one form in which it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.models import MessageKind
from db.users import search_form
from resolvers.errors import BadInput, PayloadTooLarge
from resolvers.fields import (
    clean_client_message_id,
    clean_content,
    clean_display_name,
    clean_email,
    find_id,
)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("zoe@example.com", "zoe@example.com"),
        (" Zoe@Example.COM\n", "zoe@example.com"),
        ("ZOE+chat@example.com", "zoe+chat@example.com"),
        ("Zoë@exämple.com", "zoë@exämple.com"),
        ("zoe\u0308@example.com", "zoë@example.com"),
        ("zoe@xn--exmple-cua.com", "zoe@exämple.com"),
        ("zoe@intranet", "zoe@intranet"),
        ("zoe@example.test", "zoe@example.test"),
    ],
)
def test_an_email_has_one_form(typed: str, kept: str) -> None:
    assert clean_email(typed) == kept
    assert clean_email(kept) == kept


NO_EMAILS = ["", " ", "zoe", "@example.com", "zoe@", "a b@example.com", "a@b@example.com"]
NO_EMAILS += ["a\0@b.com", "\ud800@example.com", "zoe@\ud800.com", "Zoe <zoe@example.com>"]
NO_EMAILS += ["a" * 300 + "@b.com", "zoe@example..com", "zoe@exam ple.com", "a@b.com, c@d.com"]


@pytest.mark.parametrize("typed", NO_EMAILS, ids=ascii)
def test_what_is_no_email_is_refused(typed: str) -> None:
    with pytest.raises(BadInput, match=r"^Email is"):
        clean_email(typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Zoë", "Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("  Ada \t\n Lovelace ", "Ada Lovelace"),
        ("👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"),
        ("x" * 100, "x" * 100),
        ("李", "李"),
        ("علي", "علي"),
        ("<b>Bob</b>", "<b>Bob</b>"),
    ],
)
def test_a_display_name_is_kept_composed_and_with_single_spaces(typed: str, kept: str) -> None:
    assert clean_display_name(typed) == kept


NO_NAMES = ["", " \t\n", "\u200b", "\u200d\u2060", "\ufeff \u0301", "x" * 101]
NO_NAMES += ["a\0b", "a\x07b", "\ud800", "\x1b[31mred", "a\x85\x9fb"]


@pytest.mark.parametrize("typed", NO_NAMES, ids=ascii)
def test_a_name_that_cannot_be_shown_is_refused(typed: str) -> None:
    with pytest.raises(BadInput, match=r"^Display name"):
        clean_display_name(typed)


@given(st.text(max_size=120))
def test_any_text_is_a_name_that_fits_its_columns_or_is_refused(typed: str) -> None:
    try:
        name = clean_display_name(typed)
    except BadInput:
        return
    assert clean_display_name(name) == name
    assert 0 < len(name) <= 100
    assert len(search_form(name)) <= 300


@given(st.one_of(st.emails(), st.text(max_size=60).map(lambda text: f"{text}@Exämple.com")))
def test_any_text_is_an_email_that_fits_its_column_or_is_refused(typed: str) -> None:
    try:
        email = clean_email(typed)
    except BadInput:
        return
    assert clean_email(email) == email
    assert len(email) <= 254


def test_content_is_kept_as_it_was_typed_up_to_its_limit_in_bytes() -> None:
    for typed in (" hello \n", "<script>", "é" * 8, "\u200b.", "x" * 16):
        assert clean_content(typed, MessageKind.TEXT, max_bytes=16) == typed
    for large in ("x" * 17, "é" * 9, "🎉" * 5):
        with pytest.raises(PayloadTooLarge):
            clean_content(large, MessageKind.TEXT, max_bytes=16)
    for bad in ("", " \n\t", "a\0b", "\ud800"):
        with pytest.raises(BadInput):
            clean_content(bad, MessageKind.TEXT, max_bytes=16)


def test_an_emoji_message_is_one_to_three_emoji() -> None:
    for typed in ("🎉", " 🎉\n", "👩‍👩‍👧‍👦🇫🇷❤️"):
        assert clean_content(typed, MessageKind.EMOJI, max_bytes=999) == typed.strip()
    for bad in ("x", "🎉x", "🎉🎉🎉🎉", "1", "©x", ""):
        with pytest.raises(BadInput):
            clean_content(bad, MessageKind.EMOJI, max_bytes=999)


def test_a_key_is_kept_exactly() -> None:
    assert clean_client_message_id(None) is None
    for typed in ("k", "K", "k" * 128, "🔑", "a b"):
        assert clean_client_message_id(typed) == typed
    # A trailing space would be another key here and the same one to MySQL.
    for bad in ("", " ", "k ", " k", "k\u00a0", "k" * 129, "a\0b", "\ud800"):
        with pytest.raises(BadInput):
            clean_client_message_id(bad)


IDS: list[tuple[str | int, int]] = [(7, 7), ("7", 7), ("007", 7), (2**63 - 1, 2**63 - 1)]
NO_IDS = [2**63, 0, -1, "9" * 19, "-1", "+1", "1.0", "", " 1", "٥", "²", "9" * 5000, "1_0"]


@pytest.mark.parametrize(("typed", "id_"), [*IDS, *((typed, None) for typed in NO_IDS)])
def test_an_id_is_a_positive_number_of_63_bits(typed: str | int, id_: int | None) -> None:
    assert find_id(typed) == id_
