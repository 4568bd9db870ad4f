"""Whose address a caller is counted by."""

import logging

import pytest

from resolvers.guards.addresses import Caller
from server.proxies import Proxies
from server.remote import Remote

TRUSTED = Proxies(["10.0.0.0/8", "192.0.2.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("direct", "forwarded", "counted"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        # Anyone may send the header: only a trusted proxy's is read.
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        # What stands to the left of the first untrusted one, its sender wrote.
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 192.0.2.1,10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1", "10.9.9.9"], "198.51.100.1"),
        # All trusted: the first of them is the client.
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:5123"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:1:2:3::4]:443"], "2001:db8:1:2::/64"),
        # Malformed: what is known before it counts.
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1, 999.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", ["\xff\x00, 1.2.3.4.5"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1," * 100_000], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1," * 100_000 + "198.51.100.1"], "198.51.100.1"),
        # A household's addresses are one.
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::/64"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_the_client_is_who_a_trusted_proxy_heard(
    direct: str, forwarded: list[str], counted: str
) -> None:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    scope = {"client": (direct, 1), "headers": [(b"host", b"x"), *headers]}
    assert Caller(Remote(scope), TRUSTED).address == counted
    assert TRUSTED.find_client(direct, [value for _, value in headers]) == counted


def test_by_default_nobody_is_trusted() -> None:
    scope = {"client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", b"1.1.1.1")]}
    assert Caller(Remote(scope), Proxies(())).address == "127.0.0.1"
    assert Caller(Remote({"client": None, "headers": []}), Proxies(())).address == ""


def test_a_proxy_that_nobody_named_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    proxies = Proxies(["10.0.0.1"])
    proxies.find_client("10.0.0.1", [b"1.1.1.1"])
    proxies.find_client("8.8.8.8", [b"1.1.1.1"])  # anyone at all
    proxies.find_client("10.0.0.2", [])
    assert caplog.text == ""
    for _ in range(2):
        assert proxies.find_client("10.0.0.2", [b"1.1.1.1"]) == "10.0.0.2"
    assert caplog.text.count("TRUSTED_PROXIES does not name it") == 1
