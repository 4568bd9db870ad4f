"""`main.py users …`: what an operator can do to accounts, from a shell."""

import argparse
import getpass
import secrets
import sys
from collections.abc import AsyncGenerator
from typing import Any

from db.accounts import Account
from resolvers import accounts, auth
from resolvers.context import Context
from resolvers.errors import BadInput

# As many as a secret of 128 bits takes.
GENERATED_BYTES = 16

ACTIONS = {
    "disable": "put a user out everywhere, and keep them out",
    "enable": "let them log in again",
    "delete": "end an account; its messages stay, without a name",
    "admin": "make a user an administrator",
    "no-admin": "make them one no more",
}


def add_users_command(commands: Any) -> None:
    """Add `users` and its actions to the command line."""
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
    for action, help_ in ACTIONS.items():
        parser = actions.add_parser(action, help=help_)
        parser.add_argument("email", help="the account's e-mail address")


async def run_users_command(ctx: Context, options: argparse.Namespace) -> AsyncGenerator[str, None]:
    """Do it, and yield what is to be printed. Raises ParleyError.

    A running server follows within a second.
    """
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
        yield _DONE[options.action].format(await _act(ctx, options.action, options.email))


_DONE = {
    "disable": "{} is disabled, and out everywhere.",
    "enable": "{} may log in again.",
    "delete": "{} is deleted. What they wrote stays.",
    "admin": "{} is an administrator.",
    "no-admin": "{} is no administrator.",
}


async def _act(ctx: Context, action: str, email: str) -> str:
    match action:
        case "disable":
            return (await accounts.disable_user(ctx, email)).email
        case "enable":
            return (await accounts.enable_user(ctx, email)).email
        case "delete":
            return (await accounts.delete_user(ctx, email)).email
        case _:
            return (await accounts.set_admin(ctx, email, is_admin=action == "admin")).email


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
