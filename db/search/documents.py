"""The index's form of a message, and the schema of the index."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from tantivy import Index, Schema, SchemaBuilder, TextAnalyzerBuilder, Tokenizer

from db.search.words import index_form

# Of the documents and of the words: an index of another version is made anew.
VERSION = 1

# Texts are taken apart here (words.py): the library only looks for the spaces.
_SPACES = "spaces"
# What the library gets may hold no more than words and spaces, whatever a message holds.
_encoder = msgspec.json.Encoder()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Text(NamedTuple):
    """A message as the index reads it."""

    id: int
    sender_id: int
    receiver_id: int | None
    conversation_id: int
    kind: str
    at: int  # when it was sent, as `microseconds` gives it
    content: str
    filename: str | None = None
    # What those who have left the group see instead: kinds and texts.
    kept: Sequence[tuple[str, str]] = ()

    @property
    def text(self) -> str:
        """What it is searched by."""
        return join_text(self.content, self.filename)


class State(msgspec.Struct, frozen=True):
    """Which part of the log the index has: every message from one position up to another."""

    first: int
    last: int
    # When the index was begun.
    made_at: float = 0.0
    # Since when the files may have words of texts that were changed or deleted; 0 for none.
    stale_since: float = 0.0
    # A renewal has written everything from here up once more; 0 while there is none.
    renewed_from: int = 0


def join_text(content: str, filename: str | None) -> str:
    """Return the text by which a message is found: what was written, and the file's name."""
    if filename is None:
        return content
    return f"{content}\n{filename}" if content else filename


def make_schema() -> Schema:
    """Return the fields of a document."""
    builder = SchemaBuilder()
    builder.add_unsigned_field("id", indexed=True, fast=True)
    builder.add_unsigned_field("at", fast=True)
    builder.add_text_field("words", tokenizer_name=_SPACES, index_option="position")
    builder.add_text_field("parts", tokenizer_name=_SPACES, index_option="basic")
    builder.add_text_field("filters", tokenizer_name=_SPACES, index_option="basic")
    # The state is a document too, so that one commit stores both it and the messages.
    builder.add_text_field("state", stored=True, tokenizer_name="raw", index_option="basic")
    return builder.build()


def open_index(path: str) -> Index:
    """Open the index in this directory, or make it there. Raises ValueError, OSError."""
    index = Index(make_schema(), path)
    index.register_tokenizer(_SPACES, TextAnalyzerBuilder(Tokenizer.whitespace()).build())
    index.config_reader("manual")
    return index


def document_of(text: Text) -> str:
    """Return the message as the index takes it, in JSON."""
    id_, sender, receiver, conversation, kind, at, content, filename, kept = text
    if filename is not None:
        content = join_text(content, filename)
    if kept:
        # Each reader's hits are looked at afterwards, in the text that they see.
        content = "\n".join(dict.fromkeys((content, *(text for _, text in kept))))
        kind = " k".join(sorted({kind, *(kind for kind, _ in kept)}))
    words, parts = index_form(content)
    people = "" if receiver is None else f" p{sender} p{receiver}"
    filters = f"c{conversation} s{sender} k{kind}{people}"
    # Letters and digits of ASCII, and spaces, need no escapes: an encoder would take twice as long.
    written = f'"{words}"' if words.isascii() else _encoder.encode(words).decode()
    more = f',"parts":{_encoder.encode(parts).decode()}' if parts else ""
    return f'{{"id":{id_},"at":{at},"words":{written},"filters":"{filters}"{more}}}'


def state_document(state: State) -> str:
    """Return the state as the index takes it."""
    return _encoder.encode({"filters": "state", "state": _encoder.encode(state).decode()}).decode()


def read_state(stored: str) -> State:
    """Return a stored state. Raises msgspec.DecodeError, msgspec.ValidationError."""
    return msgspec.json.decode(stored, type=State)


def microseconds(moment: datetime) -> int:
    """Return a moment as the index compares it: never less than 0."""
    return max(0, (moment - _EPOCH) // _MICROSECOND)
