"""The server's limits in GraphQL, for anyone to ask."""

from enum import Enum
from typing import Any

import strawberry

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
    amount: int = strawberry.field(description="How many.")
    seconds: int = strawberry.field(description="The length of the window.")


@strawberry.type(
    description="What the server takes; beyond a rate, RATE_LIMITED says when to retry."
)
class ServerLimits:
    enforced: bool = strawberry.field(
        description="Whether rates and numbers of connections are limited; sizes and times are."
    )
    sends_per_user: RateLimit = strawberry.field(description="Messages that a user may send.")
    uploads_per_user: RateLimit = strawberry.field(description="Uploads that a user may begin.")
    renewals_per_user: RateLimit = strawberry.field(
        description="Renewals of the tokens of one user."
    )
    upload_bytes_per_user: RateLimit = strawberry.field(
        description="Bytes of uploads that a user may send."
    )
    registrations_per_address: RateLimit = strawberry.field(
        description="Registrations from one address."
    )
    logins_per_address: RateLimit = strawberry.field(
        description="Logins from one address, to whatever accounts."
    )
    logins_per_account: RateLimit = strawberry.field(
        description="Logins to one account from one address."
    )
    logins_per_account_from_elsewhere: RateLimit = strawberry.field(
        description="Logins to one account from all addresses that it did not log in from lately."
    )
    failed_login_weight: int = strawberry.field(
        description="How many logins one that fails counts as."
    )
    wider_network_factor: int = strawberry.field(
        description="How many times the rates of an address the IPv4 /24 or IPv6 /48 around it has;"
        " the IPv6 /32 has the square of it."
    )
    familiar_address_seconds: int = strawberry.field(
        description="How long an address stays an account's own after a login."
    )
    bad_tokens_per_address: RateLimit = strawberry.field(
        description="Bad tokens from one address, in `connection_init` and `auth:login`."
    )
    anonymous_graphql_ms_per_address: RateLimit = strawberry.field(
        description="Milliseconds for new documents and execution without a login, of one address."
    )
    graphql_ms_per_user: RateLimit = strawberry.field(
        description="Milliseconds for documents of one user that are new to the server."
    )
    email_lookups_per_user: RateLimit = strawberry.field(
        description="Users whom one user may look up by their e-mail."
    )
    searches_per_user: RateLimit = strawberry.field(description="Searches of one user.")
    reads_per_user: RateLimit = strawberry.field(
        description="Pages of messages and users, and whole histories, read by one user."
    )
    reads_at_once_per_user: int = strawberry.field(
        description="Such reads of one user that run at once; a few more wait."
    )
    max_connections_per_user: int = strawberry.field(
        description="Open connections of one user, in all processes together."
    )
    max_connections_per_address: int = strawberry.field(
        description="Open TCP connections from one address, in all processes together; of Socket.IO"
        " clients the same number."
    )
    max_subscriptions_per_connection: int = strawberry.field(
        description="Subscriptions on one connection."
    )
    max_body_bytes: int = strawberry.field(
        description="The largest request body, and the largest WebSocket message."
    )
    max_message_bytes: int = strawberry.field(
        description="The largest content of a message, in UTF-8."
    )
    max_page_size: int = strawberry.field(description="The most nodes that one page may have.")
    max_query_tokens: int = strawberry.field(description="The longest document, in tokens.")
    max_query_characters: int = strawberry.field(description="The same in characters.")
    max_query_definitions: int = strawberry.field(
        description="Its operations and fragments together."
    )
    max_query_overlaps: int = strawberry.field(
        description="Comparisons of its fields of one name; plain ones count once, others more."
    )
    max_query_depth: int = strawberry.field(description="How deep its fields may be nested.")
    max_query_fields: int = strawberry.field(
        description="Its fields, those of a fragment counted wherever it is spread."
    )
    max_query_root_fields: int = strawberry.field(description="Its fields at the root.")
    max_query_aliases: int = strawberry.field(description="Its aliases.")
    max_query_directives: int = strawberry.field(description="Its directives.")
    max_query_cost: int = strawberry.field(
        description="What it may show at most: each field, as often as the pages around it have"
        " nodes."
    )
    max_pending_sends: int = strawberry.field(
        description="Sends that may wait to be stored, in one process."
    )
    max_queued_messages: int = strawberry.field(
        description="Messages that may wait for a slow reader."
    )
    max_queued_bytes: int = strawberry.field(description="The same in bytes.")
    max_image_bytes: int = strawberry.field(description="The largest image.")
    max_voice_bytes: int = strawberry.field(description="The largest voice note.")
    max_file_bytes: int = strawberry.field(description="The largest file of any other kind.")
    max_uploads_at_once: int = strawberry.field(
        description="Uploads of one user that may be under way."
    )
    max_uploads_per_address: int = strawberry.field(
        description="Uploads from one address that may be under way, in one process."
    )
    storage_per_user: float = strawberry.field(
        description="Bytes of all attachments of one user that are kept; 0 is no limit."
    )
    max_unsent_uploads: int = strawberry.field(
        description="Uploads of one user that may wait to be sent."
    )
    unsent_upload_seconds: int = strawberry.field(
        description="How long an upload that nobody sends is kept."
    )
    media_seconds: int = strawberry.field(description="How long it may take to look at a file.")
    request_head_seconds: float = strawberry.field(
        description="How long a request's headers may take."
    )
    request_body_seconds: float = strawberry.field(
        description="How long a request's body, or a WebSocket message, may stand still."
    )
    whole_body_seconds: float = strawberry.field(description="How long either may take in all.")
    min_body_bytes_per_second: int = strawberry.field(
        description="The least rate of either, after 30 seconds."
    )
    max_unfinished_bytes: int = strawberry.field(
        description="What one process holds of bodies and messages that have not come whole."
    )
    keep_alive_seconds: int = strawberry.field(
        description="How long a connection stays open between requests."
    )
    connection_init_seconds: float = strawberry.field(
        description="How long a WebSocket may wait with connection_init."
    )
    auth_login_seconds: float = strawberry.field(
        description="How long a Socket.IO client may wait with auth:login."
    )
    held_events_seconds: float = strawberry.field(
        description="How long its messages from before auth:login are held."
    )
    max_held_events: int = strawberry.field(
        description="Messages of one Socket.IO connection that may be held."
    )
    max_held_bytes: int = strawberry.field(description="The same in bytes.")
    ping_interval_seconds: float = strawberry.field(
        description="After how long a silent client is pinged; over Socket.IO in whole seconds."
    )
    ping_timeout_seconds: float = strawberry.field(description="How long it has to answer.")
    token_lifetime_seconds: int = strawberry.field(description="How long a token lasts.")
    token_warning_seconds: float = strawberry.field(
        description="How long before that a connection is told so."
    )
    max_sessions_per_user: int = strawberry.field(
        description="Sessions of one user; a login beyond ends the oldest."
    )
    max_session_age_seconds: int = strawberry.field(
        description="How long after its login a session may be renewed."
    )
    min_password_length: int = strawberry.field(
        description="The fewest characters of a new password."
    )
    max_blocked_users: int = strawberry.field(description="Users that one user may have blocked.")
    file_url_seconds: int = strawberry.field(
        description="How long the signed address of a file opens it, at least."
    )


@strawberry.type(description="What anyone may know of the server.")
class ServerInfo:
    limits: ServerLimits = strawberry.field(description="Its limits.")
    broadcasters: Broadcasters = strawberry.field(
        description="Who may send messages without a receiver."
    )
    registration_open: bool = strawberry.field(
        description="Whether anybody may make an account; else only the operator does."
    )
    directory: Directory = strawberry.field(
        description="Whom a user finds and sees online, beside themselves."
    )
    epoch: str = strawberry.field(
        description="Which log the server has. After a loss of stored messages it is another one:"
        " then query anew what you keep."
    )
    cursor: strawberry.ID = strawberry.field(
        description="Where the log is now: the `after` of messageAdded for all that comes next."
    )


@strawberry.type
class ServerQueries:
    @strawberry.field(description="What anyone may know of the server, without a token.")
    def server_info(self, info: Info) -> ServerInfo:
        ctx = info.context.ctx
        shown: dict[str, Any] = {name: _show(limit) for name, limit in get_limits(ctx).items()}
        return ServerInfo(
            limits=ServerLimits(enforced=enforces_rates(ctx), **shown),
            broadcasters=Broadcasters(broadcasters(ctx)),
            registration_open=may_register(ctx),
            directory=Directory(directory(ctx)),
            epoch=epoch(ctx),
            cursor=strawberry.ID(str(cursor(ctx))),
        )


def _show(limit: Limit) -> RateLimit | int | float:
    return RateLimit(**limit._asdict()) if isinstance(limit, tuple) else limit
