"""TLS to a database and to a Redis whose certificates an authority of one's own has signed."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from sqlalchemy import text

from db.engines.database import Database, DatabaseUnavailable, DatabaseUnsuitable
from events.bus.redis_bus import RedisBus
from tests.faults.load import register
from tests.faults.waits import until
from tests.support.clusters.certificates import Authority, Certificate
from tests.support.mariadb import MariaDB, Programs, find_programs
from tests.support.ports import free_port
from tests.support.redis import Redis
from tests.support.server import running_server
from tests.support.tools import require

WORD = "word"
USERS = (
    f"CREATE USER secure@'%' IDENTIFIED BY '{WORD}' REQUIRE SSL;"
    f"CREATE USER known@'%' IDENTIFIED BY '{WORD}' REQUIRE X509;"
    "GRANT ALL ON *.* TO secure@'%'; GRANT ALL ON *.* TO known@'%';"
)


class SecureMariaDB(MariaDB):
    """A server with a certificate."""

    def __init__(
        self, directory: Path, programs: Programs, authority: Authority, own: Certificate
    ) -> None:
        super().__init__(directory, programs, durable=False)
        self._files = (authority.path, own.certificate, own.key)

    def command(self) -> list[str]:
        """As MariaDB, with its files."""
        names = ("ssl-ca", "ssl-cert", "ssl-key")
        given = zip(names, self._files, strict=True)
        return [*super().command(), *(f"--{name}={path}" for name, path in given)]


class SecureRedis(Redis):
    """A server that takes TLS on a second port."""

    def __init__(
        self, directory: Path, program: Path, authority: Authority, own: Certificate
    ) -> None:
        super().__init__(directory, program)
        self.tls_port = free_port()
        self._options = {
            "tls-port": str(self.tls_port),
            "tls-cert-file": str(own.certificate),
            "tls-key-file": str(own.key),
            "tls-ca-cert-file": str(authority.path),
        }

    def command(self) -> list[str]:
        """As Redis, with its files; it asks clients for a certificate too."""
        words = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        return [*super().command(), *words]


class Place(NamedTuple):
    """Both servers, and the files of a client."""

    mariadb: SecureMariaDB
    redis: SecureRedis
    authority: Authority
    stranger: Authority
    client: Certificate

    def database(self, user: str = "secure", **parameters: str) -> str:
        """The database's address with these parameters."""
        query = urlencode({name.replace("_", "-"): str(v) for name, v in parameters.items()})
        return f"mysql+asyncmy://{user}:{WORD}@127.0.0.1:{self.mariadb.port}/tls?{query}"

    def redis_url(self, files: Mapping[str, Path], *, at: str = "127.0.0.1") -> str:
        """Redis' address with these files."""
        return f"rediss://{at}:{self.redis.tls_port}/0?{urlencode(files)}"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Both servers."""
    programs, program = find_programs(), require("a Redis server", "redis-server", "valkey-server")
    with tempfile.TemporaryDirectory(prefix="parley-tls-") as home:
        for name in ("mariadb", "redis"):
            (Path(home) / name).mkdir()
        authority = Authority(Path(home))
        own = authority.certify("server", ["127.0.0.1"])
        mariadb = SecureMariaDB(Path(home) / "mariadb", programs, authority, own)
        redis = SecureRedis(Path(home) / "redis", program, authority, own)
        try:
            mariadb.install()
            mariadb.start()
            mariadb.execute(USERS)
            redis.start()
            stranger = Authority(Path(home), "stranger")
            yield Place(mariadb, redis, authority, stranger, authority.certify("client"))
        finally:
            mariadb.kill()
            redis.kill()


async def _cipher(url: str) -> str:
    database = Database(url)
    try:
        await database.prepare()
        async with database.read() as connection:
            found = await connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'"))
            return str(found.one()[1])
    finally:
        await database.close()


async def test_the_database_is_known_by_its_authority_and_its_address(place: Place) -> None:
    ca = str(place.authority.path)
    ways: list[dict[str, str]] = [
        {"ssl_mode": "VERIFY_IDENTITY", "ssl_ca": ca},
        {"ssl_mode": "VERIFY_CA", "ssl_ca": ca},
        {"ssl_ca": ca},
        {"sslmode": "verify-full", "sslrootcert": ca},
        {"ssl_mode": "REQUIRED"},
    ]
    for parameters in ways:
        assert await _cipher(place.database(**parameters))


@pytest.mark.parametrize("mode", ["VERIFY_IDENTITY", "VERIFY_CA", "REQUIRED"])
async def test_a_database_of_another_authority_is_refused(place: Place, mode: str) -> None:
    # In each mode: who names an authority means it.
    url = place.database(ssl_mode=mode, ssl_ca=str(place.stranger.path))
    with pytest.raises(DatabaseUnavailable, match="certificate verify failed"):
        await _cipher(url)


async def test_a_database_at_an_address_that_its_certificate_does_not_name(place: Place) -> None:
    named = {"ssl_ca": str(place.authority.path)}
    elsewhere = {
        mode: place.database(ssl_mode=mode, **named).replace("127.0.0.1", "localhost")
        for mode in ("VERIFY_IDENTITY", "VERIFY_CA")
    }
    with pytest.raises(DatabaseUnavailable, match="certificate verify failed"):
        await _cipher(elsewhere["VERIFY_IDENTITY"])
    assert await _cipher(elsewhere["VERIFY_CA"])


async def test_a_client_shows_its_own_certificate(place: Place) -> None:
    ca = str(place.authority.path)
    certificate, key = map(str, place.client)
    assert await _cipher(place.database("known", ssl_ca=ca, ssl_cert=certificate, ssl_key=key))
    with pytest.raises(DatabaseUnavailable, match="Access denied"):
        await _cipher(place.database("known", ssl_ca=ca))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"ssl_ca": "/absent/ca.pem"}, "/absent/ca.pem.*No such file"),
        ({"ssl_ca": __file__}, re.escape(__file__)),
        ({"ssl_mode": "REQUIRED", "ssl_cert": "/absent/c.pem"}, "/absent/c.pem.*No such file"),
        ({"ssl_mode": "REQUIRED", "ssl_key": "/absent/c.key"}, "ssl-key without ssl-cert"),
        ({"ssl_mode": "PREFERRED"}, "PREFERRED"),
        ({"ssl_crl": "/absent"}, "unknown parameter: ssl-crl"),
    ],
)
async def test_files_that_cannot_be_used_are_named(
    place: Place, parameters: dict[str, str], said: str
) -> None:
    with pytest.raises(DatabaseUnsuitable, match=said):
        await _cipher(place.database(**parameters))


async def test_a_key_with_a_password_is_refused_without_a_question(
    place: Place, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(place.client.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )
    own = {"ssl_cert": str(place.client.certificate), "ssl_key": str(locked)}
    with pytest.raises(DatabaseUnsuitable, match=re.escape(str(locked))):
        await _cipher(place.database(ssl_mode="REQUIRED", **own))


async def test_redis_is_known_by_its_authority_its_address_and_knows_its_client(
    place: Place,
) -> None:
    certificate, key = place.client
    own = {"ssl_certfile": certificate, "ssl_keyfile": key}
    whole = {"ssl_ca_certs": place.authority.path, **own}
    assert await _connects(place.redis_url(whole))
    assert not await _connects(place.redis_url(whole, at="localhost"))
    assert not await _connects(place.redis_url({**whole, "ssl_ca_certs": place.stranger.path}))
    assert not await _connects(place.redis_url({"ssl_ca_certs": place.authority.path}))


async def _connects(url: str) -> bool:
    bus = RedisBus(url, prefix="tls")
    await bus.start()
    try:
        await until(lambda: bus.connected, 1.5)
    except TimeoutError:
        return False
    else:
        return True
    finally:
        await bus.close()


async def test_a_server_stores_and_shows_messages_over_tls_alone(
    place: Place, tmp_path: Path
) -> None:
    certificate, key = place.client
    files = {"ssl_certfile": certificate, "ssl_keyfile": key}
    settings = {
        "database_url": place.database(
            ssl_mode="VERIFY_IDENTITY", ssl_ca=str(place.authority.path)
        ),
        "redis_url": place.redis_url({"ssl_ca_certs": place.authority.path, **files}),
    }
    with running_server(tmp_path, **settings) as server:
        [user] = await register(server.settings.port, 1)
        headers = {"Authorization": f"Bearer {user.token}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
            sent = await http.post("/api/messages/send", json={"content": "x"})
            assert [row["id"] for row in (await http.get("/api/messages")).json()] == [
                sent.json()["id"]
            ]
