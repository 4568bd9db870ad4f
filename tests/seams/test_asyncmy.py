"""asyncmy, on a MariaDB: several statements in one round trip, and what it says of the last id."""

from typing import Any

from sqlalchemy.engine import make_url

from db.engines.mysql import mysql_engine
from tests.support.mariadb import MariaDB


def _engine(mariadb: MariaDB, *, writes: bool) -> Any:
    url = make_url(mariadb.url("mysql")).set(drivername="mysql+asyncmy")
    return mysql_engine(url, pool_size=1, writes=writes, wait_seconds=5, connect_seconds=5)


ADVANCE = "UPDATE head SET position = LAST_INSERT_ID(position + %s)"


async def _make_head(connection: Any) -> None:
    await connection.exec_driver_sql("CREATE TEMPORARY TABLE head (position BIGINT)")
    await connection.exec_driver_sql("INSERT INTO head VALUES (40)")


async def test_several_statements_are_one_round_trip_whose_results_come_in_turn(
    mariadb: MariaDB,
) -> None:
    # db/log/inserts.py: the first one's id is there before the second one's result is asked for.
    engine = _engine(mariadb, writes=True)
    async with engine.connect() as connection:
        driver = connection.sync_connection.connection.driver_connection
        cursor = driver.cursor()
        await _make_head(connection)
        await cursor.execute(f"{ADVANCE}; SELECT %s; SELECT 'é'", (2, "a"))
        assert cursor.lastrowid == 42
        found = []
        while await cursor.nextset():
            found.append([*await cursor.fetchall()])
        assert found == [[("a",)], [("é",)]]
        await driver.rollback()
        assert isinstance(connection.dialect.loaded_dbapi.Error, type)
    await engine.dispose()


async def test_the_same_works_where_sqlalchemy_makes_the_driver_wait(mariadb: MariaDB) -> None:
    engine = _engine(mariadb, writes=True)

    def ask(connection: Any) -> tuple[int, Any]:
        cursor = connection.connection.cursor()
        cursor.execute(f"{ADVANCE}; SELECT %s", (7, "b"))
        last = int(cursor.lastrowid)
        cursor.nextset()
        found = cursor.fetchall()
        cursor.close()
        return last, [*found]

    async with engine.connect() as connection:
        await _make_head(connection)
        assert await connection.run_sync(ask) == (47, [("b",)])
    await engine.dispose()


async def test_a_reading_connection_keeps_its_statements_prepared(mariadb: MariaDB) -> None:
    counts = []
    engine = _engine(mariadb, writes=False)
    async with engine.connect() as connection:
        driver = connection.sync_connection.connection.driver_connection
        for number in range(3):
            cursor = driver.cursor()
            await cursor.execute("SELECT %s + 1", (number,))
            assert [*await cursor.fetchall()] == [(number + 1,)]
            status = "SHOW SESSION STATUS LIKE 'Com_stmt_prepare'"
            counts.append(int((await connection.exec_driver_sql(status)).all()[0][1]))
    await engine.dispose()
    assert counts[0] == counts[1] == counts[2] >= 1
