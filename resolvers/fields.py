"""What may be typed into a field: each `clean_*` returns the value to keep, or raises BadInput."""

import unicodedata
from collections.abc import Sequence

import emoji
from email_validator import EmailNotValidError, validate_email

from db.models import MessageKind
from resolvers.errors import BadInput, PayloadTooLarge

MAX_DISPLAY_NAME = 100
MAX_CLIENT_MESSAGE_ID = 128
MAX_EMAIL = 254
MAX_FILENAME_BYTES = 255  # what file systems take
MAX_EXTENSION = 16
REPLACED = {"heic", "heif"}
JOINERS = "\u200c\u200d"
MAX_EMOJI = 3
# In code points; the longest that Unicode lists, a couple with skin tones, has ten.
LONGEST_EMOJI = 16
LARGEST_ID = 2**63 - 1
# Unicode's categories of format characters (a zero-width space is one), separators and marks.
_INVISIBLE = frozenset({"Cf", "Zs", "Zl", "Zp", "Mn", "Me"})


def clean_email(value: str) -> str:
    """Return the e-mail's one form: trimmed, valid, lower case."""
    value = value.strip()
    if not value:
        raise BadInput("Email is required")
    if len(value) > MAX_EMAIL:
        raise BadInput("Email is not valid: it is too long")
    try:
        # An address of an intranet, without a dot, is an address too; no DNS is asked.
        checked = validate_email(
            value, check_deliverability=False, globally_deliverable=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise BadInput(f"Email is not valid: {error}") from error
    normalized = checked.normalized.lower()
    if len(normalized) > MAX_EMAIL:
        raise BadInput("Email is not valid: it is too long")
    return normalized


def clean_display_name(value: str) -> str:
    """Return the name, composed (NFC) and with its spaces collapsed."""
    name = " ".join(unicodedata.normalize("NFC", value).split())
    if not name:
        raise BadInput("Display name is required")
    if len(name) > MAX_DISPLAY_NAME:
        raise BadInput(f"Display name is longer than {MAX_DISPLAY_NAME} characters")
    check_text(name, "Display name")
    categories = {unicodedata.category(character) for character in name}
    if "Cc" in categories:
        raise BadInput("Display name contains a control character")
    if categories <= _INVISIBLE:
        raise BadInput("Display name has nothing to see")
    return name


def clean_content(
    value: str, kind: MessageKind | None, *, max_bytes: int, caption: bool = False
) -> str:
    """Return the message's content, as it was typed; a caption may be empty.

    Raises PayloadTooLarge too.
    """
    if not value.strip():
        if not caption:
            raise BadInput("Content is required")
        return ""
    check_text(value, "Content")
    if len(value.encode()) > max_bytes:
        raise PayloadTooLarge(f"Content is larger than {max_bytes} bytes")
    if kind is MessageKind.EMOJI:
        value = value.strip()
        if len(value) > LONGEST_EMOJI * MAX_EMOJI or not _is_emoji(value):
            raise BadInput(f"Content of an EMOJI message is one to {MAX_EMOJI} emoji, nothing else")
    return value


def kind_of(content: str) -> MessageKind:
    """Return what a message is whose sender did not say: EMOJI for one to three emoji alone."""
    # Most messages are told apart by their first character or their length.
    if len(content) > LONGEST_EMOJI * MAX_EMOJI or content[:1].isalpha():
        return MessageKind.TEXT
    return MessageKind.EMOJI if _is_emoji(content) else MessageKind.TEXT


def _is_emoji(value: str) -> bool:
    return emoji.purely_emoji(value) and 1 <= emoji.emoji_count(value) <= MAX_EMOJI


def clean_client_message_id(value: str | None) -> str | None:
    """Return the key, or None when there is none."""
    if value is None:
        return None
    if not value or value != value.strip():
        # MySQL compares without regard to trailing spaces.
        raise BadInput("clientMessageId is empty, or begins or ends with a space")
    if len(value) > MAX_CLIENT_MESSAGE_ID:
        raise BadInput(f"clientMessageId is longer than {MAX_CLIENT_MESSAGE_ID} characters")
    check_text(value, "clientMessageId")
    return value


def clean_filename(value: str, *, suffixes: Sequence[str] = ()) -> str:
    """Return a name to save a file under: of any script, without a path or what deceives the eye.

    Whatever was sent becomes a name. One that does not end in one of `suffixes` gets the first.
    """
    name = unicodedata.normalize("NFC", value.encode(errors="replace").decode())
    name = name.replace("\\", "/").rpartition("/")[2]
    # Format characters turn the reading direction, so that "gpj.exe" reads as a picture's name;
    # what joins and parts letters and emoji are some too, and stay.
    kept = [c for c in name if c in JOINERS or unicodedata.category(c) not in {"Cc", "Cf", "Cs"}]
    name = " ".join("".join(kept).split()).strip(". ") or "file"
    if suffixes and not name.lower().endswith(tuple(suffixes)):
        stem, dot, extension = name.rpartition(".")
        # A photo.heic is a photo.jpg now; but nothing says that "v1.2" ends in a suffix.
        name = (stem if dot and extension.lower() in REPLACED else name) + suffixes[0]
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > MAX_EXTENSION:
        stem, extension = name, ""
    ending = f".{extension}" if extension else ""
    room = MAX_FILENAME_BYTES - len(ending.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + ending


def check_text(value: str, field: str) -> None:
    """Raise BadInput for text that cannot be kept or shown: NUL characters, lone surrogates."""
    if "\0" in value:
        raise BadInput(f"{field} contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{field} is not valid Unicode") from error


def printable(value: str) -> str:
    """Return the text in one line, without what cannot be shown."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def find_id(value: str | int) -> int | None:
    """Return the id that a client sent as a string or a number; None when nothing can have it."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            return None
        value = int(value)
    return value if 0 < value <= LARGEST_ID else None
