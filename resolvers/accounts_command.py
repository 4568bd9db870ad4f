"""`main.py users …`: what an operator can do to accounts, from a shell."""

import argparse
from collections.abc import AsyncGenerator
from typing import Any

from db.accounts import Account
from resolvers import accounts
from resolvers.context import Context

ACTIONS = {
    "disable": "put a user out everywhere, and keep them out",
    "enable": "let them log in again",
    "delete": "end an account; its messages stay, without a name",
    "admin": "make a user an administrator",
    "no-admin": "make them one no more",
}


def add_users_command(commands: Any) -> None:
    """Add `users` and its actions to the command line."""
    users = commands.add_parser("users", help="list, disable, enable or delete users")
    actions = users.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="print every account: id, e-mail, name, state")
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


def _line(account: Account) -> str:
    states = [
        name
        for name, is_so in (("admin", account.is_admin), ("disabled", account.disabled_at))
        if is_so
    ]
    return "\t".join([str(account.id), account.email, account.display_name, ",".join(states)])
