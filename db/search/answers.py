"""The messages that the index proposes as hits: the newest first, or the best.

What one answer costs is bounded. The log is looked through in ranges, from its newest position on,
each larger than the one before. After so much time of the processor there is no further range.
"""

from collections.abc import Iterator
from time import thread_time
from typing import NamedTuple

from tantivy import Query, Searcher

from db.search.queries import Search, all_of, between, query_of

# The size of the first range, and how much larger each following one is.
FIRST_RANGE, GROWTH = 1 << 16, 4
# After so much time there is no further range; the last one may take GROWTH times as long.
SECONDS = 0.03
# The most messages that are ranked.
MAX_RANKED = 1000


class Proposed(NamedTuple):
    """Ids of messages that are hits, unless the database says otherwise."""

    ids: list[int]
    first: int  # every message from this position on was looked at


def find_newest(
    searcher: Searcher, search: Search, *, last: int, before: int | None, limit: int
) -> Proposed:
    """Return up to `limit` hits before an id, the newest first.

    The index has nothing past `last`.
    """
    query = query_of(searcher, search)
    ids: list[int] = []
    first = last = last if before is None else min(last, before - 1)
    for start, range_ in _ranges(query, last):
        first = start
        wanted = limit - len(ids)
        hits = searcher.search(range_, wanted, count=False, order_by_field="id").hits
        ids += (id_ for id_, _ in hits)
        if len(ids) == limit:
            break
    return Proposed(ids, first)


def find_ranked(searcher: Searcher, search: Search, *, last: int) -> Proposed:
    """Return the best MAX_RANKED hits; `last` as above."""
    query = query_of(searcher, search)
    ranked: list[tuple[float, int]] = []
    first = last
    for start, range_ in _ranges(query, last):
        first = start
        hits = searcher.search(range_, MAX_RANKED, count=False).hits
        ids = searcher.fast_field_values("id", [address for _, address in hits])
        ranked += ((score, int(id_ or 0)) for (score, _), id_ in zip(hits, ids, strict=True))
    return Proposed([id_ for _, id_ in sorted(ranked, reverse=True)[:MAX_RANKED]], first)


def _ranges(query: Query, last: int) -> Iterator[tuple[int, Query]]:
    """Yield the first position of each range, and the query within it, while there is time."""
    began, size = thread_time(), FIRST_RANGE
    while last > 0:
        first = max(0, last - size)
        yield first, all_of([query, between(first, last)])
        last, size = first - 1, size * GROWTH
        if thread_time() - began > SECONDS:
            return
