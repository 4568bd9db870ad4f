"""Who is connected, and who was disconnected."""

from observe.families import Family, Labels, by, counter, gauge
from resolvers.context import Context

FACES = ("graphql_ws", "graphql_sse", "socketio")


def _states(face: str) -> tuple[Labels, Labels]:
    return (("face", face), ("state", "logged_in")), (("face", face), ("state", "waiting"))


def connections(ctx: Context) -> list[Family]:
    """Return the figures of connections, of presence, and of what is delivered."""
    open_ones = {labels: 0.0 for face in FACES for labels in _states(face)}
    users = 0
    for topic, found in ctx.hub.table.items():
        users += isinstance(topic, int)
        if isinstance(topic, type):
            known = sum(connection.user_id is not None for connection in found)
            logged_in, waiting = _states(str(getattr(topic, "face", topic.__name__)))
            open_ones[logged_in], open_ones[waiting] = known, len(found) - known
    return [
        gauge(
            "parley_connections",
            "Open sockets and event streams, by face, and by whether a user has logged in.",
            open_ones,
        ),
        gauge(
            "parley_users_connected",
            "Users with a connection to this process; one of several processes counts in each.",
            users,
        ),
        gauge(
            "parley_users_online",
            "Users who are online, in all processes.",
            len(ctx.presence.online_ids),
            "max",
        ),
        counter(
            "parley_slow_readers_closed_total",
            "Connections closed because their clients did not read; they resume.",
            by("face", {face: ctx.counted.slow_readers[face] for face in FACES}),
        ),
        counter(
            "parley_resumes_total",
            "Streams that were resumed behind a cursor.",
            ctx.counted.resumes,
        ),
        counter(
            "parley_replayed_entries_total",
            "Messages and facts that resumed streams were sent from the log.",
            ctx.counted.replayed,
        ),
    ]
