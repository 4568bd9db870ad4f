"""Names show something, turn nothing around, and are nobody's who is gone."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.errors import BadInput
from resolvers.guards.names import without_unseen
from resolvers.guards.validation import (
    clean_client_message_id,
    clean_display_name,
    clean_email,
    clean_filename,
    clean_search,
)

BLANK = [
    "\u3164",
    "\u1160\u1160",
    "\u115f",
    "\uffa0 \uffa0",
    "\u2800\u2800",
    "\u200b\u200c\u200d",
    "\u034f",
    "\u180e",
    "\ufe0f",
    "\ufe0f\ufe0f",
    "\U000e0041\U000e0042",
    "\U000e0100",
    "\u00ad",
    "\u206a",
    "\ufff9\ufffb",
    "\U0001d173",
    "\u202e\u202c",
    "\u0301",
    "\ue000",
    "\U000f0000",
]


@pytest.mark.parametrize("typed", BLANK, ids=ascii)
def test_a_name_that_shows_nothing_is_refused(typed: str) -> None:
    assert clean_display_name(f"x{typed}y")  # beside letters it is harmless
    with pytest.raises(BadInput, match="nothing to see"):
        clean_display_name(typed)


@pytest.mark.parametrize(
    "control",
    [*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"],
    ids=ascii,
)
def test_what_sets_the_direction_of_reading_is_left_out(control: str) -> None:
    for typed in (f"Ann{control}", f"{control}Ann", f"A{control}nn"):
        assert clean_display_name(typed) == "Ann"
        assert clean_filename(f"{typed}.png") == "Ann.png"


@pytest.mark.parametrize(
    "name",
    [
        "Zoë",
        "علي",
        "محمد\u200cرضا",
        "क्\u200dष",
        "שָׁלוֹם",
        "שרה-לי",
        "👨\u200d👩\u200d👧\u200d👦 fam",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "❤\ufe0f",
        "1\ufe0f\u20e3",
        "🏳\ufe0f\u200d🌈",
        "👍🏽",
        "辻\U000e0100",
        "Nguyễn Thị Ánh",
        "ᠮᠣᠩᠭᠣᠯ\u180b",
        "สวัสดี",
        "བོད་ཡིག",
        "\U0001fae9",  # younger than this Python's Unicode
        "User",
        "Deleted",
    ],
    ids=ascii,
)
def test_a_name_of_any_script_and_an_emoji_stay_as_they_are(name: str) -> None:
    assert clean_display_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name",
    [
        "Deleted user",
        "DELETED  USER",
        "deleted\u200buser",
        "Ｄｅｌｅｔｅｄ　ｕｓｅｒ",
        "DeIeted user",
        "D\u0435l\u0435ted us\u0435r",
        "Délétéd üser",
        "d.e-l_e t e d u s e r",
        "𝐃𝐞𝐥𝐞𝐭𝐞𝐝 𝐮𝐬𝐞𝐫",
    ],
    ids=ascii,
)
def test_the_name_of_deleted_users_is_nobodys(name: str) -> None:
    with pytest.raises(BadInput, match="reserved"):
        clean_display_name(name)
    assert clean_display_name(f"{name} 2")


def test_joiners_between_latin_letters_make_no_second_name() -> None:
    assert clean_display_name("A\u200cnn") == clean_display_name("A\u200dnn") == "Ann"


def test_marks_are_bounded_for_each_letter() -> None:
    assert clean_display_name("x" + "\u0316\u0332\u0300\u0301" + "y")
    with pytest.raises(BadInput, match="marks"):
        clean_display_name("x" + "\u0316\u0332\u0300\u0301\u0302\u0303")
    assert clean_filename("x" + "\u0316" * 200 + ".txt") == "x" + "\u0316" * 4 + ".txt"


@pytest.mark.parametrize("bad", ["a\ufffe", "a\ufdd0", "a\U0010ffff"], ids=ascii)
def test_what_is_no_character_is_refused(bad: str) -> None:
    with pytest.raises(BadInput, match="Unicode"):
        clean_display_name(bad)


@given(st.text(max_size=60))
def test_a_cleaned_text_is_clean(typed: str) -> None:
    once = without_unseen(typed)
    assert without_unseen(once) == once


LONG = 300_000
LONG_TEXTS = ["\u0300" * LONG + "\u0316" * LONG, "a" * LONG, " " * LONG, "a@" * LONG, "=" * LONG]


@pytest.mark.parametrize("text", LONG_TEXTS, ids=lambda text: ascii(text[:2]))
def test_a_long_text_is_refused_without_being_looked_at(text: str) -> None:
    began = time.monotonic()
    for clean in (clean_display_name, clean_email, clean_search, clean_client_message_id):
        with pytest.raises(BadInput):
            clean(text)
    assert clean_filename(text)
    # Looked at, the first of them takes half a minute.
    assert time.monotonic() - began < 2
