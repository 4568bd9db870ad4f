"""The database and Redis: whether they answer, and how quickly."""

from db.engines.statement_times import BOUNDS
from events.bus.redis_bus import RedisBus
from observe.families import Family, by, counter, gauge, histogram
from resolvers.context import Context


def stores(ctx: Context) -> list[Family]:
    """Return the figures of the database and of Redis."""
    database, times, bus = ctx.db, ctx.db.times, ctx.roster.bus
    found = [
        gauge(
            "parley_database_up",
            "Whether the database took changes when it was last asked, every 5 seconds.",
            1 if database.is_writable else 0,
            "min",
        ),
        gauge(
            "parley_database_connections",
            "Connections in use, by pool.",
            by("pool", database.in_use),
        ),
        histogram(
            "parley_database_statement_seconds",
            "Time that a statement took.",
            BOUNDS,
            times.counts,
            times.seconds,
        ),
        counter(
            "parley_database_slow_statements_total", "Statements beyond SLOW_SQL_MS.", times.slow
        ),
    ]
    if not isinstance(bus, RedisBus):
        return found
    return [
        *found,
        gauge(
            "parley_redis_up",
            "Whether Redis answered when it was last asked.",
            1 if bus.connected else 0,
            "min",
        ),
        counter("parley_redis_flushes_total", "Round trips with publications.", bus.flushes),
        counter(
            "parley_redis_flush_seconds_total",
            "Time that these round trips took.",
            bus.flush_seconds,
        ),
    ]
