"""Every setting, with its type, its bounds and its default."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, cast
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from settings.forms import (
    MAX_RATE_SECONDS,
    ByteRateSetting,
    ModeSetting,
    Rate,
    RateSetting,
    plain,
    split,
    unquoted,
)
from settings.secret_files import SecretFiles
from settings.strength import weakness_of

ENV_FILE = ".env"
# After the scheme: an account, hosts with commas, a service, the database's number, parameters.
SENTINELS = re.compile(r"([^@/]*@)?[^@/,?]+(,[^@/,?]+)*/[^/?]+(/\d*)?(\?.*)?")
# The largest size that GraphQL can show: its Int has 32 bits.
MAX_INT = 2**31 - 1


class Settings(BaseSettings):
    """Every setting, immutable; `.env.example` gives one line of why for each."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    env: Literal["development", "production", "test"] = "development"
    host: str = ""  # all addresses, IPv4 and IPv6: a container must be reachable
    port: int = Field(default=3000, ge=0, le=65535)
    socket_mode: ModeSetting = 0o660
    workers: int = Field(default=1, ge=1, le=64)
    instance: str = Field(default="", pattern="^[A-Za-z0-9_]{0,32}$")

    data_dir: Path = Path("data")
    database_url: SecretStr | None = None
    db_host: str | None = None
    db_port: int = Field(default=3306, ge=1, le=65535)
    db_user: str = "root"
    db_pass: SecretStr = SecretStr("")
    db_name: str = "parley"
    db_replica_urls: SecretStr | None = None
    db_pool_size: int = Field(default=10, ge=1, le=1000)
    wait_for_db_seconds: float = Field(default=0, ge=0, le=3600)

    redis_url: SecretStr | None = None
    redis_prefix: str = Field(default="parley", min_length=1, max_length=100)

    jwt_secret: SecretStr | None = None
    token_lifetime_seconds: int = Field(default=7 * 24 * 3600, ge=60)
    token_warning_seconds: float = Field(default=60, ge=0)
    legacy_tokens: bool = True
    max_sessions_per_user: int = Field(default=100, ge=1, le=1000)
    max_session_age_seconds: int = Field(default=90 * 24 * 3600, ge=1, le=MAX_INT)
    min_password_length: int = Field(default=6, ge=1, le=72)
    password_check: Literal["off", "common"] = "off"  # noqa: S105  # no password
    bcrypt_rounds: int = Field(default=12, ge=4, le=31)
    password_workers: int = Field(default=max(1, (os.cpu_count() or 2) // 2), ge=1, le=64)

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("*",)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    hsts_seconds: int = Field(default=0, ge=0, le=MAX_INT)
    introspection: bool | None = None
    playground: bool | None = None
    chat_page: bool | None = None
    persisted_queries: bool = False
    storage_url: SecretStr | None = None
    public_url: str = Field(default="", pattern="^(https?://[^/?#]+.*)?$")
    file_url_seconds: int = Field(default=3600, ge=1)
    max_image_bytes: int = Field(default=25 * 1024 * 1024, ge=1024, le=MAX_INT)
    max_voice_bytes: int = Field(default=25 * 1024 * 1024, ge=1024, le=MAX_INT)
    max_file_bytes: int = Field(default=25 * 1024 * 1024, ge=1024, le=MAX_INT)
    max_uploads_at_once: int = Field(default=4, ge=1)
    max_uploads_per_address: int = Field(default=25, ge=1)
    storage_per_user: int = Field(default=5 * 1024**3, ge=0, le=2**60)
    max_unsent_uploads: int = Field(default=100, ge=1)
    unsent_upload_seconds: int = Field(default=24 * 3600, ge=60)
    media_workers: int = Field(default=max(1, (os.cpu_count() or 2) // 2), ge=1, le=64)
    media_memory_bytes: int = Field(default=1024**3, ge=256 * 1024**2)
    media_seconds: int = Field(default=20, ge=1, le=600)

    limits: bool = True
    sends_per_user: RateSetting = Rate(50, 5)
    uploads_per_user: RateSetting = Rate(100, 600)
    renewals_per_user: RateSetting = Rate(100, 600)
    email_lookups_per_user: RateSetting = Rate(30, 3600)
    groups_per_user: RateSetting = Rate(30, 3600)
    additions_per_user: RateSetting = Rate(3000, 3600)
    group_changes_per_user: RateSetting = Rate(100, 600)
    profile_changes_per_user: RateSetting = Rate(30, 600)
    upload_bytes_per_user: ByteRateSetting = Rate(1024**3, 3600)
    registrations_per_address: RateSetting = Rate(60, 3600)
    logins_per_address: RateSetting = Rate(300, 300)
    logins_per_account: RateSetting = Rate(30, 300)
    logins_per_account_from_elsewhere: RateSetting = Rate(150, 300)
    failed_login_weight: int = Field(default=5, ge=1, le=100)
    wider_network_factor: int = Field(default=4, ge=1, le=100)
    familiar_address_seconds: int = Field(default=30 * 24 * 3600, ge=60, le=MAX_RATE_SECONDS)
    bad_tokens_per_address: RateSetting = Rate(300, 60)
    anonymous_graphql_ms_per_address: RateSetting = Rate(1000, 10)
    graphql_ms_per_user: RateSetting = Rate(2000, 10)
    searches_per_user: RateSetting = Rate(30, 10)
    reads_per_user: RateSetting = Rate(300, 10)
    typing_per_user: RateSetting = Rate(60, 10)
    marks_per_user: RateSetting = Rate(300, 10)
    reads_at_once_per_user: int = Field(default=4, ge=1)
    max_connections_per_user: int = Field(default=50, ge=1)
    max_connections_per_address: int = Field(default=1000, ge=1)

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_message_bytes: int = Field(default=16 * 1024, ge=1, le=60_000)
    max_metadata_bytes: int = Field(default=4096, ge=2, le=16 * 1024)
    max_page_size: int = Field(
        default=200, ge=50, le=1000
    )  # 50: the page of a query without `first`
    # To validate a document of 4,000 tokens blocked the event loop for a second.
    max_query_tokens: int = Field(default=1000, ge=100, le=4000)
    max_query_characters: int = Field(default=50_000, ge=1000, le=200_000)
    max_query_definitions: int = Field(default=50, ge=1, le=200)
    max_query_overlaps: int = Field(default=20_000, ge=1000, le=200_000)
    max_query_depth: int = Field(default=15, ge=5, le=50)
    max_query_fields: int = Field(default=500, ge=50, le=10_000)
    max_query_root_fields: int = Field(default=20, ge=1)
    max_query_aliases: int = Field(default=30, ge=0)
    max_query_directives: int = Field(default=50, ge=0)
    max_query_cost: int = Field(default=10_000, ge=1000)
    max_group_members: int = Field(default=1000, ge=2, le=2000)
    max_groups_per_user: int = Field(default=1000, ge=1, le=10_000)
    max_blocked_users: int = Field(default=1000, ge=1, le=10_000)
    broadcast: Literal["everyone", "admins", "off"] = "everyone"
    broadcast_history: Literal["registration", "everything"] = "registration"
    registration: Literal["open", "off"] = "open"
    directory: Literal["everyone", "contacts", "off"] = "everyone"
    search: Literal["on", "off"] = "on"
    edit_seconds: int = Field(default=0, ge=0, le=MAX_INT)
    delete_seconds: int = Field(default=0, ge=0, le=MAX_INT)
    max_reactions_per_message: int = Field(default=20, ge=1, le=100)
    log_kept_days: int = Field(default=30, ge=1, le=36_500)
    max_pending_sends: int = Field(default=10_000, ge=1)
    max_queued_messages: int = Field(default=1000, ge=1)
    max_queued_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    max_subscriptions_per_connection: int = Field(default=100, ge=1)

    request_head_seconds: float = Field(default=10, gt=0)
    request_body_seconds: float = Field(default=20, gt=0)
    whole_body_seconds: float = Field(default=3600, gt=0)
    min_body_bytes_per_second: int = Field(default=256, ge=0)
    max_unfinished_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024, le=MAX_INT)
    keep_alive_seconds: int = Field(default=75, ge=1, le=3600)
    connection_init_seconds: float = Field(default=5, gt=0)
    auth_login_seconds: float = Field(default=120, gt=0)
    held_events_seconds: float = Field(default=5, ge=0)
    max_held_events: int = Field(default=200, ge=1)
    max_held_bytes: int = Field(default=512 * 1024, ge=1024)
    ping_interval_seconds: float = Field(default=15, gt=0)
    ping_timeout_seconds: float = Field(default=15, gt=0)
    presence_grace_seconds: float = Field(default=5, ge=0)
    presence_lease_seconds: float = Field(default=60, gt=0)
    presence_renewal_seconds: float = Field(default=1, gt=0)
    presence_sweep_seconds: float = Field(default=5, gt=0)
    shutdown_seconds: float = Field(default=8, gt=0, le=60)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment, then `.env`, then the files that NAME_FILE names."""
        env_file = cast(DotEnvSettingsSource, dotenv_settings).env_file
        return init_settings, env_settings, SecretFiles(settings_cls, env_file), dotenv_settings

    @model_validator(mode="before")
    @classmethod
    def _as_people_write(cls, values: dict[str, object]) -> dict[str, object]:
        fields = {name: field.annotation for name, field in cls.model_fields.items()}
        return {
            name: plain(name, fields[name], value)
            # A password may begin or end with a space or a quote; a URL does not.
            if isinstance(value, str) and name in fields and "SecretStr" not in str(fields[name])
            else unquoted(value)
            if isinstance(value, str) and name.endswith("_url")
            else value
            for name, value in values.items()
        }

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        return tuple(map(_origin, split(value))) if isinstance(value, str) else value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = split(value)
        for name in names:
            try:
                ip_network(name)
            except ValueError as error:
                raise ValueError("must be addresses or networks: 10.0.0.7, fd00::/8") from error
        return names

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: SecretStr | None) -> SecretStr | None:
        url = "" if value is None else value.get_secret_value()
        schemes = ("redis://", "rediss://", "unix://")
        sentinels = ("redis+sentinel://", "rediss+sentinel://")
        if value is not None and not url.startswith(schemes + sentinels):
            raise ValueError("must start with redis://, rediss://, unix:// or redis+sentinel://")
        if url.startswith(sentinels) and not SENTINELS.fullmatch(url.partition("://")[2]):
            raise ValueError("must name Sentinels and a service: redis+sentinel://a,b,c/service")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _with_driver(value.get_secret_value())
        return value

    @field_validator("db_replica_urls")
    @classmethod
    def _known_replicas(cls, value: SecretStr | None) -> SecretStr | None:
        for url in split(value.get_secret_value()) if value is not None else ():
            if not _with_driver(url).startswith("mysql"):
                raise ValueError("must be URLs of MySQL or MariaDB: mysql://user:word@host/name")
        return value

    @model_validator(mode="after")
    def _settings_agree(self) -> "Settings":
        if self.presence_lease_seconds < 2 * self.presence_renewal_seconds:
            raise ValueError("PRESENCE_LEASE_SECONDS must be twice PRESENCE_RENEWAL_SECONDS")
        for name in ("logins_per_address", "logins_per_account"):
            if getattr(self, name).amount < self.failed_login_weight:
                raise ValueError(f"{name.upper()} must be FAILED_LOGIN_WEIGHT at least")
        # Else one address could use up the rate that all unfamiliar addresses share.
        if self.logins_per_account_from_elsewhere.amount < 2 * self.logins_per_account.amount:
            raise ValueError(
                "LOGINS_PER_ACCOUNT_FROM_ELSEWHERE must be twice LOGINS_PER_ACCOUNT at least"
            )
        if self.replicas and self.database.startswith("sqlite"):
            raise ValueError("DB_REPLICA_URLS is for MySQL and MariaDB: SQLite has no replicas")
        secret = self.jwt_secret and self.jwt_secret.get_secret_value()
        if self.env == "production" and secret and (why := weakness_of(secret)):
            raise ValueError(f"JWT_SECRET {why}; ENV=production refuses it")
        return self

    @property
    def database(self) -> str:
        """The database's URL: DATABASE_URL, else MySQL at DB_HOST, else SQLite in DATA_DIR."""
        if self.database_url is not None:
            return _with_driver(self.database_url.get_secret_value())
        if self.db_host is not None:
            user, password, name = (
                quote(part, safe="")
                for part in (self.db_user, self.db_pass.get_secret_value(), self.db_name)
            )
            host = f"[{self.db_host}]" if ":" in self.db_host else self.db_host  # IPv6
            return f"mysql+asyncmy://{user}:{password}@{host}:{self.db_port}/{name}"
        path = str(self.data_dir / "parley.db").replace("%", "%25").replace("?", "%3F")
        return f"sqlite+aiosqlite:///{path}"

    @property
    def replicas(self) -> tuple[str, ...]:
        """The URLs of the database's replicas: DB_REPLICA_URLS."""
        written = self.db_replica_urls.get_secret_value() if self.db_replica_urls else ""
        return tuple(map(_with_driver, split(written)))

    @property
    def redis(self) -> str | None:
        """Redis's URL: REDIS_URL; None for a server that is one process."""
        return None if self.redis_url is None else self.redis_url.get_secret_value()

    @property
    def refuses_common_passwords(self) -> bool:
        """Whether a new password may be none of the commonest: PASSWORD_CHECK."""
        return self.password_check == "common"  # noqa: S105  # nosec B105  # no password

    @property
    def shows_introspection(self) -> bool:
        """Whether the schema may be asked for: INTROSPECTION, else not in production."""
        return self.env != "production" if self.introspection is None else self.introspection

    @property
    def shows_playground(self) -> bool:
        """Whether browsers get a playground: PLAYGROUND, else not in production."""
        return self.env != "production" if self.playground is None else self.playground

    @property
    def shows_chat_page(self) -> bool:
        """Whether `/` shows browsers a chat page: CHAT_PAGE, else not in production."""
        return self.env != "production" if self.chat_page is None else self.chat_page

    @property
    def storage(self) -> str:
        """Where attachments are kept: STORAGE_URL, else a directory in DATA_DIR."""
        if self.storage_url is not None:
            return self.storage_url.get_secret_value()
        return (self.data_dir / "files").resolve().as_uri()

    @property
    def keeps_files(self) -> bool:
        """Whether DATA_DIR must be there: for the database, the attachments or the secret."""
        embedded = self.database_url is None and self.db_host is None
        return embedded or self.storage_url is None or self.jwt_secret is None

    @property
    def max_upload_bytes(self) -> int:
        """The largest file of any kind."""
        return max(self.max_image_bytes, self.max_voice_bytes, self.max_file_bytes)


def _origin(written: str) -> str:
    """Return an origin as browsers send it: without a slash, a capital letter, a default port."""
    origin = written.rstrip("/").lower()
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if origin.startswith(scheme):
            return origin.removesuffix(port)
    return origin


def _with_driver(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    driver = {
        "sqlite": "sqlite+aiosqlite",
        "mysql": "mysql+asyncmy",
        "mariadb": "mysql+asyncmy",
    }.get(scheme.partition("+")[0])
    if driver is None or not separator:
        raise ValueError("must start with sqlite:// or mysql:// (or mariadb://)")
    # A password may hold a / or ?, which ends an address: urlsplit gets what follows the last @.
    parts = urlsplit(f"//{rest.rpartition('@')[2]}")
    if driver.startswith("mysql") and not (parts.hostname and parts.path.strip("/")):
        raise ValueError("must name a host and a database: mysql://user:password@host:3306/name")
    if driver.startswith("sqlite") and parts.path.strip("/") in {"", ":memory:"}:
        raise ValueError("must name a file: sqlite:///data/parley.db; connections share no memory")
    parts.port  # noqa: B018  # raises ValueError when it is no port
    return f"{driver}://{rest}"
