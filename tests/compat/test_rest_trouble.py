"""REST when the database is away, the history is long, or something fails that nobody foresaw."""

import asyncio
from pathlib import Path

import httpx
import pytest

from db import migrate
from resolvers.errors import Unavailable
from tests.compat.test_rest import bearer
from tests.db.rows import add_messages, add_users, open_database
from tests.support.faces import PASSWORD, new_account
from tests.support.mariadb import MariaDB
from tests.support.server import running_server
from tests.support.sqlite import outsider as opened_by_outsider


async def test_without_its_database_the_server_is_healthy_and_not_ready(
    mariadb: MariaDB, tmp_path: Path
) -> None:
    def let_in() -> None:
        mariadb.execute("CREATE USER 'guest'@'%' IDENTIFIED BY 'x'")
        mariadb.execute("GRANT ALL PRIVILEGES ON guests.* TO 'guest'@'%'")

    def cut_off() -> None:
        mariadb.execute("DROP USER 'guest'@'%'")
        find = "SELECT id FROM information_schema.processlist WHERE user = 'guest'"
        for (id_,) in mariadb.execute(find):
            mariadb.execute(f"KILL {id_}")

    let_in()
    url = f"mysql://guest:x@127.0.0.1:{mariadb.port}/guests"
    with running_server(tmp_path, database_url=url) as server:
        alice = await new_account(server)
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(alice)) as http:
            assert (await http.get("/ready")).status_code == 200
            cut_off()
            away = str(Unavailable())
            async with asyncio.timeout(10):  # that it could be written is believed for a second
                while (answer := await http.get("/ready")).status_code == 200:
                    pass
            assert (answer.status_code, answer.json()) == (503, {"ok": False, "message": away})
            assert answer.headers["retry-after"] == "1"
            assert (await http.get("/health")).json()["ok"] is True
            answer = await http.get("/api/messages")
            assert (answer.status_code, answer.json()["message"]) == (503, away)
            assert (answer.headers["retry-after"], answer.json()["retryAfterMs"]) == ("1", 1000)
            body = {"email": alice.email, "password": PASSWORD}
            answer = await http.post("/api/auth/login", json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "INTERNAL")
            let_in()
            assert (await http.get("/ready")).json() == {"ok": True}
            assert (await http.get("/api/messages")).json() == []
    mariadb.execute("DROP USER 'guest'@'%'; DROP DATABASE guests")


async def long_history(directory: Path, messages: int) -> None:
    """Make a server's database with so many messages of its one user."""
    database = open_database(f"sqlite:///{directory / 'parley.db'}")
    await migrate.upgrade(database)
    [user] = await add_users(database, 1)
    await add_messages(database, [(user, None)] * messages)
    await database.close()


async def test_a_long_history_is_streamed_whole_and_in_order(tmp_path: Path) -> None:
    await long_history(tmp_path, 3000)
    with running_server(tmp_path, broadcast_history="everything", db_pool_size=2) as server:
        alice = await new_account(server)
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(alice)) as http:
            for path in ("/api/messages", "/api/message/all-message"):
                answer = await http.get(path)
                assert answer.headers["transfer-encoding"] == "chunked"
                assert [row["id"] for row in answer.json()] == [*range(3000, 0, -1)]
            # What ends on a page's edge, just before it and just after.
            for limit in (1, 99, 100, 101, 500, 2999, 3000, 3001, 10**15):
                rows = (await http.get(f"/api/messages?limit={limit}")).json()
                assert [row["id"] for row in rows] == [*range(3000, 0, -1)][:limit]
            assert len((await http.get("/api/messages?before=501")).json()) == 500
            # What is short is told in one piece; its length is right for HEAD too.
            for limit in (0, 1, 100):
                answer = await http.get(f"/api/messages?limit={limit}")
                assert int(answer.headers["content-length"]) == len(answer.content)
                head = await http.head(f"/api/messages?limit={limit}")
                assert head.headers["content-length"] == answer.headers["content-length"]
            # Those who leave in the middle leave no connection of the pool taken.
            for _ in range(5):
                async with http.stream("GET", "/api/messages") as cut:
                    assert (await anext(cut.aiter_raw())).startswith(b"[")
            assert len((await http.get("/api/messages")).json()) == 3000


async def test_what_fails_is_a_json_500_and_in_the_middle_a_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await long_history(tmp_path, 1200)
    with running_server(tmp_path, broadcast_history="everything") as server:
        alice = await new_account(server)
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(alice)) as http:
            with opened_by_outsider(tmp_path / "parley.db") as outsider:
                outsider.execute("UPDATE messages SET kind = 'SMELL' WHERE id = 1")
            assert (await http.get("/api/messages?limit=1000")).status_code == 200
            answer = await http.get(
                "/api/messages?before=5", headers={"Origin": "https://app.example"}
            )
            assert answer.status_code == 500
            assert answer.json() == {"message": "Internal error", "code": "INTERNAL"}
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "SMELL" in caplog.text  # the operator sees it
            # Its status has gone out: better a broken answer than a whole one without its end.
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get("/api/messages")
            assert (await http.get("/api/messages?limit=10")).status_code == 200
