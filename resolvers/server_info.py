"""What anyone may know of the server: its limits. Nothing secret, and nothing of its version."""

import msgspec

from resolvers.context import Context
from settings import Rate


class Limits(msgspec.Struct, frozen=True, rename="camel"):
    """Every limit that a client may meet; each a setting, but for those that say so."""

    enforced: bool
    sends_per_user: Rate
    uploads_per_user: Rate
    registrations_per_address: Rate
    logins_per_address: Rate
    logins_per_account: Rate
    logins_per_account_from_elsewhere: Rate
    failed_login_weight: int
    familiar_address_seconds: int
    bad_tokens_per_address: Rate
    max_connections_per_user: int
    max_connections_per_address: int
