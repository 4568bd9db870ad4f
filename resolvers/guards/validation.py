"""Validation of input: each `clean_*` returns the value to keep, or raises BadInput.

Size first: a text is bounded before it is looked into, since some of the checks are not linear
(`unicodedata.normalize`) and each of them holds the event loop.
"""

import unicodedata
from collections.abc import Sequence

import emoji
from email_validator import EmailNotValidError, validate_email

from db.models import MessageKind
from resolvers.errors import BadInput, PayloadTooLarge
from resolvers.guards.names import (
    MAX_MARKS,
    has_noncharacter,
    has_something_to_see,
    is_reserved,
    longest_stack,
    without_stacks,
    without_unseen,
)

MAX_DISPLAY_NAME = 100
MAX_STATUS_TEXT = 140
MAX_SEARCH = 100
# A text that is trimmed or composed before it is measured may be sent so many times as long.
SLACK = 4
MAX_CLIENT_MESSAGE_ID = 128
MAX_EMAIL = 254
MAX_FILENAME_BYTES = 255  # what file systems take
MAX_EXTENSION = 16
REPLACED = {"heic", "heif"}
LOOSE_ENDS = ". \u200c\u200d"
MAX_EMOJI = 3
# In code points; the longest that Unicode lists, a couple with skin tones, has ten.
LONGEST_EMOJI = 16
LARGEST_ID = 2**63 - 1


def bound(value: str, field: str, characters: int) -> str:
    """Return the text unless it is longer than so many code points. Raises BadInput."""
    if len(value) > characters:
        raise BadInput(f"{field} is longer than {characters} characters")
    return value


def clean_email(value: str) -> str:
    """Return the e-mail's one form: trimmed, valid, lower case."""
    if len(value) > SLACK * MAX_EMAIL or len(value := value.strip()) > MAX_EMAIL:
        raise BadInput("Email is not valid: it is too long")
    if not value:
        raise BadInput("Email is required")
    try:
        # An address of an intranet, without a dot, is an address too; no DNS is asked.
        checked = validate_email(
            value, check_deliverability=False, globally_deliverable=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise BadInput(f"Email is not valid: {error}") from error
    email = checked.normalized.lower()
    if len(email) > MAX_EMAIL:
        raise BadInput("Email is not valid: it is too long")
    return email


def clean_title(value: str) -> str:
    """Return the title of a group, made like a display name; it may be any name."""
    return _clean_name(value, "title")


def _clean_name(value: str, what: str) -> str:
    if len(value) > SLACK * MAX_DISPLAY_NAME:
        bound(value, what, MAX_DISPLAY_NAME)
    check_text(value, what)
    name = without_unseen(value)
    if not name and not value.strip():
        raise BadInput(f"{what} is required")
    bound(name, what, MAX_DISPLAY_NAME)
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise BadInput(f"{what} contains a control character")
    if has_noncharacter(name):
        raise BadInput(f"{what} is not valid Unicode")
    if not has_something_to_see(name):
        raise BadInput(f"{what} has nothing to see")
    if longest_stack(name) > MAX_MARKS:
        raise BadInput(f"{what} has more than {MAX_MARKS} marks on one letter")
    return name


def clean_display_name(value: str) -> str:
    """Return the name: composed (NFC), with single spaces, without invisible characters."""
    name = _clean_name(value, "Display name")
    if is_reserved(name):
        raise BadInput("Display name is reserved: it is that of deleted users")
    return name


def clean_status_text(value: str) -> str:
    """Return the status text: composed (NFC), in one line; empty for one with nothing to see."""
    bound(value, "statusText", SLACK * MAX_STATUS_TEXT)
    check_text(value, "statusText")
    text = without_unseen(value)
    bound(text, "statusText", MAX_STATUS_TEXT)
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise BadInput("statusText contains a control character")
    if has_noncharacter(text):
        raise BadInput("statusText is not valid Unicode")
    if longest_stack(text) > MAX_MARKS:
        raise BadInput(f"statusText has more than {MAX_MARKS} marks on one letter")
    return text


def clean_search(value: str) -> str:
    """Return the text that is searched for in names."""
    check_text(bound(value, "search", MAX_SEARCH), "search")
    return value


def clean_content(
    value: str, kind: MessageKind | None, *, max_bytes: int, caption: bool = False
) -> str:
    """Return the message's content as it was sent; a caption may be empty.

    Raises PayloadTooLarge too.
    """
    if len(value) > max_bytes:  # a code point is a byte at least
        raise PayloadTooLarge(
            f"Content is larger than {max_bytes} bytes", setting="MAX_MESSAGE_BYTES"
        )
    if not value.strip():
        if not caption:
            raise BadInput("Content is required")
        return ""
    check_text(value, "Content")
    if len(value.encode()) > max_bytes:
        raise PayloadTooLarge(
            f"Content is larger than {max_bytes} bytes", setting="MAX_MESSAGE_BYTES"
        )
    if kind is MessageKind.EMOJI:
        value = value.strip()
        if len(value) > LONGEST_EMOJI * MAX_EMOJI or not _is_emoji(value):
            raise BadInput(f"Content of an EMOJI message is one to {MAX_EMOJI} emoji, nothing else")
    return value


def kind_of(content: str) -> MessageKind:
    """Return the kind of a message that was sent without: EMOJI for one to three emoji alone."""
    # The first character or the length decides for most messages.
    if len(content) > LONGEST_EMOJI * MAX_EMOJI or content[:1].isalpha():
        return MessageKind.TEXT
    return MessageKind.EMOJI if _is_emoji(content) else MessageKind.TEXT


def _is_emoji(value: str) -> bool:
    return emoji.purely_emoji(value) and 1 <= emoji.emoji_count(value) <= MAX_EMOJI


def clean_emoji(value: str) -> str:
    """Return one emoji in the form that Unicode recommends: with it, ❤ and ❤️ are the same."""
    if len(value) <= LONGEST_EMOJI:
        if value not in emoji.EMOJI_DATA:  # perhaps with a needless selector of its look
            value = value.replace("\ufe0e", "").replace("\ufe0f", "")
        found = emoji.EMOJI_DATA.get(value)
        # A component, such as a skin tone, is an emoji only together with another.
        if found is not None and found["status"] != emoji.STATUS["component"]:
            return emoji.emojize(emoji.demojize(value))
    raise BadInput("emoji is not one emoji")


def clean_client_message_id(value: str | None) -> str | None:
    """Return the key, or None when there is none."""
    if value is None:
        return None
    bound(value, "clientMessageId", MAX_CLIENT_MESSAGE_ID)
    if not value or value != value.strip():
        # MySQL compares without regard to trailing spaces.
        raise BadInput("clientMessageId is empty, or begins or ends with a space")
    check_text(value, "clientMessageId")
    return value


def clean_filename(value: str, *, suffixes: Sequence[str] = ()) -> str:
    """Return a name to save a file under: of any script, without a path or invisible characters.

    Any text becomes a name. One that does not end in one of `suffixes` gets the first of them.
    """
    name = value.replace("\\", "/").rpartition("/")[2]
    if len(name) > SLACK * MAX_FILENAME_BYTES:  # its beginning, and its extension
        name = name[: MAX_FILENAME_BYTES * (SLACK - 1)] + name[-MAX_FILENAME_BYTES:]
    name = name.encode(errors="replace").decode()
    # Without characters that turn the reading direction: "gpj.exe" would read as "exe.jpg".
    name = "".join(c for c in name if unicodedata.category(c) != "Cc")
    name = without_stacks(without_unseen(name)).strip(". ")
    if not has_something_to_see(name):
        name = "file"
    if suffixes and not name.lower().endswith(tuple(suffixes)):
        stem, dot, extension = name.rpartition(".")
        # A photo.heic has become a photo.jpg; but "2" in "v1.2" is no suffix to replace.
        name = (stem if dot and extension.lower() in REPLACED else name) + suffixes[0]
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > MAX_EXTENSION:
        stem, extension = name, ""
    ending = f".{extension}" if extension else ""
    room = MAX_FILENAME_BYTES - len(ending.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(LOOSE_ENDS) + ending


def check_text(value: str, field: str) -> None:
    """Raise BadInput for text that cannot be kept or shown: NUL characters, lone surrogates."""
    if "\0" in value:
        raise BadInput(f"{field} contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{field} is not valid Unicode") from error


def check_page_size(size: int, what: str, *, most: int) -> None:
    """Raise BadInput for a page of more than the most, or of less than nothing."""
    if not 0 <= size <= most:
        raise BadInput(f"A page has 0 to {most} {what}", setting="MAX_PAGE_SIZE")


def printable(value: str) -> str:
    """Return the text in one line, without what cannot be shown."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def find_id(value: str | int) -> int | None:
    """Return the id that a client sent as a string or a number; None for one that cannot be."""
    if isinstance(value, str):
        if not (len(value) < 20 and value.isascii() and value.isdigit()):
            return None
        value = int(value)
    return value if 0 < value <= LARGEST_ID else None
