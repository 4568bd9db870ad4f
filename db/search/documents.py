"""The index's form of a message, and the schema of the index."""

from datetime import datetime
from typing import NamedTuple

import msgspec
from tantivy import Index, Schema, SchemaBuilder, TextAnalyzerBuilder, Tokenizer

from db.models import MessageKind
from db.search.words import index_form

# Of the documents and of the words: an index of another version is made anew.
VERSION = 1

# Texts are taken apart here (words.py): the library only looks for the spaces.
_SPACES = "spaces"
# What the library gets may hold no more than words and spaces, whatever a message holds.
_encoder = msgspec.json.Encoder()


class Text(NamedTuple):
    """A message as the index reads it."""

    id: int
    sender_id: int
    receiver_id: int | None
    conversation_id: int
    kind: MessageKind
    created_at: datetime
    content: str
    filename: str | None = None

    @property
    def text(self) -> str:
        """What it is searched by."""
        return join_text(self.content, self.filename)


class State(msgspec.Struct, frozen=True):
    """Which part of the log the index has: every message from one position up to another."""

    first: int
    last: int


class _Document(msgspec.Struct, omit_defaults=True):
    id: int
    at: int
    words: str
    filters: str
    parts: str = ""


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
    """Return the message as the index takes it."""
    words, parts = index_form(text.text)
    filters = f"c{text.conversation_id} s{text.sender_id} k{text.kind}"
    if text.receiver_id is not None:
        filters = f"{filters} p{text.sender_id} p{text.receiver_id}"
    at = microseconds(text.created_at)
    return _encoder.encode(_Document(text.id, at, words, filters, parts)).decode()


def state_document(state: State) -> str:
    """Return the state as the index takes it."""
    return _encoder.encode({"filters": "state", "state": _encoder.encode(state).decode()}).decode()


def read_state(stored: str) -> State:
    """Return a stored state. Raises msgspec.DecodeError, msgspec.ValidationError."""
    return msgspec.json.decode(stored, type=State)


def microseconds(moment: datetime) -> int:
    """Return a moment as the index compares it: never less than 0."""
    return max(0, round(moment.timestamp() * 1_000_000))
