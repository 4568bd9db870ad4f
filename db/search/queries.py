"""A question, and what its asker may see, as queries of the index.

How much an answer costs is bounded: a search for the newest messages looks through the newest part
of the log first; one by relevance ranks only the newest messages with words that very many have.
"""

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
# A question may have so many such beginnings; whatever has others is looked at afterwards.
MAX_BROAD = 2
# So many mistyped words are looked for: each is compared with all words of the index.
MAX_TYPOS = 4
# A search for the newest looks through so many positions of the log first, then through all.
WINDOWS = (1 << 16, 1 << 20)
# A word in more messages than this is too common to rank all of them, and the positions that are
# ranked then.
COMMON, RANKED_POSITIONS = 300_000, 1 << 20
# The most messages that are ranked by relevance.
MAX_RANKED = 1000

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


def find_newest(searcher: Searcher, search: Search, *, before: int | None, limit: int) -> list[int]:
    """Return the ids of the newest hits before an id, newest first: fewer than `limit` if no more.

    Some may not answer the question after all.
    """
    query = _hits(searcher, search)
    last = _LAST if before is None else before - 1
    newest = searcher.search(_between(0, last), 1, count=False, order_by_field="id").hits
    if not newest:
        return []
    last = newest[0][0]
    found: list[int] = []
    for window in (*WINDOWS, None):
        first = 0 if window is None else max(0, last - window)
        hits = searcher.search(
            _all([query, _between(first, last)]), limit, count=False, order_by_field="id"
        ).hits
        found = [id_ for id_, _ in hits]
        if len(found) >= limit or first == 0:
            break
    return found


def find_ranked(searcher: Searcher, search: Search) -> list[int]:
    """Return the ids of the hits, the best first, at most MAX_RANKED."""
    clauses = [_hits(searcher, search)]
    words = [word for phrase in search.question for word in phrase.words]
    if min((searcher.doc_freq("words", word) for word in words), default=0) > COMMON:
        newest = searcher.search(_between(0, _LAST), 1, count=False, order_by_field="id").hits
        clauses.append(_between(max(0, newest[0][0] - RANKED_POSITIONS), _LAST))
    hits = searcher.search(_all(clauses), MAX_RANKED, count=False).hits
    ids = searcher.fast_field_values("id", [address for _, address in hits])
    ranked = [(score, int(id_ or 0)) for (score, _), id_ in zip(hits, ids, strict=True)]
    return [id_ for _, id_ in sorted(ranked, reverse=True)]


def _hits(searcher: Searcher, search: Search) -> Query:
    clauses = [*_phrases(searcher, search)]
    clauses.append(_unscored(_all([_visible(search.seen), *_filters(search.filters)])))
    return _all(clauses)


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
            yield _any([_word(searcher, phrase)[0], _mistyped(phrase)])
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

    Where the last word may go on in very many ways, the hits are only looked at afterwards.
    """
    if not phrase.begins:
        return _row(phrase.words)
    *others, last = phrase.words
    endings = _endings(searcher, "words", last)
    if len(endings) < MAX_ENDINGS:
        return _any([_row((*others, ending)) for ending in endings])
    return _row(others)


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
    return _any(ways), is_broad


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
        broadcasts.append(_between(seen.broadcasts_after + 1, _LAST))
    for_everybody = _all(broadcasts)
    if seen.apart:
        senders = [f"s{id_}" for id_ in seen.apart]
        theirs = Query.term_set_query(_SCHEMA, "filters", senders)
        for_everybody = Query.boolean_query([(Occur.Must, for_everybody), (Occur.MustNot, theirs)])
    ways = [_term("filters", f"p{seen.viewer_id}"), for_everybody]
    for group in seen.groups:
        of_group = _term("filters", f"c{group.conversation_id}")
        if group.after > 0 or group.upto is not None:
            upto = _LAST if group.upto is None else group.upto
            of_group = _all([of_group, _between(group.after + 1, upto)])
        ways.append(of_group)
    return _any(ways)


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


def _between(first: int, last: int) -> Query:
    return Query.range_query(_SCHEMA, "id", FieldType.Unsigned, first, last)


def _all(queries: Sequence[Query]) -> Query:
    if len(queries) == 1:
        return queries[0]
    return Query.boolean_query([(Occur.Must, query) for query in queries])


def _any(queries: Sequence[Query]) -> Query:
    if len(queries) == 1:
        return queries[0]
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _unscored(query: Query) -> Query:
    return Query.const_score_query(query, 0.0)
