"""What callers did, and what they were refused for."""

from observe.families import Family, Labels, by, counter, gauge
from resolvers.context import Context
from resolvers.errors import ParleyError


def callers(ctx: Context) -> list[Family]:
    """Return the figures of logins, refusals and uploads."""
    counted = ctx.counted
    refusals: dict[Labels, float] = {
        (("code", code), ("reason", reason)): number
        for (code, reason), number in ParleyError.raised.items()
    }
    return [
        counter(
            "parley_logins_total",
            "Logins by password: `ok`, or the code of the refusal.",
            by("outcome", counted.logins),
        ),
        counter(
            "parley_tokens_total",
            "Tokens that connections logged in with: `ok`, or the code of the refusal.",
            by("outcome", counted.tokens),
        ),
        counter(
            "parley_refusals_total",
            "Refusals by code; the reason is the limit's setting where there is one.",
            refusals,
        ),
        counter(
            "parley_uploads_total", "Files that were kept, by kind.", by("kind", counted.uploads)
        ),
        counter(
            "parley_upload_bytes_total", "Bytes of the files that were kept.", counted.upload_bytes
        ),
        gauge("parley_uploads_open", "Uploads under way.", ctx.upload_slots.open),
        counter("parley_media_runs_total", "Processes that looked at a file.", ctx.inspector.runs),
        counter(
            "parley_media_seconds_total",
            "Time that these processes took together.",
            ctx.inspector.seconds,
        ),
        gauge("parley_media_running", "Processes that look at a file now.", ctx.inspector.busy),
    ]
