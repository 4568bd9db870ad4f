"""Searching page by page: every hit once, in bounded time."""

import pytest

from db.search import answers
from db.search import search as search_part
from db.search.search import Found
from resolvers.context import Context
from resolvers.of_messages import search
from resolvers.of_messages.search import Cursor, SearchOrder
from tests.resolvers.conftest import join
from tests.resolvers.searching import finds, ids_of, indexed, look, send, until


@pytest.mark.parametrize("order", SearchOrder)
async def test_pages_have_every_hit_once(ctx: Context, order: SearchOrder) -> None:
    alice, bob = await join(ctx), await join(ctx)
    sent = [await send(alice, f"common words {'again ' * (n % 4)}", bob) for n in range(23)]
    await indexed(alice, sent[-1])
    found: list[int] = []
    after = None
    while True:
        page = await look(alice, "common again", first=5, after=after, order=order)
        found += ids_of(page)
        assert page.has_more == (len(page.hits) == 5 and len(found) < 17)
        if not page.has_more:
            break
        after = page.end
    wanted = [message.id for message in sent if "again" in message.content]
    assert sorted(found) == wanted
    if order is SearchOrder.NEWEST:
        assert found == wanted[::-1]


async def test_a_page_goes_on_where_its_last_message_was(ctx: Context) -> None:
    """Whatever has become of that message, and however many came meanwhile."""
    alice, bob = await join(ctx), await join(ctx)
    sent = [await send(alice, f"steady {n}", bob) for n in range(6)]
    await finds(alice, "steady", *sent)
    page = await look(alice, "steady", first=2)
    later = await send(alice, "steady later", bob)
    await finds(alice, "steady", *sent, later)
    rest = await look(alice, "steady", after=page.end)
    assert ids_of(rest) == [message.id for message in sent[3::-1]]
    assert page.end is not None
    gone = Cursor(SearchOrder.RELEVANCE, False, 10**12, 3)
    ranked = await look(alice, "steady", order=SearchOrder.RELEVANCE)
    assert (
        ids_of(await look(alice, "steady", order=SearchOrder.RELEVANCE, after=gone))
        == ids_of(ranked)[3:]
    )


async def test_a_page_is_filled_up_past_what_is_hidden(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await join(ctx), await join(ctx)
    shown = [await send(alice, "visible", bob) for _ in range(2)]
    proposed = [*range(10**6, 10**6 + 300), shown[1].id, shown[0].id]

    async def many(*_: object, before: int | None, limit: int) -> Found:
        left = proposed if before is None else proposed[proposed.index(before) + 1 :]
        return Found(left[:limit], True)

    monkeypatch.setattr(search_part.MessageSearch, "find", many)
    page = await look(alice, "visible", first=2)
    assert ids_of(page) == [shown[1].id, shown[0].id]
    assert not page.has_more
    monkeypatch.setattr(search, "MOST_LOOKED_AT", 50)
    pages = [await look(alice, "visible", first=2)]
    while pages[-1].has_more:
        pages.append(await look(alice, "visible", first=2, after=pages[-1].end))
    assert len(pages) > 3
    assert [id_ for page in pages for id_ in ids_of(page)] == [shown[1].id, shown[0].id]


async def test_a_page_ends_early_where_its_time_is_over(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "FIRST_RANGE", 3)
    monkeypatch.setattr(answers, "SECONDS", -1)
    alice, bob = await join(ctx), await join(ctx)
    old = await send(alice, "rare one", bob)
    new = [await send(alice, f"other {n}", bob) for n in range(9)]
    await indexed(alice, new[-1])
    pages = [await look(alice, "rare")]
    while pages[-1].has_more:
        assert pages[-1].hits == []
        pages.append(await look(alice, "rare", after=pages[-1].end))
    assert len(pages) > 2
    assert ids_of(pages[-1]) == [old.id]


async def test_long_texts_are_looked_through_a_few_at_a_time(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_CHARACTERS", 30_000)
    monkeypatch.setattr(search, "SPARE", 0)
    alice = await join(ctx)
    sent = [await send(alice, "é" * 7_000 + f" long {n}", alice) for n in range(9)]
    await until(alice, "long 8", lambda page: bool(page.hits))
    found: list[int] = []
    after, pages = None, 0
    while True:
        page = await look(alice, "long", first=3, after=after)
        found, after, pages = found + ids_of(page), page.end, pages + 1
        if not page.has_more:
            break
    assert found == [message.id for message in sent[::-1]]
    assert pages >= 3
