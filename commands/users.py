"""`main.py users …`: what an operator does to accounts, from a shell."""

import argparse
import asyncio
import getpass
import secrets
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr
from sqlalchemy import make_url

from application import create_context
from db import migrate
from db.people.accounts import Account
from events.bus.bus import LoneBus
from resolvers.changes import writing_log
from resolvers.context import Context
from resolvers.errors import BadInput, ParleyError
from resolvers.people import accounts, auth
from settings import Settings

# A generated password has the 128 bits of a secret.
GENERATED_BYTES = 16


class Action(NamedTuple):
    """What can be done to one account, and what is printed when it is done."""

    help: str
    act: Callable[[Context, str], Awaitable[Account]]
    done: str


ACTIONS = {
    "disable": Action(
        "put a user out everywhere, and keep them out",
        accounts.disable_user,
        "{} is disabled, and out everywhere.",
    ),
    "enable": Action("let them log in again", accounts.enable_user, "{} may log in again."),
    "delete": Action(
        "end an account; its messages stay, without a name",
        accounts.delete_user,
        "{} is deleted. What they wrote stays.",
    ),
    "admin": Action(
        "make a user an administrator",
        partial(accounts.set_admin, is_admin=True),
        "{} is an administrator.",
    ),
    "no-admin": Action(
        "make them one no more",
        partial(accounts.set_admin, is_admin=False),
        "{} is no administrator.",
    ),
}


def add_parser(commands: Any) -> None:
    """Add the command and its actions to the command line."""
    users = commands.add_parser("users", help="list, add, disable, enable or delete users")
    actions = users.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="print every account: id, e-mail, name, state")
    adding = actions.add_parser(
        "add", help="make an account; the password is asked for, or read from standard input"
    )
    adding.add_argument("email", help="the account's e-mail address")
    adding.add_argument("name", help="the name that others see")
    adding.add_argument(
        "--generate", action="store_true", help="make up a password, and print it once"
    )
    for name, action in ACTIONS.items():
        parser = actions.add_parser(name, help=action.help)
        parser.add_argument("email", help="the account's e-mail address")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Do the action, and print what came of it. A running server follows within a second."""
    database = make_url(settings.database)
    if database.get_backend_name() == "sqlite" and not Path(str(database.database)).exists():
        raise SystemExit(f"There is no database at {database.database} yet: start the server once")
    asyncio.run(_administer(settings, options))


async def _administer(settings: Settings, options: argparse.Namespace) -> None:
    # The command signs nothing: it looks for no secret, and stores none.
    nothing = {"jwt_secret": SecretStr(secrets.token_urlsafe(48))}
    ctx = create_context(settings.model_copy(update=nothing), LoneBus())
    try:
        await migrate.upgrade(ctx.db, stoppable=True)
        async with writing_log(ctx):
            async for line in _act(ctx, options):
                print(line)
    except ParleyError as error:
        raise SystemExit(error.message) from error
    finally:
        ctx.passwords.close()
        await ctx.db.close()


async def _act(ctx: Context, options: argparse.Namespace) -> AsyncGenerator[str, None]:
    """Do the action, and yield the lines to print. Raises ParleyError."""
    if options.action == "list":
        async for page in accounts.stream_accounts(ctx):
            for account in page:
                yield _line(account)
    elif options.action == "add":
        password = secrets.token_urlsafe(GENERATED_BYTES) if options.generate else _read_password()
        user = await auth.add_user(
            ctx, email=options.email, password=password, display_name=options.name
        )
        yield f"{user.email} may log in."
        if options.generate:
            yield f"Password: {password}"
    else:
        action = ACTIONS[options.action]
        yield action.done.format((await action.act(ctx, options.email)).email)


def _read_password() -> str:
    """Return what is typed twice, unseen; or the first line of a file or a pipe."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise BadInput("The two passwords differ")
    return password


def _line(account: Account) -> str:
    states = [
        name
        for name, is_so in (("admin", account.is_admin), ("disabled", account.disabled_at))
        if is_so
    ]
    return "\t".join([str(account.id), account.email, account.display_name, ",".join(states)])
