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
    version,
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
        "contacts",
        description="Those with whom they have exchanged a direct message, or are in a group.",
    )
    OFF = strawberry.enum_value("off", description="Nobody.")


@strawberry.type(description="At most `amount` in any window of `seconds`.")
class RateLimit:
    amount: int = field(description="How many.")
    seconds: int = field(description="The length of the window.")


def _limit(description: str) -> Any:
    return field(description=description)


@strawberry.type(description="The server's limits. RATE_LIMITED says when to retry.")
class ServerLimits:
    enforced: bool = _limit("Whether rates and connections are limited; sizes always are.")
    sends_per_user: RateLimit = _limit("Messages that one user sends.")
    uploads_per_user: RateLimit = _limit("Uploads that one user begins.")
    renewals_per_user: RateLimit = _limit("Token renewals of one user.")
    upload_bytes_per_user: RateLimit = _limit("Bytes that one user uploads.")
    registrations_per_address: RateLimit = _limit("Registrations from one address.")
    logins_per_address: RateLimit = _limit("Logins from one address, to all accounts together.")
    logins_per_account: RateLimit = _limit("Logins to one account from one address.")
    logins_per_account_from_elsewhere: RateLimit = _limit(
        "Logins to one account from all unfamiliar addresses together."
    )
    failed_login_weight: int = _limit("How many logins one failed login counts as.")
    wider_network_factor: int = _limit(
        "How many times the rates of an address its IPv4 /24 or IPv6 /48 has; its IPv6 /32 has "
        "the square of that."
    )
    familiar_address_seconds: int = _limit("How long an address stays familiar after a login.")
    bad_tokens_per_address: RateLimit = _limit("Bad tokens from one address.")
    anonymous_graphql_ms_per_address: RateLimit = _limit("Milliseconds of GraphQL before a login.")
    graphql_ms_per_user: RateLimit = _limit("Milliseconds for new documents of one user.")
    email_lookups_per_user: RateLimit = _limit("Lookups of users by e-mail, by one user.")
    groups_per_user: RateLimit = _limit("Groups that one user begins.")
    additions_per_user: RateLimit = _limit("People whom one user adds to groups.")
    group_changes_per_user: RateLimit = _limit("Other changes of groups by one user.")
    profile_changes_per_user: RateLimit = _limit("Changes of one user's profile.")
    searches_per_user: RateLimit = _limit("Searches by one user.")
    reads_per_user: RateLimit = _limit("Pages and whole histories that one user reads.")
    marks_per_user: RateLimit = _limit("Marks, and changes of own settings, of one user.")
    typing_per_user: RateLimit = _limit("How often one user says that they type or record.")
    reads_at_once_per_user: int = _limit("Reads of one user that run at once; a few more wait.")
    max_connections_per_user: int = _limit("Open connections of one user, in all processes.")
    max_connections_per_address: int = _limit(
        "Open TCP connections from one address, in all processes; as many Socket.IO clients."
    )
    max_subscriptions_per_connection: int = _limit("Subscriptions on one connection.")
    max_body_bytes: int = _limit("The largest request body, and the largest WebSocket message.")
    max_message_bytes: int = _limit("The largest content of a message, in UTF-8.")
    max_metadata_bytes: int = _limit("The largest custom data of a message, as JSON.")
    max_page_size: int = _limit("The most nodes that one page may have.")
    max_query_tokens: int = _limit("Tokens in a document.")
    max_query_characters: int = _limit("Characters in a document.")
    max_query_definitions: int = _limit("Operations and fragments in a document.")
    max_query_overlaps: int = _limit("Comparisons of fields of one name in a document, weighted.")
    max_query_depth: int = _limit("How deep an operation's fields may be nested.")
    max_query_fields: int = _limit("Fields in an operation; a fragment's count at each spread.")
    max_query_root_fields: int = _limit("Fields at the root of an operation.")
    max_query_aliases: int = _limit("Aliases in an operation.")
    max_query_directives: int = _limit("Directives in an operation.")
    max_query_cost: int = _limit("Fields in an answer; in a list each counts once an item.")
    max_pending_sends: int = _limit("Sends that wait to be stored, in one process.")
    max_queued_messages: int = _limit("Messages that wait for one slow reader.")
    max_queued_bytes: int = _limit("Bytes of messages that wait for one slow reader.")
    max_image_bytes: int = _limit("The largest image.")
    max_voice_bytes: int = _limit("The largest voice note.")
    max_file_bytes: int = _limit("The largest file of any other kind.")
    max_uploads_at_once: int = _limit("Uploads of one user that are under way.")
    max_uploads_per_address: int = _limit(
        "Uploads from one address that are under way, in one process."
    )
    storage_per_user: float = _limit(
        "Bytes of one user's attachments that are kept; 0 is no limit."
    )
    max_unsent_uploads: int = _limit("Uploads of one user that wait to be sent.")
    unsent_upload_seconds: int = _limit("How long an upload that nobody sends is kept.")
    media_seconds: int = _limit("How long it may take to look at a file.")
    request_head_seconds: float = _limit("How long a request's headers may take.")
    request_body_seconds: float = _limit("How long a body or a WebSocket message may stand still.")
    whole_body_seconds: float = _limit("How long a body or a WebSocket message may take.")
    min_body_bytes_per_second: int = _limit(
        "The least rate of a body or message, after 30 seconds."
    )
    max_unfinished_bytes: int = _limit("Bytes of unfinished bodies and messages, in one process.")
    keep_alive_seconds: int = _limit("How long a connection stays open between requests.")
    connection_init_seconds: float = _limit("How long a WebSocket may wait with connection_init.")
    auth_login_seconds: float = _limit("How long a Socket.IO client may wait with auth:login.")
    held_events_seconds: float = _limit("How long messages sent before auth:login are held.")
    max_held_events: int = _limit("Messages held for one Socket.IO connection.")
    max_held_bytes: int = _limit("Bytes of messages held for one Socket.IO connection.")
    ping_interval_seconds: float = _limit("How long a client may be silent before it is pinged.")
    ping_timeout_seconds: float = _limit("How long a client has to answer a ping.")
    token_lifetime_seconds: int = _limit("How long a token lasts.")
    token_warning_seconds: float = _limit(
        "How long before a token's end its connections are warned."
    )
    max_sessions_per_user: int = _limit("Sessions of one user; one more login ends the oldest.")
    max_session_age_seconds: int = _limit("How long after its login a session may be renewed.")
    min_password_length: int = _limit("The fewest characters of a new password.")
    max_blocked_users: int = _limit("Users that one user may have blocked.")
    max_group_members: int = _limit("Members of one group.")
    max_groups_per_user: int = _limit("Groups that one user is in.")
    file_url_seconds: int = _limit("How long a file's signed address opens it, at least.")
    log_kept_days: int = _limit(
        "How many days a cursor of `events` lasts at least, unless the log is replaced."
    )
    edit_seconds: int = _limit("How long a message may be edited; 0 is no limit.")
    delete_seconds: int = _limit("How long its sender may delete a message; 0 is no limit.")
    max_reactions_per_message: int = _limit("Different emoji with which users react to a message.")


@strawberry.type(description="What anyone may know of the server.")
class ServerInfo:
    version: str = field(description="The edition of Parley, as `0.2.0`.")
    limits: ServerLimits = field(description="Its limits.")
    broadcasters: Broadcasters = field(description="Who may send messages without a receiver.")
    registration_open: bool = field(
        description="Whether anybody may make an account; else only the operator."
    )
    directory: Directory = field(
        description="Whom a user finds and sees online, beside themselves."
    )
    epoch: str = field(
        description="Which log the server has. When it changes, stored messages were lost: query"
        " anew what you keep."
    )
    cursor: ID = field(
        description="Where the log is now: as `after` of messageAdded, it gives all that follows."
    )


@strawberry.type
class ServerQueries:
    @field(description="What anyone may know of the server, without a token.")
    def server_info(self, info: Info) -> ServerInfo:
        ctx = info.context.ctx
        shown: dict[str, Any] = {name: _show(limit) for name, limit in get_limits(ctx).items()}
        return ServerInfo(
            version=version(),
            limits=ServerLimits(enforced=enforces_rates(ctx), **shown),
            broadcasters=Broadcasters(broadcasters(ctx)),
            registration_open=may_register(ctx),
            directory=Directory(directory(ctx)),
            epoch=epoch(ctx),
            cursor=ID(str(cursor(ctx))),
        )


def _show(limit: Limit) -> RateLimit | int | float:
    return RateLimit(**limit._asdict()) if isinstance(limit, tuple) else limit
