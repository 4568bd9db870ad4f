"""The index proposes what the rule of hits.py finds, to those who may see it."""

import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from stat import S_IMODE

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.models import EVERYBODY_ID, MessageKind
from db.search import answers, queries
from db.search.documents import State, Text, microseconds
from db.search.hits import excerpt
from db.search.index import IndexDamaged, IndexPlace, ReadableIndex, WritableIndex
from db.search.queries import Filters, GroupRange, Search, SearchOrder, Seen
from db.search.question import read_question
from tests.db.rows import NOW
from tests.db.test_search_words import FOUND, NOT_FOUND

ANN, BOB, CAROL = 1, 2, 3
GROUP = 70
Writer = Callable[..., None]


def text(id_: int, content: str, **fields: object) -> Text:
    """Return a message of Ann's to Bob."""
    values = {
        "sender_id": ANN,
        "receiver_id": BOB,
        "conversation_id": 12,
        "kind": MessageKind.TEXT,
        "at": microseconds(NOW + timedelta(seconds=id_)),
        **fields,
    }
    return Text(id_, content=content, **values)  # type: ignore[arg-type]  # as Text has them


def seen(viewer_id: int, **fields: object) -> Seen:
    values = {"broadcasts_after": 0, "apart": (), "groups": (), **fields}
    return Seen(viewer_id, **values)  # type: ignore[arg-type]  # as Seen has them


class Index:
    """An index in a directory, written and read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = WritableIndex(path)
        self.reader = ReadableIndex(path)

    def put(self, texts: Sequence[Text]) -> None:
        self.writer.add(texts)
        self.writer.commit(State(1, max((text.id for text in texts), default=1)))

    def ids(
        self,
        query: str,
        who: Seen | None = None,
        *,
        filters: Filters | None = None,
        order: SearchOrder = SearchOrder.NEWEST,
        typos: bool = False,
        before: int | None = None,
        limit: int = 1000,
    ) -> list[int]:
        snapshot = self.reader.snapshot()
        assert snapshot is not None
        question = read_question(query)
        search = Search(question, who or seen(ANN), filters or Filters(), order, typos)
        if order is SearchOrder.RELEVANCE:
            return answers.find_ranked(snapshot.searcher, search, last=snapshot.state.last).ids
        return self.newest(search, before=before, limit=limit).ids

    def newest(self, search: Search, *, before: int | None, limit: int) -> answers.Proposed:
        snapshot = self.reader.snapshot()
        assert snapshot is not None
        last = snapshot.state.last
        return answers.find_newest(snapshot.searcher, search, last=last, before=before, limit=limit)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(tmp_path / "index")
    yield index
    index.writer.close()


def test_the_index_finds_words_of_every_script(index: Index) -> None:
    texts: list[str] = [*dict.fromkeys([*(t for t, *_ in FOUND), *(t for t, _ in NOT_FOUND)])]
    index.put([text(id_, content) for id_, content in enumerate(texts, 1)])
    for content, query, _ in FOUND:
        assert texts.index(content) + 1 in index.ids(query), (content, query)
    for content, query in NOT_FOUND:
        if read_question(query):
            assert texts.index(content) + 1 not in index.ids(query), (content, query)


pieces = st.sampled_from(
    [
        "cat",
        "catalogue",
        "cats",
        "dog",
        "北京",
        "北京大学",
        "京",
        "caté",
        "الكتاب",
        "كتاب",
        "👍",
        "12",
        "1234",
    ]
)
phrases = st.lists(pieces, min_size=1, max_size=4).map(" ".join)
queries_ = st.lists(st.one_of(pieces, phrases.map('"{}"'.format)), min_size=1, max_size=3)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    contents=st.lists(phrases, min_size=1, max_size=20),
    asked=st.lists(queries_, min_size=1, max_size=20),
)
def test_the_index_proposes_every_hit(
    tmp_path_factory: pytest.TempPathFactory, contents: list[str], asked: list[list[str]]
) -> None:
    index = Index(tmp_path_factory.mktemp("index"))
    index.put([text(id_, content) for id_, content in enumerate(contents, 1)])
    for words in asked:
        query = " ".join(words)
        question = read_question(query)
        hits = {i for i, content in enumerate(contents, 1) if excerpt(content, question)}
        assert {*index.ids(query)} >= hits, query
        assert {*index.ids(query, order=SearchOrder.RELEVANCE)} >= hits, query
    index.writer.close()


def test_many_words_with_one_beginning_are_all_found(index: Index) -> None:
    many = queries.MAX_ENDINGS * 3
    index.put([text(n, f"start{n:04} and more") for n in range(1, many + 1)])
    assert index.ids("start", limit=many + 1) == [*range(many, 0, -1)]
    assert index.ids("sta and mo", limit=many + 1) == [*range(many, 0, -1)]
    # In a row of words: proposed, and looked at afterwards.
    index.put([text(many + 1, "go-start0001x")])
    assert many + 1 in index.ids("go-start")


def test_only_the_people_of_a_message_find_it(index: Index) -> None:
    index.put([text(1, "secret"), text(2, "secret", sender_id=BOB, receiver_id=BOB)])
    assert index.ids("secret", seen(ANN)) == [1]
    assert index.ids("secret", seen(BOB)) == [2, 1]
    assert index.ids("secret", seen(CAROL)) == []


def test_broadcasts_are_found_as_they_are_shown(index: Index) -> None:
    everybody = {"receiver_id": None, "conversation_id": EVERYBODY_ID}
    index.put([text(1, "news", **everybody), text(5, "news", **everybody, sender_id=BOB)])
    assert index.ids("news", seen(CAROL)) == [5, 1]
    assert index.ids("news", seen(CAROL, broadcasts_after=1)) == [5]
    assert index.ids("news", seen(CAROL, apart=[BOB])) == [1]


def test_a_groups_messages_are_found_from_joining_to_leaving(index: Index) -> None:
    of_group = {"receiver_id": None, "conversation_id": GROUP, "sender_id": BOB}
    index.put([text(n, "plan", **of_group) for n in range(1, 6)])
    assert index.ids("plan", seen(CAROL)) == []
    assert index.ids("plan", seen(BOB)) == [5, 4, 3, 2, 1], "one's own words stay one's own"
    for after, upto, ids in ((0, None, [5, 4, 3, 2, 1]), (2, None, [5, 4, 3]), (1, 3, [3, 2])):
        who = seen(CAROL, groups=[GroupRange(GROUP, after, upto)])
        assert index.ids("plan", who) == ids


def test_filters(index: Index) -> None:
    index.put(
        [
            text(1, "plan"),
            text(2, "plan", sender_id=BOB, receiver_id=ANN, kind=MessageKind.VOICE),
            text(3, "plan", receiver_id=CAROL, conversation_id=13),
            text(4, "", filename="plan.pdf", kind=MessageKind.FILE),
        ]
    )
    assert index.ids("plan", filters=Filters(sender_id=BOB)) == [2]
    assert index.ids("plan", filters=Filters(conversation_id=13)) == [3]
    assert index.ids("plan", filters=Filters(kind=MessageKind.FILE)) == [4]
    moment = [NOW + timedelta(seconds=n) for n in range(6)]
    assert index.ids("plan", filters=Filters(since=moment[2])) == [4, 3, 2]
    assert index.ids("plan", filters=Filters(until=moment[2])) == [1]
    assert index.ids("plan", filters=Filters(since=moment[2], until=moment[4])) == [3, 2]


def test_the_newest_come_first_across_the_ranges(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "FIRST_RANGE", 10)
    index.put([text(n, f"word {'even' if n % 2 == 0 else 'odd'}") for n in range(1, 301)])
    assert index.ids("even", limit=3) == [300, 298, 296]
    assert index.ids("even", limit=40) == [*range(300, 220, -2)]
    assert index.ids("even", limit=1000) == [*range(300, 0, -2)]
    assert index.ids("even", before=20, limit=1000) == [*range(18, 0, -2)]
    assert index.ids("even", before=2) == []


def test_relevance_puts_the_best_answers_first(index: Index) -> None:
    index.put(
        [
            text(1, "the catalogue of a long list of other things, among which is one cat"),
            text(2, "cat"),
            text(3, "catalogue"),
        ]
    )
    assert index.ids("cat", order=SearchOrder.RELEVANCE)[0] == 2
    assert {*index.ids("cat", order=SearchOrder.RELEVANCE)} == {1, 2, 3}


def test_without_time_the_newest_messages_are_looked_through(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one goes on from there."""
    index.put([text(n, "rare" if n % 40 == 0 else "common") for n in range(1, 201)])
    monkeypatch.setattr(answers, "FIRST_RANGE", 20)
    monkeypatch.setattr(answers, "SECONDS", -1)
    assert index.ids("common", order=SearchOrder.RELEVANCE) == [*range(199, 179, -1)]
    search = Search(read_question("rare"), seen(ANN), Filters(), SearchOrder.NEWEST)
    found: list[int] = []
    before: int | None = None
    while before != 0:
        ids, before = index.newest(search, before=before, limit=5)
        found += ids
    assert found == [200, 160, 120, 80, 40]


def test_typos_are_found_when_asked_for(index: Index) -> None:
    index.put([text(1, "you will recieve it"), text(2, "nothing of it")])
    assert index.ids("receive it") == []
    assert index.ids("receive it", typos=True) == [1]


def test_what_is_removed_is_found_no_more_after_the_commit(index: Index) -> None:
    index.put([text(1, "old words"), text(2, "other words")])
    index.writer.remove([1])
    index.writer.add([text(1, "new words")])
    assert index.ids("words") == [2, 1]
    index.writer.commit(State(1, 3))
    assert index.ids("old") == []
    assert index.ids("new words") == [1]


def test_nothing_is_kept_of_what_was_not_committed(tmp_path: Path) -> None:
    index = Index(tmp_path)
    index.put([text(1, "kept")])
    index.writer.add([text(2, "kept not")])
    index.writer.close()
    again = Index(tmp_path)
    assert again.writer.state == State(1, 1)
    assert again.ids("kept") == [1]
    again.writer.close()


def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    place = IndexPlace(tmp_path / "search")
    lock = place.lock()
    assert lock is not None
    path = place.path_of("abc")
    index = Index(path)
    index.put([text(1, "private")])
    for found in (tmp_path / "search").rglob("*"):
        assert S_IMODE(found.stat().st_mode) == (0o700 if found.is_dir() else 0o600), found
    assert S_IMODE((tmp_path / "search").stat().st_mode) == 0o700
    index.writer.close()
    place.unlock(lock)


def test_one_holds_the_place(tmp_path: Path) -> None:
    place, other = IndexPlace(tmp_path), IndexPlace(tmp_path)
    lock = place.lock()
    assert lock is not None
    assert other.lock() is None
    place.unlock(lock)
    lock = other.lock()
    assert lock is not None
    other.unlock(lock)


def test_indexes_of_other_logs_are_removed(tmp_path: Path) -> None:
    place = IndexPlace(tmp_path)
    for epoch in ("old", "new"):
        Index(place.path_of(epoch)).writer.close()
    place.clear(but="new")
    assert [path.name for path in tmp_path.iterdir()] == [place.path_of("new").name]


@pytest.mark.parametrize("pattern", ["meta.json", "*.idx", "*.term", "*.fast", "*.store"])
def test_damaged_files_are_noticed(tmp_path: Path, pattern: str) -> None:
    index = Index(tmp_path)
    index.put([text(1, "something")])
    index.writer.close()
    for path in tmp_path.glob(pattern):
        path.write_text("garbage")
    with pytest.raises(IndexDamaged):
        WritableIndex(tmp_path)
    with pytest.raises(IndexDamaged):
        ReadableIndex(tmp_path).snapshot()


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    """What was committed is still there."""
    index = Index(tmp_path)
    index.put([text(1, "kept")])
    index.writer.add([text(2, "too much")])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match=r"too large|io::Error"):
            index.writer.commit(State(1, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    index.writer.close()
    again = Index(tmp_path)
    assert again.writer.state == State(1, 1)
    again.put([text(2, "kept too")])
    assert again.ids("kept") == [2, 1]
    again.writer.close()


def test_no_text_is_too_much_for_the_index(index: Index) -> None:
    contents = [
        *("x" * 60_000, "\ufdfa" * 20_000, "㌖" * 20_000, "北" * 20_000, "a " * 30_000),
        *("e\u0301" * 20_000, "ﬃ" * 20_000, "👍" * 15_000, '\\"\n\t\x01 fine', "\u2028 fine"),
    ]
    index.put([text(id_, content) for id_, content in enumerate(contents, 1)])
    assert index.ids("北北") == [4]
    assert index.ids("fine") == [10, 9]
