"""The command line: reads the words and the settings, and runs one of `commands/`."""

import gc

# What is imported stays: to look for garbage meanwhile is a fifth of a start.
gc.disable()

import argparse
import sys
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

try:
    from pydantic import ValidationError

    from commands import command_line, program
    from commands.backups.manifest import BackupUnusable
    from commands.backups.unfinished import check_finished
    from commands.exports.folder import FolderUnusable
    from db.engines.database import DatabaseUnavailable, DatabaseUnsuitable
    from db.files import StoreUnsuitable
    from db.migrate import MigrationStopped
    from media.containment import hide_memory
    from server.logs import configure_logs
    from settings import VERSION, SecretFileError, Settings, problems_of, unknown_names
except ModuleNotFoundError as missing:
    # Mostly the system's Python in place of the one that `make run` has filled.
    raise SystemExit(
        f"{sys.executable} has no package {missing.name!r}. Install Parley's packages (`make run`"
        " does), then run this with .venv/bin/python"
    ) from missing
finally:
    gc.enable()

# The words, in the order of the help, and the modules of `commands/` that they mean.
COMMANDS = {
    **{word: word for word in ("serve", "check", "status", "demo", "migrate", "schema", "search")},
    "users": "users",
    "import": "importing",
    "export": "exporting",
    "backup": "backup",
    "restore": "restore",
}


def main(arguments: list[str]) -> None:
    """Run a command. What it cannot do is said in one line, without a traceback."""
    commands = _import_commands(arguments)
    gc.freeze()  # no collection looks at what was imported
    hide_memory()  # before there is a secret in it
    options = _parse(arguments, commands.values())
    command = commands[options.command]
    if options.command in {"schema", "check"}:
        command.run(options)
        return
    settings = _read_settings(options)
    configure_logs(settings.log_level, settings.log_format)
    try:
        if options.command not in {"restore", "status"}:
            check_finished(settings)
        command.run(settings, options)
    except BackupUnusable as error:
        raise SystemExit(str(error).replace("python main.py", command_line())) from error
    except (DatabaseUnavailable, DatabaseUnsuitable) as error:
        told = str(error).replace("python main.py", command_line())
        raise SystemExit(f"The database: {told}") from error
    except MigrationStopped as stopped:
        print(stopped, file=sys.stderr)
        raise SystemExit(128 + stopped.signal) from stopped  # as a shell counts it
    except FolderUnusable as error:
        raise SystemExit(f"--to: {error}") from error
    except StoreUnsuitable as error:
        raise SystemExit(f"STORAGE_URL: {error}") from error
    except OSError as error:
        raise SystemExit(f"Cannot start: {error}") from error


def _import_commands(arguments: list[str]) -> dict[str, ModuleType]:
    """Import the command that is meant; for the help all of them, which takes half a second."""
    meant = [word for word in arguments if word in COMMANDS][:1] or [*COMMANDS]
    gc.disable()
    try:
        return {word: import_module(f"commands.{COMMANDS[word]}") for word in meant}
    finally:
        gc.enable()


def _parse(arguments: list[str], commands: Iterable[ModuleType]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program(), description="Parley, a realtime chat backend.")
    parser.add_argument("--version", action="version", version=f"Parley {VERSION}")
    words = parser.add_subparsers(dest="command", required=True)
    for command in commands:
        command.add_parser(words)
    return parser.parse_args(arguments)


def _read_settings(options: argparse.Namespace) -> Settings:
    """Return the settings; the words of `serve` come before the environment."""
    words = {name: getattr(options, name, None) for name in ("host", "port", "workers")}
    try:
        return Settings(**{name: word for name, word in words.items() if word is not None})
    except ValidationError as error:
        raise SystemExit(_explain(error)) from error
    except SecretFileError as error:
        raise SystemExit(f"The settings cannot be used:\n  {error}") from error
    except UnicodeDecodeError as error:
        raise SystemExit(f"The file .env is not UTF-8: {error}") from error


def _explain(error: ValidationError) -> str:
    lines = [f"  {found.name or 'settings'}: {found.text}" for found in problems_of(error)]
    # A name that is mistyped is often why.
    lines += [f"  {unknown}" for unknown in unknown_names()]
    return "\n".join(["The settings cannot be used:", *lines])


def parley() -> None:
    """Run the command that the installed package has: `parley`."""
    main(sys.argv[1:])


if __name__ == "__main__":
    parley()
