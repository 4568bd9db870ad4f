"""What anyone may ask of the server: its limits, and how it is set up. Nothing here is secret."""

from resolvers.context import Context
from settings import VERSION, Rate

# The names of settings. A new one goes here and into schema/server_info.py.
# fmt: off
LIMITS = (
    # How often.
    "sends_per_user", "uploads_per_user", "renewals_per_user", "upload_bytes_per_user",
    "registrations_per_address", "logins_per_address", "logins_per_account",
    "logins_per_account_from_elsewhere", "failed_login_weight", "wider_network_factor",
    "familiar_address_seconds", "bad_tokens_per_address", "anonymous_graphql_ms_per_address",
    "graphql_ms_per_user", "email_lookups_per_user", "groups_per_user", "additions_per_user",
    "group_changes_per_user", "profile_changes_per_user", "searches_per_user", "reads_per_user",
    "marks_per_user", "typing_per_user",
    # How many at once.
    "reads_at_once_per_user", "max_connections_per_user", "max_connections_per_address",
    "max_subscriptions_per_connection",
    # How large: bodies, queries, queues, files.
    "max_body_bytes", "max_message_bytes", "max_metadata_bytes", "max_page_size",
    "max_query_tokens", "max_query_characters", "max_query_definitions", "max_query_overlaps",
    "max_query_depth", "max_query_fields", "max_query_root_fields", "max_query_aliases",
    "max_query_directives", "max_query_cost",
    "max_pending_sends", "max_queued_messages", "max_queued_bytes",
    "max_image_bytes", "max_voice_bytes", "max_file_bytes", "max_uploads_at_once",
    "max_uploads_per_address", "storage_per_user", "max_unsent_uploads",
    # How long.
    "unsent_upload_seconds", "media_seconds", "request_head_seconds", "request_body_seconds",
    "whole_body_seconds", "min_body_bytes_per_second", "max_unfinished_bytes",
    "keep_alive_seconds", "connection_init_seconds", "auth_login_seconds", "held_events_seconds",
    "max_held_events", "max_held_bytes", "ping_interval_seconds", "ping_timeout_seconds",
    # Tokens, accounts, blocks, addresses of files.
    "token_lifetime_seconds", "token_warning_seconds", "max_sessions_per_user",
    "max_session_age_seconds", "min_password_length", "max_blocked_users", "max_group_members",
    "max_groups_per_user", "file_url_seconds",
    # Messages that are stored, and what changes beside them.
    "log_kept_days", "edit_seconds", "delete_seconds", "max_reactions_per_message",
)
# fmt: on
# GraphQL's Int goes no further; a larger limit is no limit.
MAX_INT = 2**31 - 1
# Shown as GraphQL's Float, which may be larger.
UNBOUNDED = {"storage_per_user"}

Limit = Rate | int | float


def get_limits(ctx: Context) -> dict[str, Limit]:
    """Return every limit by the name of its setting. Anyone may ask."""
    return {name: _shown(name, getattr(ctx.settings, name)) for name in LIMITS}


def enforces_rates(ctx: Context) -> bool:
    """Whether rates and numbers of connections are limited at all: LIMITS."""
    return ctx.settings.limits


def broadcasters(ctx: Context) -> str:
    """Return who may write to everybody: BROADCAST, of the server that started last."""
    return ctx.log.broadcasters


def version() -> str:
    """Return the edition of Parley."""
    return VERSION


def epoch(ctx: Context) -> str:
    """Return which log this is: another epoch begins when the log has lost positions."""
    return ctx.control.epoch


def cursor(ctx: Context) -> int:
    """Return the position up to which this process has delivered the log."""
    return ctx.feed.position


def directory(ctx: Context) -> str:
    """Return whom users find and see online: DIRECTORY."""
    return ctx.settings.directory


def may_register(ctx: Context) -> bool:
    """Whether anybody may make an account: REGISTRATION."""
    return ctx.settings.registration == "open"


def _shown(name: str, value: Limit) -> Limit:
    if name in UNBOUNDED:
        return value
    if isinstance(value, Rate):
        return value._replace(amount=min(value.amount, MAX_INT))
    return min(value, MAX_INT) if isinstance(value, int) else value
