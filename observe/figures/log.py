"""The log: what was stored, how quickly, and how far the followers are."""

from db.log.figures import BATCH_BOUNDS, SECONDS_BOUNDS
from events.bus.redis_bus import RedisBus
from observe.families import Family, by, counter, gauge, histogram
from resolvers.context import Context


def log(ctx: Context) -> list[Family]:
    """Return the figures of the log and of its followers."""
    bus = ctx.roster.bus
    stored, head = ctx.log.figures, max(ctx.log.figures.position, ctx.feed.promised)
    return [
        gauge("parley_log_head", "The last position of the log that is known.", head, "max"),
        gauge(
            "parley_log_delivered",
            "The position up to which entries are delivered.",
            ctx.feed.position,
            "max",
        ),
        gauge(
            "parley_log_lag",
            "Positions that are in the log and not delivered yet; of the process that is last.",
            max(0, head - ctx.feed.position),
            "max",
        ),
        counter("parley_sends_total", "Messages that were stored.", stored.kinds["MessageSent"]),
        counter(
            "parley_facts_total",
            "Entries of the log that were stored, by kind.",
            by("kind", stored.kinds),
        ),
        histogram(
            "parley_log_batch_size",
            "Entries that one transaction stored.",
            BATCH_BOUNDS,
            stored.sizes,
            stored.entries,
        ),
        histogram(
            "parley_log_batch_seconds",
            "Time that one transaction took, its commit too.",
            SECONDS_BOUNDS,
            stored.times,
            stored.seconds,
        ),
        counter("parley_log_failures_total", "Batches that could not be stored.", stored.failures),
        gauge(
            "parley_queue_depth",
            "What waits: changes, passwords, files to be looked at, publications for Redis.",
            by(
                "queue",
                {
                    "log": stored.pending,
                    "passwords": ctx.passwords.waiting,
                    "media": ctx.inspector.waiting,
                    "bus": bus.waiting if isinstance(bus, RedisBus) else 0,
                },
            ),
        ),
    ]
