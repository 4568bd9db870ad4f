"""The status of a server's processes as text."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from server.processes.status_socket import Answer

FACES = {
    "graphqlWebSocket": "GraphQL over WebSocket",
    "graphqlEventStream": "GraphQL over SSE",
    "socketio": "Socket.IO",
}
MEGABYTE = 1024**2


def lines_of(answers: Iterable[Answer]) -> Iterator[str]:
    """Yield the lines: a server, then its workers, each with what it is occupied with."""
    told = {process: said for process, said in answers if said is not None}
    for said in told.values():
        if "workers" in said:
            yield from _supervisor(said)
            for worker in said["workers"]:
                if (found := told.get(worker["process"])) is not None:
                    yield from _process(found, "  worker")
        elif said["parent"] not in told:
            yield from _process(said, f"Parley {said['version']}:")
    for process in sorted({answer.process for answer in answers} - told.keys()):
        yield f"process {process}: no answer"


def _supervisor(said: Mapping[str, Any]) -> Iterator[str]:
    ready = sum(worker["ready"] for worker in said["workers"])
    yield (
        f"Parley {said['version']}: supervisor {said['process']}, {ready} of"
        f" {len(said['workers'])} workers ready, {_usage(said)}"
    )


def _process(said: Mapping[str, Any], title: str) -> Iterator[str]:
    name = f" {said['name']}" if said["name"] else ""
    yield f"{title}{name} process {said['process']}, {_usage(said)}"
    rows = {
        "connected": _connected(said),
        "log": _log(said["log"]),
        "queues": _queues(said),
        "database": _database(said["database"]),
        "redis": _redis(said["redis"]),
        "search": _search(said["search"]),
    }
    for row, text in rows.items():
        yield f"    {row:9}  {text}"
    for user in said.get("connected", ()):
        faces = ", ".join(
            f"{FACES.get(face, face)} {number}" for face, number in user["connections"].items()
        )
        yield f"    user {user['id']}  {user['email'] or 'unknown'}: {faces}"


def _usage(said: Mapping[str, Any]) -> str:
    files = "" if said["openFiles"] is None else f", files {said['openFiles']:,}"
    return (
        f"up {_time(said['upSeconds'])}, CPU {said['cpuSeconds']:,.1f} s,"
        f" {said['memoryBytes'] / MEGABYTE:,.0f} MB{files} of {said['mostOpenFiles']:,},"
        f" loop {said['loopLateMs']:.1f} ms late"
    )


def _time(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0 s"


def _connected(said: Mapping[str, Any]) -> str:
    faces = ", ".join(
        f"{FACES.get(face, face)} {number['open']} ({number['loggedIn']} logged in)"
        for face, number in said["connections"].items()
        if number["open"]
    )
    users = said["users"]
    return f"{users['here']} users here, {users['online']} online; {faces or 'no connection'}"


def _log(log: Mapping[str, Any]) -> str:
    head = "unknown" if log["head"] is None else f"{log['head']:,}"
    behind = "" if log["behind"] is None else f", {log['behind']:,} behind"
    waiting = f"{log['waiting']:,} of {log['mostWaiting']:,} changes wait"
    return f"head {head}, followed to {log['position']:,}{behind}; {waiting}; epoch {log['epoch']}"


def _queues(said: Mapping[str, Any]) -> str:
    queues, uploads = said["queues"], said["uploads"]
    return (
        f"{queues['waiting']:,} items for {queues['readers']:,} readers, the longest"
        f" {queues['longest']:,} of {queues['most']:,}; {uploads['inspected']} uploads inspected,"
        f" {uploads['waiting']} wait"
    )


def _database(database: Mapping[str, Any]) -> str:
    pools = (
        f"reading {database['reading']} of {database['mostReading']},"
        f" writing {database['writing']} of {database['mostWriting']}"
    )
    if not database["answers"]:
        return f"AWAY: {database['trouble']} ({database['place']}); {pools}"
    return f"{database['version']} at {database['place']}, {database['ms']} ms; {pools}"


def _redis(redis: Mapping[str, Any]) -> str:
    if not redis["used"]:
        return "not used"
    state = "connected" if redis["connected"] else "AWAY"
    return f"{state}; {redis['processes']} processes heard, {redis['waiting']:,} publications wait"


def _search(search: Mapping[str, Any]) -> str:
    if not search["on"]:
        return "off"
    if not search["answers"]:
        return "the index cannot be read"
    return f"indexed {search['first']:,} to {search['last']:,}, {search['behind']:,} behind"
