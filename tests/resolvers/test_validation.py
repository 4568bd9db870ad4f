"""What may be typed into a field, and the one form in which it is kept."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.models import MessageKind
from db.people.users import search_form
from resolvers.errors import BadInput, PayloadTooLarge
from resolvers.guards.validation import (
    clean_client_message_id,
    clean_content,
    clean_display_name,
    clean_email,
    clean_filename,
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


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("holiday.jpg", "holiday.jpg"),
        ("archive.tar.gz", "archive.tar.gz"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\..\\a photo.png", "a photo.png"),
        ("/absolute/x.pdf", "x.pdf"),
        ("..\\../mixed\\x.pdf", "x.pdf"),
        ("a\0b.png", "ab.png"),
        ("x.png\0.exe", "x.png.exe"),
        ("a\r\nb\tc\x1b[31m.txt", "abc[31m.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("\u200e\u2066a\u2069\u200f.txt", "a.txt"),
        ("a\u200bb\ufeff.txt", "ab.txt"),
        ("  spaced \u2003\u00a0 out .txt", "spaced out.txt"),
        (".hidden", "hidden"),
        ("dots...", "dots"),
        ("cafe\u0301.png", "café.png"),
        ("quotes \"and\" 'such' %22;.txt", "quotes \"and\" 'such' %22;.txt"),
        ("", "file"),
        ("   ", "file"),
        (".", "file"),
        ("...", "file"),
        ("../", "file"),
        ("\0\u202e", "file"),
        ("lone \ud800.txt", "lone ?.txt"),
    ],
    ids=ascii,
)
def test_a_filename_has_no_path_and_nothing_that_deceives(sent: str, kept: str) -> None:
    assert clean_filename(sent) == kept


SCRIPTS = ["žluťoučký.txt", "фото.jpg", "写真.png", "사진.heic", "صورة.png", "תמונה.png", "ภาพ.png"]
SCRIPTS += ["चित्र.png", "φωτογραφία.webp", "ფოტო.gif", "📷 👩‍👩‍👧‍👦 ❤️.png", "می‌خواهم.png", "🏴.png"]


@pytest.mark.parametrize("sent", SCRIPTS)
def test_a_filename_of_any_script_is_kept(sent: str) -> None:
    assert clean_filename(sent) == unicodedata.normalize("NFC", sent)


@pytest.mark.parametrize("letter", ["x", "é", "写", "👍", "👩\u200d👩\u200d👧"])
def test_a_long_filename_keeps_its_extension_and_whole_characters(letter: str) -> None:
    kept = clean_filename(letter * 300 + ".jpeg")
    assert kept.endswith(".jpeg")
    assert 255 - 2 * len(letter.encode()) < len(kept.encode()) <= 255
    assert set(kept.removesuffix(".jpeg")) <= set(letter)
    assert "\ufffd" not in kept
    # What is too long to be an extension is none.
    kept = clean_filename("a." + letter * 300)
    assert kept.startswith("a.")
    assert len(kept.encode()) <= 255


JPEG = (".jpg", ".jpeg")


def test_a_file_that_may_be_shown_has_a_suffix_of_what_it_is() -> None:
    for sent, kept in (
        ("a.jpg", "a.jpg"),
        ("a.JPEG", "a.JPEG"),
        ("IMG_1.HEIC", "IMG_1.jpg"),
        ("IMG_1", "IMG_1.jpg"),
        ("a.b.heic", "a.b.jpg"),
        ("v1.2", "v1.2.jpg"),
        ("evil.html", "evil.html.jpg"),
        ("", "file.jpg"),
    ):
        assert clean_filename(sent, suffixes=JPEG) == kept
    kept = clean_filename("é" * 300 + ".heic", suffixes=JPEG)
    assert kept.endswith("é.jpg")
    assert len(kept.encode()) <= 255


@given(st.text(st.characters(codec=None), max_size=400), st.sampled_from([(), JPEG]))
def test_any_text_becomes_a_filename_that_is_safe(sent: str, suffixes: tuple[str, ...]) -> None:
    name = clean_filename(sent, suffixes=suffixes)
    assert 0 < len(name.encode()) <= 255
    assert name == name.strip()
    assert not set(name) & set("/\\\0\r\n")
    assert not name.startswith(".")
    assert not name.endswith(".")
    assert not {unicodedata.category(character) for character in name} & {"Cc", "Cs"}
    assert not set(name) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert not suffixes or name.lower().endswith(suffixes)
    assert clean_filename(name, suffixes=suffixes) == name


@pytest.mark.parametrize("end", [".", " ", ". "])
def test_a_filename_that_is_cut_ends_in_nothing_that_is_dropped(end: str) -> None:
    name = clean_filename("x" * 254 + end + "y" * 40)
    assert name == "x" * 254
