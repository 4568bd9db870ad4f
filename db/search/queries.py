"""A question, and what its asker may see, as a query of the index."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from enum import Enum

import msgspec
from tantivy import FieldType, Occur, Query, Schema, Searcher

from db.models import EVERYBODY_ID, MessageKind
from db.search.documents import make_schema, microseconds
from db.search.question import Phrase
from db.search.words import is_unspaced, without_article

# So many words with the same beginning are looked up one by one. For more, the index reads them
# all, which takes milliseconds where there are millions of messages.
MAX_ENDINGS = 64
# Rows of words cost more: so many endings of the last word of a row.
MAX_ROWS = 4
# A question may have so many such beginnings; whatever has others is looked at afterwards.
MAX_BROAD = 2
# So many mistyped words are looked for: each is compared with all words of the index.
MAX_TYPOS = 4
_SCHEMA: Schema = make_schema()
_LAST = 2**63 - 1


class SearchOrder(Enum):
    """Which hits come first."""

    NEWEST = "NEWEST"
    RELEVANCE = "RELEVANCE"


class GroupRange(msgspec.Struct, frozen=True):
    """The part of a group's messages that the viewer may see: past the one, up to the other."""

    conversation_id: int
    after: int
    upto: int | None


class Seen(msgspec.Struct, frozen=True):
    """What the viewer may see. The database has the last word (db/visibility.py)."""

    viewer_id: int
    broadcasts_after: int
    apart: Collection[int]  # the users from whom a block keeps the viewer apart
    groups: Sequence[GroupRange]


class Filters(msgspec.Struct, frozen=True):
    """Which messages are asked for."""

    conversation_id: int | None = None
    sender_id: int | None = None
    kind: MessageKind | None = None
    since: datetime | None = None
    until: datetime | None = None


class Search(msgspec.Struct, frozen=True):
    """A question, with everything that decides which messages are hits."""

    question: tuple[Phrase, ...]
    seen: Seen
    filters: Filters
    order: SearchOrder
    typos: bool = False


def query_of(searcher: Searcher, search: Search) -> Query:
    """Return what finds every hit, and perhaps some messages that are none."""
    clauses = [*_phrases(searcher, search)]
    clauses.append(_unscored(all_of([_visible(search.seen), *_filters(search.filters)])))
    return all_of(clauses)


def _phrases(searcher: Searcher, search: Search) -> Iterator[Query]:
    broad: list[Query] = []
    sharp = 0
    mistyped = sorted(
        (phrase for phrase in search.question if search.typos and phrase.may_have_typo),
        key=lambda phrase: len(phrase.words[0]),
    )[-MAX_TYPOS:]
    for phrase in search.question:
        if phrase in mistyped:
            sharp += 1
            yield any_of([_word(searcher, phrase)[0], _mistyped(phrase)])
        elif len(phrase.words) > 1:
            sharp += 1
            yield _row_of(searcher, phrase)
        else:
            query, is_broad = _word(searcher, phrase)
            if is_broad:
                broad.append(query)
            else:
                sharp += 1
                yield query
    yield from broad[: 1 if sharp else MAX_BROAD]


def _row_of(searcher: Searcher, phrase: Phrase) -> Query:
    """Return the query for words in a row.

    Where the last word may go on in many ways, it may stand anywhere in the message: the hits are
    looked at afterwards.
    """
    if not phrase.begins:
        return _row(phrase.words)
    *others, last = phrase.words
    endings = _endings(searcher, "words", last)
    if len(endings) <= MAX_ROWS:
        return any_of([_row((*others, ending)) for ending in endings])
    query, is_broad = _word(searcher, Phrase((last,), begins=True))
    return _row(others) if is_broad else all_of([_row(others), query])


def _row(words: Sequence[str]) -> Query:
    if len(words) == 1:
        return _term("words", words[0])
    return Query.phrase_query(_SCHEMA, "words", [*words])


def _word(searcher: Searcher, phrase: Phrase) -> tuple[Query, bool]:
    """Return the query for one word, and whether it is broad: whether it costs much."""
    [word] = phrase.words
    if is_unspaced(word):
        return _term("parts" if len(word) == 1 else "words", word), False
    forms = {word, without_article(word)}
    is_arabic = "\u0600" <= word[0] <= "\u06ff"
    ways: list[Query] = []
    is_broad = False
    for field in ("words", "parts") if is_arabic else ("words",):
        for form in forms:
            ways.append(Query.boost_query(_term(field, form), 2.0))
            if not phrase.begins:
                continue
            endings = _endings(searcher, field, form)
            if len(endings) < MAX_ENDINGS:
                ways += [_term(field, ending) for ending in endings if ending != form]
            else:
                is_broad = True
                ways.append(Query.fuzzy_term_query(_SCHEMA, field, form, distance=0, prefix=True))
    return any_of(ways), is_broad


def _endings(searcher: Searcher, field: str, beginning: str) -> list[str]:
    found = searcher.terms_with_prefix(field, beginning, None, MAX_ENDINGS)
    return [word for word, _ in found]


def _mistyped(phrase: Phrase) -> Query:
    return Query.fuzzy_term_query(
        _SCHEMA, "words", phrase.words[0], distance=phrase.typos, transposition_cost_one=True
    )


def _visible(seen: Seen) -> Query:
    broadcasts = [_term("filters", f"c{EVERYBODY_ID}")]
    if seen.broadcasts_after > 0:
        broadcasts.append(between(seen.broadcasts_after + 1, _LAST))
    for_everybody = all_of(broadcasts)
    if seen.apart:
        senders = [f"s{id_}" for id_ in seen.apart]
        theirs = Query.term_set_query(_SCHEMA, "filters", senders)
        for_everybody = Query.boolean_query([(Occur.Must, for_everybody), (Occur.MustNot, theirs)])
    own = [_term("filters", f"{role}{seen.viewer_id}") for role in "ps"]
    ways = [*own, for_everybody]
    for group in seen.groups:
        of_group = _term("filters", f"c{group.conversation_id}")
        if group.after > 0 or group.upto is not None:
            upto = _LAST if group.upto is None else group.upto
            of_group = all_of([of_group, between(group.after + 1, upto)])
        ways.append(of_group)
    return any_of(ways)


def _filters(filters: Filters) -> Iterator[Query]:
    if filters.conversation_id is not None:
        yield _term("filters", f"c{filters.conversation_id}")
    if filters.sender_id is not None:
        yield _term("filters", f"s{filters.sender_id}")
    if filters.kind is not None:
        yield _term("filters", f"k{filters.kind}")
    if filters.since is not None or filters.until is not None:
        since = 0 if filters.since is None else microseconds(filters.since)
        until = _LAST if filters.until is None else microseconds(filters.until)
        yield Query.range_query(
            _SCHEMA, "at", FieldType.Unsigned, since, until, include_upper=False
        )


def _term(field: str, word: str) -> Query:
    return Query.term_query(_SCHEMA, field, word, "position" if field == "words" else "basic")


def between(first: int, last: int) -> Query:
    """Return what finds the messages from one id to another, both included."""
    return Query.range_query(_SCHEMA, "id", FieldType.Unsigned, first, last)


def all_of(queries: Sequence[Query]) -> Query:
    """Return what finds the messages that each of the queries finds."""
    if len(queries) == 1:
        return queries[0]
    return Query.boolean_query([(Occur.Must, query) for query in queries])


def any_of(queries: Sequence[Query]) -> Query:
    if len(queries) == 1:
        return queries[0]
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _unscored(query: Query) -> Query:
    return Query.const_score_query(query, 0.0)
