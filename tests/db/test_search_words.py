"""What a text is found by, in many scripts, and what is marked in it."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.search.hits import EXCERPT, MAX_HITS, MAX_PIECES, are_near, excerpt
from db.search.question import MAX_PHRASES, TooManyWords, read_question
from db.search.words import index_form, spans_of, words_of

# What somebody wrote, what is searched for, and what is marked.
FOUND = [
    # Latin: case, accents, ligatures, letters that have no simpler form of their own.
    ("See you at the Station", "station", ["Station"]),
    ("See you at the station", "STATION you", ["you", "station"]),
    ("Un café à l’école d'été", "cafe ecole ete", ["café", "école", "été"]),
    ("Un cafe a lecole", "café", ["cafe"]),
    ("cafe\u0301 noir", "café", ["cafe\u0301"]),
    ("Die Straße ist naß", "STRASSE nass", ["Straße", "naß"]),
    ("Smørrebrød på Ærø", "smorrebrod aero", ["Smørrebrød", "Ærø"]),
    ("Łódź, Đà Nẵng", "lodz da nang", ["Łódź", "Đà", "Nẵng"]),
    ("İSTANBUL'da ışık", "istanbul isik", ["İSTANBUL", "ışık"]),
    ("ﬁne ｗｉｄｅ ①", "fine wide 1", ["ﬁne", "ｗｉｄｅ", "①"]),
    # Greek, Cyrillic, Armenian, Georgian.
    ("Καλημέρα κόσμος", "ΚΑΛΗΜΕΡΑ κοσμος", ["Καλημέρα", "κόσμος"]),
    ("Ещё не всё, Пётр", "еще все петр", ["Ещё", "всё", "Пётр"]),
    ("Привіт, Київ", "привіт київ", ["Привіт", "Київ"]),
    ("Բարև ՁԵԶ", "բարև ձեզ", ["Բարև", "ՁԵԶ"]),
    ("გამარჯობა", "გამარ", ["გამარჯობა"]),
    # Hebrew and Arabic: signs for vowels, forms of alef, the article, Persian letters and digits.
    ("שָׁלוֹם עולם", "שלום", ["שָׁלוֹם"]),
    ("قَرَأْتُ الكِتَابَ", "قرات كتاب", ["قَرَأْتُ", "الكِتَابَ"]),
    ("كتاب جديد", "الكتاب", ["كتاب"]),
    ("أحمد إلى آخر", "احمد الى اخر", ["أحمد", "إلى", "آخر"]),
    ("مدرسة كبيرة", "مدرسه", ["مدرسة"]),
    ("والمدرسة", "مدرس", ["والمدرسة"]),
    ("كتـــاب", "كتاب", ["كتـــاب"]),
    ("کتاب یک", "كتاب يك", ["کتاب", "یک"]),
    ("الساعة ٣٤٥", "345", ["٣٤٥"]),
    # Indic scripts: vowels are marks, and belong to the word.
    ("मुझे हिन्दी फ़िल्म पसंद है", "हिन्दी फिल्म", ["हिन्दी", "फ़िल्म"]),
    ("வணக்கம் நண்பா", "வணக்", ["வணக்கம்"]),
    # Scripts without spaces: any piece of the text, one character too.
    ("我在北京大学读书", "北京大学", ["北京大学"]),
    ("我在北京大学读书", "京大", ["京大"]),
    ("我在北京大学读书", "书", ["书"]),
    ("我在北京大学读书", "读书 北京", ["北京", "读书"]),
    ("明日は東京タワーへ行く", "東京", ["東京"]),
    ("明日は東京タワーへ行く", "タワー", ["タワー"]),
    ("ｶﾞﾝﾀﾞﾑ", "ガンダム", ["ｶﾞﾝﾀﾞﾑ"]),
    ("か\u3099くせい", "がくせい", ["か\u3099くせい"]),
    ("学校에서 한국어를 배워요", "한국어", ["한국어"]),
    (unicodedata.normalize("NFD", "한국어"), "한국어", [unicodedata.normalize("NFD", "한국어")]),
    ("สวัสดีครับ ทุกคน", "ครับ", ["ครับ"]),
    ("ພາສາລາວ ភាសាខ្មែរ", "ລາວ ខ្មែរ", ["ລາວ", "ខ្មែរ"]),
    # Emoji: one word each, whatever the skin, alone or joined.
    ("Bravo 👍🏽!", "👍", ["👍🏽"]),
    ("I ❤️ it", "❤", ["❤️"]),
    ("us 👨‍👩‍👧 here", "👨‍👩‍👧", ["👨‍👩‍👧"]),
    ("to 🇩🇪", "🇩🇪", ["🇩🇪"]),
    ("great🎉party", "party great", ["great", "party"]),
    # Addresses, numbers, names of files, and their parts.
    ("write to Alice.B@example.com", "alice.b@example.com", ["Alice.B@example.com"]),
    ("write to alice@example.com", "example", ["example"]),
    ("see https://x.org/a-b?q=7", "x.org/a-b", ["x.org/a-b"]),
    ("IMG_20260102.jpg", "20260102", ["20260102"]),
    ("the budget is 12,500", "12,500", ["12,500"]),
    ("don't", "don't", ["don't"]),
    # Beginnings, and words in a row.
    ("tomorrow we meet", "tom mee", ["tomorrow", "meet"]),
    ("good morning, all", '"good morning"', ["good morning"]),
    ("good morning, all", "«Good Morning» all", ["good morning", "all"]),
    ("他说早上好朋友", "「早上好」", ["早上好"]),
]
NOT_FOUND = [
    ("good morning", '"morning good"'),
    ("good mornings", '"good morning"'),
    ("good night", "good morning"),
    ("mistake", "take"),  # the middle of a word
    ("北京大学", "北大"),
    ("が", "か"),  # another syllable
    ("a b", "ab"),
    ("hello", "!!!"),
    ("hello", '""'),
    ("12", "123"),
]


@pytest.mark.parametrize(
    ("text", "query", "marked"), FOUND, ids=[f"{q} in {t}" for t, q, _ in FOUND]
)
def test_a_text_is_found_and_marked(text: str, query: str, marked: list[str]) -> None:
    pieces = excerpt(text, read_question(query))
    assert pieces is not None
    assert [piece.text for piece in pieces if piece.is_hit] == marked
    assert "".join(piece.text for piece in pieces) == text


@pytest.mark.parametrize(("text", "query"), NOT_FOUND)
def test_a_text_is_not_found(text: str, query: str) -> None:
    assert excerpt(text, read_question(query)) is None


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("we recieve it", "receive", True),  # swapped
        ("definately", "definitely", True),
        ("an acommodation", "accommodation", True),
        ("конференция", "конфиренция", True),
        ("Schokolade", "shokolade", True),
        ("cat", "cut", False),  # short words have no typos
        ("house", "mouths", False),
        ("invoice 12345", "12346", False),  # nor have numbers
        ("receive", '"recieve"', False),  # nor what is quoted
    ],
)
def test_long_words_may_have_typos(text: str, query: str, found: bool) -> None:
    assert excerpt(text, read_question(query)) is None
    assert (excerpt(text, read_question(query), typos=True) is not None) == found


@given(
    st.text(alphabet="abcd", max_size=7), st.text(alphabet="abcd", max_size=7), st.integers(1, 2)
)
def test_what_is_near(one: str, other: str, most: int) -> None:
    def distance(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        ways = [distance(a[:-1], b) + 1, distance(a, b[:-1]) + 1]
        ways.append(distance(a[:-1], b[:-1]) + (a[-1] != b[-1]))
        if a[-2:] == b[-2:][::-1] and len(a) > 1 < len(b):
            ways.append(distance(a[:-2], b[:-2]) + 1)
        return min(ways)

    one, other = one[:5], other[:5]
    assert are_near(one, other, most) == (distance(one, other) <= most)


anything = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("aé 北京がか\u3099ｶﾞ한\u1112\u1161\u11ab 👍🏽\u200dال٣"),
    )
)


@settings(max_examples=300)
@given(anything)
def test_the_words_of_a_text_and_their_places_agree(text: str) -> None:
    words = spans_of(text)
    assert [word.text for word in words] == words_of(text)
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert all(one.start <= other.start for one, other in pairwise(words))
    assert not any(" " in part for part in index_form(text)[1].split(" "))


@settings(max_examples=300)
@given(anything, anything)
def test_an_excerpt_is_a_piece_of_the_text(text: str, query: str) -> None:
    try:
        question = read_question(query)
    except TooManyWords:
        return
    for typos in (False, True):
        pieces = excerpt(text, question, typos=typos)
        if pieces is not None:
            whole = "".join(piece.text for piece in pieces)
            assert whole.removeprefix("…").removesuffix("…") in text or whole in text
            assert 1 <= len(pieces) <= MAX_PIECES
            assert any(piece.is_hit for piece in pieces)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_a_text_is_found_by_itself(text: str) -> None:
    try:
        question = read_question(text)
    except TooManyWords:
        return
    assert (excerpt(text, question) is not None) == bool(question)


def test_an_excerpt_of_a_long_text_is_short() -> None:
    pieces = excerpt(
        "so much before. " * 500 + "The needle is here. " + "and after. " * 500,
        read_question("needle"),
    )
    assert pieces is not None
    whole = "".join(piece.text for piece in pieces)
    assert "The needle is here." in whole
    assert whole[0] == whole[-1] == "…"
    assert len(whole) <= EXCERPT + 2


def test_an_excerpt_has_few_pieces() -> None:
    pieces = excerpt("ab, " * 100, read_question("ab"))
    assert pieces is not None
    assert sum(piece.is_hit for piece in pieces) == MAX_HITS


def test_a_question_has_few_words() -> None:
    assert len(read_question(" ".join(f"w{n}" for n in range(MAX_PHRASES)))) == MAX_PHRASES
    assert len(read_question("same " * 1000)) == 1
    with pytest.raises(TooManyWords):
        read_question(" ".join(f"w{n}" for n in range(MAX_PHRASES + 1)))


def test_many_marks_and_long_words_take_no_time() -> None:
    """Composing a text takes the square of its marks' number."""
    for text in ("a" + "\u0301\u0316" * 30_000, "か" + "\u3099" * 20_000, "x" * 60_000):
        assert excerpt(text, read_question("b")) is None
        assert len(spans_of(text)) >= 1
