"""The house of docs: who may import whom, who may announce, how large a file may be."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
LARGEST_FILE = 400
LARGEST_ROOM = 20  # Python files, beside the `__init__.py`

GRAPHQL = {"strawberry", "graphql"}
WEB = {"starlette", "uvicorn"}
SOCKETS = {"socketio", "engineio"}
SQL = {"sqlalchemy", "sqlmodel", "alembic"}
ROOMS = {
    "main",
    "commands",
    "application",
    "settings",
    "schema",
    "compat",
    "resolvers",
    "events",
    "db",
    "media",
    "observe",
    "server",
    "web",
}


class Room(NamedTuple):
    """What a top-level place may import of ours (packages, or modules of one), and what never."""

    ours: set[str]
    never: set[str]


# What both wires have in common, and that knows nothing of ours.
SHARED = {
    "server.bearer",
    "server.calls",
    "server.json_input",
    "server.moments",
    "server.multipart",
    "server.parameters",
    "server.remote",
    "server.retry_after",
}

# fmt: off
HOUSE = {
    "media":       Room(set(), GRAPHQL | WEB | SOCKETS | SQL),
    "web":         Room(set(), GRAPHQL | SOCKETS | SQL),
    # Reads what the parts hold; no part knows of it.
    "observe":     Room({"db", "events", "resolvers", "settings"}, GRAPHQL | WEB | SOCKETS | SQL),
    "main":        Room({"commands", "db", "media", "server", "settings"}, WEB),
    "commands":    Room({"application", "compat", "db", "events.bus", "observe", "resolvers",
                         "schema.root", "server", "settings"}, WEB | SOCKETS | GRAPHQL),
    "application": Room(ROOMS - {"main", "commands"}, set()),
    "settings":    Room(set(), GRAPHQL | WEB | SOCKETS | SQL),
    "server":      Room({"settings"}, GRAPHQL | SOCKETS | SQL),
    "schema":      Room({"resolvers", "events", "db.models", "web"} | SHARED, SQL | SOCKETS),
    "compat":      Room({"resolvers", "events", "db.models"} | SHARED, SQL | GRAPHQL),
    "resolvers":   Room({"db", "events", "media", "settings"}, WEB | GRAPHQL | SOCKETS),
    "events":      Room(set(), SQL | WEB | GRAPHQL | SOCKETS),
    "db":          Room({"events.facts"}, WEB | GRAPHQL | SOCKETS),
}

# What a sub-room may import of the room that it is in, beside itself. "": the room's own files.
SUB_ROOMS = {
    "commands": {
        "":           {"commands.backups", "commands.checking", "commands.describing",
                       "commands.exports", "commands.moving"},
        "backups":    {"commands.exports"},
        "checking":   set(),
        "describing": set(),
        "exports":    set(),
        "moving":     set(),
    },
    "media": {
        "":           {"media.formats"},
        "formats":    {"media.facts"},
    },
    "server": {
        "":           {"server.protocols", "server.processes", "server.middleware"},
        "processes":  {"server.logs"},
        "protocols":  {"server.calls", "server.headers", "server.logs",
                       "server.processes.descriptors", "server.processes.listeners"},
        "middleware": {"server.calls", "server.headers", "server.protocols.visits",
                       "server.remote"},
    },
    "observe": {
        "":           set(),
        "figures":    {"observe.families"},
    },
    "schema": {
        "":           {"schema.execution", "schema.of_messages", "schema.people"},
        "execution":  {"schema.context", "schema.loaders", "schema.pagination"},
        "of_messages": {"schema.context", "schema.messages", "schema.pagination", "schema.scalars"},
        "people":     {"schema.context", "schema.execution", "schema.global_ids",
                       "schema.loaders", "schema.pagination", "schema.scalars"},
        "transports": {"schema.execution", "schema.context", "schema.root"},
    },
    "compat": {
        "":           {"compat.socketio"},
        "rest":       {"compat.bodies", "compat.errors", "compat.shapes"},
        "socketio":   set(),
    },
    "resolvers": {
        "":           {"resolvers.attachments", "resolvers.guards", "resolvers.people"},
        "conversations": {"resolvers.access", "resolvers.background", "resolvers.changes",
                          "resolvers.connections", "resolvers.context", "resolvers.errors",
                          "resolvers.events", "resolvers.guards", "resolvers.messages",
                          "resolvers.people", "resolvers.reads"},
        "attachments": {"resolvers.guards", "resolvers.access", "resolvers.background",
                        "resolvers.changes", "resolvers.context", "resolvers.errors",
                        "resolvers.reads"},
        "guards":     {"resolvers.errors", "resolvers.context"},  # guards/limits too
        "of_messages": {"resolvers.access", "resolvers.context", "resolvers.errors",
                        "resolvers.guards", "resolvers.messages", "resolvers.pending",
                        "resolvers.reads"},
        "people":     {"resolvers.access", "resolvers.attachments", "resolvers.background",
                       "resolvers.changes", "resolvers.context", "resolvers.errors",
                       "resolvers.guards", "resolvers.reads"},
        "upkeep":     {"resolvers.background", "resolvers.changes", "resolvers.context",
                       "resolvers.errors", "resolvers.server_info"},
    },
    "events": {
        "":           {"events.bus"},
        "bus":        set(),
    },
    "db": {
        "":           {"db.engines", "db.models", "db.conversations", "db.groups", "db.people"},
        "engines":    {"db.private"},
        "groups":     {"db.engines", "db.conversations", "db.messages", "db.models",
                       "db.of_messages.reactions", "db.visibility"},
        "models":     set(),
        "conversations": {"db.engines", "db.models", "db.people"},
        # Changes write by each noun's queries.
        "log":        {"db.engines", "db.models", "db.facts", "db.attachments", "db.messages",
                       "db.people", "db.conversations", "db.groups", "db.of_messages"},
        "of_messages": {"db.engines", "db.models", "db.messages", "db.attachments"},
        "people":     {"db.engines", "db.models", "db.storage", "db.visibility"},
        "search":     {"db.engines", "db.models", "db.messages", "db.private"},
        "migrations": {"db.engines", "db.models", "db.resumable"},
    },
}
# fmt: on

TOP_LEVEL_FILES = {"main.py", "application.py"}
OUTSIDE = {"tests", "bench", "docs"}  # they look at the house; nothing in it knows of them
HIDDEN_OR_MADE = {"data", "dist", "node_modules", "site"}
NOT_PYTHON = {"deploy"}


def _room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _sub_room_of(path: Path) -> str:
    """The sub-room of a file or module; "" of one that is in the room itself."""
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[1:] and (ROOT / parts[0] / parts[1]).is_dir() else ""


def _sources() -> list[Path]:
    """Every Python file of the house; the tests live outside it."""
    files = [ROOT / name for name in TOP_LEVEL_FILES]
    for room in HOUSE:
        files += (ROOT / room).rglob("*.py")
    return sorted(files)


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever it stands in it, in full."""
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            # `from db import models` names a module too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_follow_the_table() -> None:
    wrong = []
    for path in _sources():
        name = _room_of(path)
        room = HOUSE[name]
        for module in _imports(path):
            top = module.partition(".")[0]
            if top in room.never:
                wrong.append(f"{path}: {name} must never import {module}")
            if top in ROOMS | OUTSIDE and top != name:
                allowed = any(f"{module}.".startswith(f"{prefix}.") for prefix in room.ours)
                if not allowed:
                    wrong.append(f"{path}: {name} may not import {module}")
    assert wrong == []


def test_imports_within_a_room_follow_the_table() -> None:
    wrong = []
    for path in _sources():
        room, sub_room = _room_of(path), _sub_room_of(path)
        allowed = SUB_ROOMS.get(room, {}).get(sub_room, set())
        for module in _imports(path):
            parts = module.split(".")
            if parts[0] != room or _sub_room_of(ROOT.joinpath(*parts)) == sub_room:
                continue
            if not any(f"{module}.".startswith(f"{prefix}.") for prefix in allowed):
                wrong.append(f"{path}: {room}/{sub_room} may not import {module}")
    assert wrong == []


def test_only_operations_announce() -> None:
    announcing = [
        f"{path}:{node.lineno}"
        for path in _sources()
        if _room_of(path) not in {"resolvers", "events"}
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.Attribute) and node.attr in {"announce", "publish"}
    ]
    assert announcing == []


def test_only_settings_reads_the_environment() -> None:
    # How a service manager, a supervisor and its workers know each other is not a setting.
    supervising = {ROOT / "server/processes/workers.py", ROOT / "commands/serve.py"}
    reading = [
        f"{path}:{node.lineno}"
        for path in _sources()
        if _room_of(path) != "settings" and path not in supervising
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"os.environ", "os.getenv", "os.environb"}
    ]
    assert reading == []


def test_fields_use_only_the_context_of_their_info() -> None:
    # A planned operation has no more to give them (schema/execution/plans.py).
    used = [
        f"{path}:{node.lineno}: {node.attr}"
        for path in _sources()
        if _room_of(path) == "schema"
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "info"
        and node.attr != "context"
    ]
    assert used == []


def test_no_file_is_too_large() -> None:
    outside = [
        path
        for place in OUTSIDE
        for path in (ROOT / place).rglob("*.py")
        if "node_modules" not in path.parts
    ]
    sizes = {path: len(path.read_text().splitlines()) for path in [*_sources(), *outside]}
    assert {str(path): size for path, size in sizes.items() if size > LARGEST_FILE} == {}


def test_no_room_is_too_full() -> None:
    paths = [*_sources(), *(ROOT / "bench").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
    files = Counter(path.parent for path in paths if path.name != "__init__.py")
    # A migration is added for each version and never looked for.
    del files[ROOT / "db" / "migrations" / "versions"]
    assert {str(room): number for room, number in files.items() if number > LARGEST_ROOM} == {}


def test_the_table_has_every_sub_room() -> None:
    sub_rooms = {
        room: {"", *(path.name for path in (ROOT / room).iterdir() if any(path.glob("*.py")))}
        for room in HOUSE
        if (ROOT / room).is_dir()
    }
    assert {room: names for room, names in sub_rooms.items() if names != {""}} == {
        room: set(names) for room, names in SUB_ROOMS.items()
    }


def test_the_house_has_these_rooms_and_no_other() -> None:
    rooms = {path.stem for path in ROOT.glob("*.py")}
    for path in ROOT.iterdir():
        if path.is_dir() and not path.name.startswith((".", "__")):
            rooms.add(path.name)
    assert rooms - HIDDEN_OR_MADE - NOT_PYTHON == HOUSE.keys() | OUTSIDE


def test_modules_say_what_they_are() -> None:
    silent = [str(path) for path in _sources() if ast.get_docstring(_parsed(path)) is None]
    assert silent == []


def test_the_table_sees_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from db import messages\n    import sqlalchemy.orm as orm\n")
    assert [*_imports(wrong)] == ["db.messages", "sqlalchemy.orm"]
