"""Signed addresses: each opens one part of one attachment, until it expires."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from resolvers.guards import file_urls
from resolvers.guards.file_urls import FileUrls, Part

SECRET = "a secret of the tests, long enough to sign with"
LIFETIME = 3600
FILE, THUMBNAIL = Part(7), Part(7, thumbnail=True)


class Clock:
    """The time, as the test says."""

    now = 1_800_000_000.5

    def time(self) -> float:
        """Return it."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the addresses go by."""
    clock = Clock()
    monkeypatch.setattr(file_urls, "time", clock)
    return clock


@pytest.fixture
def urls(clock: Clock) -> FileUrls:
    """Addresses of an hour."""
    return FileUrls(SECRET, lifetime_seconds=LIFETIME)


def _parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


@pytest.mark.parametrize(("part", "path"), [(FILE, "/files/7"), (THUMBNAIL, "/files/7/thumbnail")])
def test_an_address_opens_its_own_part(urls: FileUrls, part: Part, path: str) -> None:
    url = urls.url(part)
    assert urlsplit(url).path == path
    assert _parameters(url).keys() == {"expires", "signature"}
    left = urls.seconds_left(part, _parameters(url))
    assert left is not None
    assert LIFETIME <= left <= LIFETIME * 5 / 4


def test_it_opens_nothing_else(urls: FileUrls) -> None:
    for part in (FILE, THUMBNAIL, Part(71)):
        parameters = _parameters(urls.url(part))
        for other in (FILE, THUMBNAIL, Part(71), Part(71, thumbnail=True), Part(-7)):
            assert (urls.seconds_left(other, parameters) is not None) is (other == part)


def test_it_expires(urls: FileUrls, clock: Clock) -> None:
    parameters = _parameters(urls.url(FILE))
    expires = int(parameters["expires"])
    clock.now = expires - 0.001
    assert urls.seconds_left(FILE, parameters) == 1
    for late in (0, 0.001, 1, 10**9):
        clock.now = expires + late
        assert urls.seconds_left(FILE, parameters) is None


def test_any_change_closes_it(urls: FileUrls) -> None:
    good = _parameters(urls.url(FILE))
    assert urls.seconds_left(FILE, good) is not None
    for name, value in good.items():
        rest = {key: kept for key, kept in good.items() if key != name}
        assert urls.seconds_left(FILE, rest) is None
        changed = [value[:at] + "0" + value[at + 1 :] for at in range(len(value))]
        changed += ["", value + "0", "0" + value, value[:-1], value.swapcase() + " ", f" {value}"]
        changed += [value + "=", "٥", "é", "\0", "\ud800", "9" * 5000, "-1", "1e99", "inf"]
        for other in changed:
            if other != value:
                assert urls.seconds_left(FILE, {**rest, name: other}) is None


def test_a_later_end_cannot_be_had_with_the_same_signature(urls: FileUrls) -> None:
    good = _parameters(urls.url(FILE))
    for later in (int(good["expires"]) + 1, f"0{good['expires']}", f"+{good['expires']}"):
        assert urls.seconds_left(FILE, {**good, "expires": str(later)}) is None


def test_what_another_server_signed_is_nothing(urls: FileUrls) -> None:
    other = FileUrls(SECRET + "!", lifetime_seconds=LIFETIME)
    assert urls.seconds_left(FILE, _parameters(other.url(FILE))) is None
    same = FileUrls(SECRET, lifetime_seconds=60)
    assert urls.seconds_left(FILE, _parameters(same.url(FILE))) is not None


def test_an_address_stays_the_same_for_a_quarter_of_its_life(urls: FileUrls, clock: Clock) -> None:
    clock.now = 1_800_000_000 // 900 * 900
    first = urls.url(FILE)
    for later in (1, 450, 899):
        clock.now = 1_800_000_000 // 900 * 900 + later
        assert urls.url(FILE) == first
    clock.now += 1
    assert urls.url(FILE) != first
    assert urls.seconds_left(FILE, _parameters(first)) is not None


@pytest.mark.parametrize("lifetime", [1, 3, 60])
def test_the_shortest_lifetimes_work(clock: Clock, lifetime: int) -> None:
    urls = FileUrls(SECRET, lifetime_seconds=lifetime)
    parameters = _parameters(urls.url(FILE))
    left = urls.seconds_left(FILE, parameters)
    assert left is not None
    assert lifetime <= left <= lifetime * 5 / 4 + 1
    clock.now += lifetime * 5 / 4 + 1
    assert urls.seconds_left(FILE, parameters) is None


@pytest.mark.parametrize("base", ["https://chat.example", "https://chat.example/"])
def test_an_address_may_have_the_servers_before_it(clock: Clock, base: str) -> None:
    url = FileUrls(SECRET, lifetime_seconds=LIFETIME, base=base).url(FILE)
    assert url.startswith("https://chat.example/files/7?expires=")
