"""The server's limits in GraphQL, for anyone to ask."""

from enum import Enum
from typing import Any

import strawberry
from strawberry import ID, field

from resolvers.server_info import (
    Limit,
    broadcasters,
    cursor,
    directory,
    enforces_rates,
    epoch,
    get_limits,
    may_register,
)
from schema.context import Info


@strawberry.enum(description="Who may write to everybody.")
class Broadcasters(Enum):
    EVERYONE = strawberry.enum_value("everyone", description="Every user.")
    ADMINS = strawberry.enum_value("admins", description="Administrators only.")
    OFF = strawberry.enum_value("off", description="Nobody.")


@strawberry.enum(description="Whom a user finds and sees online, beside themselves.")
class Directory(Enum):
    EVERYONE = strawberry.enum_value("everyone", description="Every user.")
    CONTACTS = strawberry.enum_value(
        "contacts", description="Those with whom they have exchanged a direct message."
    )
    OFF = strawberry.enum_value("off", description="Nobody.")


@strawberry.type(description="So many in any window of so many seconds.")
class RateLimit:
    amount: int = field(description="How many.")
    seconds: int = field(description="The length of the window.")


def _limit(description: str) -> Any:
    return field(description=description)


@strawberry.type(
    description="What the server takes; beyond a rate, RATE_LIMITED says when to retry."
)
class ServerLimits:
    enforced: bool = _limit(
        "Whether rates and numbers of connections are limited; sizes and times are."
    )
    sends_per_user: RateLimit = _limit("Messages that a user may send.")
    uploads_per_user: RateLimit = _limit("Uploads that a user may begin.")
    renewals_per_user: RateLimit = _limit("Renewals of the tokens of one user.")
    upload_bytes_per_user: RateLimit = _limit("Bytes of uploads that a user may send.")
    registrations_per_address: RateLimit = _limit("Registrations from one address.")
    logins_per_address: RateLimit = _limit("Logins from one address, to whatever accounts.")
    logins_per_account: RateLimit = _limit("Logins to one account from one address.")
    logins_per_account_from_elsewhere: RateLimit = _limit(
        "Logins to one account from all addresses that it did not log in from lately."
    )
    failed_login_weight: int = _limit("How many logins one that fails counts as.")
    wider_network_factor: int = _limit(
        "How many times the rates of an address the IPv4 /24 or IPv6 /48 around it has;"
        " the IPv6 /32 has the square of it."
    )
    familiar_address_seconds: int = _limit(
        "How long an address stays an account's own after a login."
    )
    bad_tokens_per_address: RateLimit = _limit(
        "Bad tokens from one address, in `connection_init` and `auth:login`."
    )
    anonymous_graphql_ms_per_address: RateLimit = _limit(
        "Milliseconds for new documents and execution without a login, of one address."
    )
    graphql_ms_per_user: RateLimit = _limit(
        "Milliseconds for documents of one user that are new to the server."
    )
    email_lookups_per_user: RateLimit = _limit("Users whom one user may look up by their e-mail.")
    searches_per_user: RateLimit = _limit("Searches of one user.")
    reads_per_user: RateLimit = _limit(
        "Pages of messages and users, and whole histories, read by one user."
    )
    reads_at_once_per_user: int = _limit(
        "Such reads of one user that run at once; a few more wait."
    )
    max_connections_per_user: int = _limit(
        "Open connections of one user, in all processes together."
    )
    max_connections_per_address: int = _limit(
        "Open TCP connections from one address, in all processes together; of Socket.IO"
        " clients the same number."
    )
    max_subscriptions_per_connection: int = _limit("Subscriptions on one connection.")
    max_body_bytes: int = _limit("The largest request body, and the largest WebSocket message.")
    max_message_bytes: int = _limit("The largest content of a message, in UTF-8.")
    max_page_size: int = _limit("The most nodes that one page may have.")
    max_query_tokens: int = _limit("The longest document, in tokens.")
    max_query_characters: int = _limit("The same in characters.")
    max_query_definitions: int = _limit("Its operations and fragments together.")
    max_query_overlaps: int = _limit(
        "Comparisons of its fields of one name; plain ones count once, others more."
    )
    max_query_depth: int = _limit("How deep its fields may be nested.")
    max_query_fields: int = _limit("Its fields, those of a fragment counted wherever it is spread.")
    max_query_root_fields: int = _limit("Its fields at the root.")
    max_query_aliases: int = _limit("Its aliases.")
    max_query_directives: int = _limit("Its directives.")
    max_query_cost: int = _limit(
        "What it may show at most: each field, as often as the pages around it have nodes."
    )
    max_pending_sends: int = _limit("Sends that may wait to be stored, in one process.")
    max_queued_messages: int = _limit("Messages that may wait for a slow reader.")
    max_queued_bytes: int = _limit("The same in bytes.")
    max_image_bytes: int = _limit("The largest image.")
    max_voice_bytes: int = _limit("The largest voice note.")
    max_file_bytes: int = _limit("The largest file of any other kind.")
    max_uploads_at_once: int = _limit("Uploads of one user that may be under way.")
    max_uploads_per_address: int = _limit(
        "Uploads from one address that may be under way, in one process."
    )
    storage_per_user: float = _limit(
        "Bytes of all attachments of one user that are kept; 0 is no limit."
    )
    max_unsent_uploads: int = _limit("Uploads of one user that may wait to be sent.")
    unsent_upload_seconds: int = _limit("How long an upload that nobody sends is kept.")
    media_seconds: int = _limit("How long it may take to look at a file.")
    request_head_seconds: float = _limit("How long a request's headers may take.")
    request_body_seconds: float = _limit(
        "How long a request's body, or a WebSocket message, may stand still."
    )
    whole_body_seconds: float = _limit("How long either may take in all.")
    min_body_bytes_per_second: int = _limit("The least rate of either, after 30 seconds.")
    max_unfinished_bytes: int = _limit(
        "What one process holds of bodies and messages that have not come whole."
    )
    keep_alive_seconds: int = _limit("How long a connection stays open between requests.")
    connection_init_seconds: float = _limit("How long a WebSocket may wait with connection_init.")
    auth_login_seconds: float = _limit("How long a Socket.IO client may wait with auth:login.")
    held_events_seconds: float = _limit("How long its messages from before auth:login are held.")
    max_held_events: int = _limit("Messages of one Socket.IO connection that may be held.")
    max_held_bytes: int = _limit("The same in bytes.")
    ping_interval_seconds: float = _limit(
        "After how long a silent client is pinged; over Socket.IO in whole seconds."
    )
    ping_timeout_seconds: float = _limit("How long it has to answer.")
    token_lifetime_seconds: int = _limit("How long a token lasts.")
    token_warning_seconds: float = _limit("How long before that a connection is told so.")
    max_sessions_per_user: int = _limit("Sessions of one user; a login beyond ends the oldest.")
    max_session_age_seconds: int = _limit("How long after its login a session may be renewed.")
    min_password_length: int = _limit("The fewest characters of a new password.")
    max_blocked_users: int = _limit("Users that one user may have blocked.")
    file_url_seconds: int = _limit("How long the signed address of a file opens it, at least.")


@strawberry.type(description="What anyone may know of the server.")
class ServerInfo:
    limits: ServerLimits = field(description="Its limits.")
    broadcasters: Broadcasters = field(description="Who may send messages without a receiver.")
    registration_open: bool = field(
        description="Whether anybody may make an account; else only the operator does."
    )
    directory: Directory = field(
        description="Whom a user finds and sees online, beside themselves."
    )
    epoch: str = field(
        description="Which log the server has. After a loss of stored messages it is another one:"
        " then query anew what you keep."
    )
    cursor: ID = field(
        description="Where the log is now: the `after` of messageAdded for all that comes next."
    )


@strawberry.type
class ServerQueries:
    @field(description="What anyone may know of the server, without a token.")
    def server_info(self, info: Info) -> ServerInfo:
        ctx = info.context.ctx
        shown: dict[str, Any] = {name: _show(limit) for name, limit in get_limits(ctx).items()}
        return ServerInfo(
            limits=ServerLimits(enforced=enforces_rates(ctx), **shown),
            broadcasters=Broadcasters(broadcasters(ctx)),
            registration_open=may_register(ctx),
            directory=Directory(directory(ctx)),
            epoch=epoch(ctx),
            cursor=ID(str(cursor(ctx))),
        )


def _show(limit: Limit) -> RateLimit | int | float:
    return RateLimit(**limit._asdict()) if isinstance(limit, tuple) else limit
