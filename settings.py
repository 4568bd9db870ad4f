"""The only reader of the environment and of `.env`; everything else is handed a `Settings`."""

import logging
import os
import re
import secrets
import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import quote, urlsplit

import limits
from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

logger = logging.getLogger("parley.settings")

# The secret printed in the older server's documents: everybody knows it.
SAMPLE_SECRETS = frozenset({"your_jwt_secret", "your_secret_key", "supersecret", "secret"})
# RFC 7518 §3.2: a key of the size of the hash output or larger.
MIN_SECRET_BYTES = 32
# What a size in GraphQL can say: its Int has 32 bits.
MAX_INT = 2**31 - 1
# Each entry of a window is kept until it has passed.
MAX_RATE_AMOUNT = 10_000
MAX_RATE_SECONDS = 30 * 24 * 3600
BYTE_RATE = re.compile(r"\s*(\d{1,12})\s*([KMG]?)I?B?\s*/(.+)", re.IGNORECASE | re.DOTALL)
BYTE_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
MIN_BYTE_RATE = 1024


class Rate(NamedTuple):
    """So many in any window of so many seconds."""

    amount: int
    seconds: int


def _read_rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        [item] = limits.parse_many(value)
    except ValueError as error:
        raise ValueError("must be a rate such as 50/5seconds or 10/hour") from error
    rate = Rate(item.amount, item.get_expiry())
    if not (1 <= rate.amount <= MAX_RATE_AMOUNT and 1 <= rate.seconds <= MAX_RATE_SECONDS):
        raise ValueError(f"must be 1 to {MAX_RATE_AMOUNT} in at most 30 days")
    return rate


def _read_byte_rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = BYTE_RATE.fullmatch(value)
    if found is None:
        raise ValueError("must be a rate of bytes such as 1GB/hour or 500MB/10minutes")
    amount = int(found[1]) * BYTE_UNITS[found[2].upper()]
    window = _read_rate(f"1/{found[3].strip()}")
    if amount < MIN_BYTE_RATE or not isinstance(window, Rate):
        raise ValueError("must be at least 1KB")
    return Rate(amount, window.seconds)


RateSetting = Annotated[Rate, NoDecode, BeforeValidator(_read_rate)]
ByteRateSetting = Annotated[Rate, NoDecode, BeforeValidator(_read_byte_rate)]


class Settings(BaseSettings):
    """Every setting, typed and immutable; `.env.example` gives one line of why for each."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    env: Literal["development", "production", "test"] = "development"
    host: str = "0.0.0.0"  # noqa: S104  # a server in a container must be reachable; narrow it with HOST
    port: int = Field(default=3000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    instance: str = Field(default="", pattern="^[A-Za-z0-9_]{0,32}$")

    data_dir: Path = Path("data")
    database_url: SecretStr | None = None
    db_host: str | None = None
    db_port: int = Field(default=3306, ge=1, le=65535)
    db_user: str = "root"
    db_pass: SecretStr = SecretStr("")
    db_name: str = "parley"
    db_pool_size: int = Field(default=10, ge=1, le=1000)

    redis_url: SecretStr | None = None
    redis_prefix: str = Field(default="parley", min_length=1, max_length=100)

    jwt_secret: SecretStr | None = None
    token_lifetime_seconds: int = Field(default=7 * 24 * 3600, ge=60)
    token_warning_seconds: float = Field(default=60, ge=0)
    legacy_tokens: bool = True
    max_sessions_per_user: int = Field(default=100, ge=1, le=1000)
    bcrypt_rounds: int = Field(default=12, ge=4, le=31)
    password_workers: int = Field(default=max(1, (os.cpu_count() or 2) // 2), ge=1, le=64)

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("*",)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    hsts_seconds: int = Field(default=0, ge=0, le=MAX_INT)
    introspection: bool | None = None
    playground: bool | None = None
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
    upload_bytes_per_user: ByteRateSetting = Rate(1024**3, 3600)
    registrations_per_address: RateSetting = Rate(60, 3600)
    logins_per_address: RateSetting = Rate(300, 300)
    logins_per_account: RateSetting = Rate(30, 300)
    logins_per_account_from_elsewhere: RateSetting = Rate(150, 300)
    failed_login_weight: int = Field(default=5, ge=1, le=100)
    familiar_address_seconds: int = Field(default=30 * 24 * 3600, ge=60, le=MAX_RATE_SECONDS)
    bad_tokens_per_address: RateSetting = Rate(300, 60)
    max_connections_per_user: int = Field(default=50, ge=1)
    max_connections_per_address: int = Field(default=1000, ge=1)

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_message_bytes: int = Field(default=16 * 1024, ge=1, le=60_000)
    max_page_size: int = Field(default=200, ge=50, le=1000)  # 50 is a page nobody sized
    # At 4,000 tokens the validation of a document kept the event loop from everybody for a second.
    max_query_tokens: int = Field(default=1000, ge=100, le=4000)
    max_query_depth: int = Field(default=15, ge=5, le=50)
    max_query_fields: int = Field(default=500, ge=50, le=10_000)
    max_query_root_fields: int = Field(default=20, ge=1)
    max_query_aliases: int = Field(default=30, ge=0)
    max_query_directives: int = Field(default=50, ge=0)
    max_query_cost: int = Field(default=10_000, ge=1000)
    max_blocked_users: int = Field(default=1000, ge=1, le=10_000)
    broadcast: Literal["everyone", "admins", "off"] = "everyone"
    max_pending_sends: int = Field(default=10_000, ge=1)
    max_queued_messages: int = Field(default=1000, ge=1)
    max_queued_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    max_subscriptions_per_connection: int = Field(default=100, ge=1)

    request_head_seconds: float = Field(default=10, gt=0)
    request_body_seconds: float = Field(default=20, gt=0)
    connection_init_seconds: float = Field(default=5, gt=0)
    auth_login_seconds: float = Field(default=120, gt=0)
    ping_interval_seconds: float = Field(default=15, gt=0)
    ping_timeout_seconds: float = Field(default=15, gt=0)
    presence_grace_seconds: float = Field(default=5, ge=0)
    presence_lease_seconds: float = Field(default=60, gt=0)
    presence_renewal_seconds: float = Field(default=20, gt=0)
    presence_sweep_seconds: float = Field(default=5, gt=0)
    shutdown_seconds: float = Field(default=8, gt=0, le=60)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            # A browser's Origin has no path, not even a slash,
            # and its host is in lower case, without the port that its scheme has anyway.
            return tuple(_origin(o.strip()) for o in value.split(",") if o.strip())
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        for name in names:
            try:
                ip_network(name)
            except ValueError as error:
                raise ValueError("must be addresses or networks: 10.0.0.7, fd00::/8") from error
        return names

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("redis://", "rediss://", "unix://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _with_driver(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _leases_outlive_renewals(self) -> "Settings":
        if self.presence_lease_seconds < 2 * self.presence_renewal_seconds:
            raise ValueError("PRESENCE_LEASE_SECONDS must be twice PRESENCE_RENEWAL_SECONDS")
        return self

    @model_validator(mode="after")
    def _a_login_may_fail(self) -> "Settings":
        for name in ("logins_per_address", "logins_per_account"):
            if getattr(self, name).amount < self.failed_login_weight:
                raise ValueError(f"{name.upper()} must be FAILED_LOGIN_WEIGHT at least")
        # Else one address alone could use up what all unfamiliar ones have together.
        if self.logins_per_account_from_elsewhere.amount < 2 * self.logins_per_account.amount:
            raise ValueError(
                "LOGINS_PER_ACCOUNT_FROM_ELSEWHERE must be twice LOGINS_PER_ACCOUNT at least"
            )
        return self

    @model_validator(mode="after")
    def _no_known_secret_in_production(self) -> "Settings":
        if self.env == "production" and self.jwt_secret and (why := _weakness(self.jwt_secret)):
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
    def shows_introspection(self) -> bool:
        """Whether the schema may be asked for: INTROSPECTION, else not in production."""
        return self.env != "production" if self.introspection is None else self.introspection

    @property
    def shows_playground(self) -> bool:
        """Whether browsers get a playground: PLAYGROUND, else not in production."""
        return self.env != "production" if self.playground is None else self.playground

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

    def signing_secret(self) -> str:
        """The key of the tokens: JWT_SECRET, else one made once and kept under DATA_DIR."""
        if self.jwt_secret is not None:
            if why := _weakness(self.jwt_secret):
                logger.warning(
                    "JWT_SECRET %s: anyone may forge tokens. Choose a long random one.", why
                )
            return self.jwt_secret.get_secret_value()
        return _kept_secret(self.data_dir / "jwt_secret")


def _origin(written: str) -> str:
    origin = written.rstrip("/").lower()
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if origin.startswith(scheme):
            return origin.removesuffix(port)
    return origin


def _weakness(secret: SecretStr) -> str | None:
    value = secret.get_secret_value()
    if value.lower() in SAMPLE_SECRETS:
        return "is the sample value of the documents"
    if len(value.encode()) < MIN_SECRET_BYTES:
        return f"is shorter than {MIN_SECRET_BYTES} bytes"
    return None


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        # Of several processes starting at once one makes it and the others read it: mkstemp's file
        # is ours alone (mode 600), and a link appears whole, or not at all when there is one.
        handle, written = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(written, path)
            logger.warning("No JWT_SECRET is set: made one and kept it in %s", path)
        except FileExistsError:
            pass
        finally:
            os.unlink(written)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
        logger.warning("%s was open to other users: who has read it can sign tokens", path)
    if kept := path.read_text().strip():
        return kept
    raise RuntimeError(f"{path} is empty; delete it, or set JWT_SECRET")


def _with_driver(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    driver = {
        "sqlite": "sqlite+aiosqlite",
        "mysql": "mysql+asyncmy",
        "mariadb": "mysql+asyncmy",
    }.get(scheme.partition("+")[0])
    if driver is None or not separator:
        raise ValueError("must start with sqlite:// or mysql:// (or mariadb://)")
    # A password may hold what would end the address: everything up to the last @ is left out.
    parts = urlsplit(f"//{rest.rpartition('@')[2]}")
    if driver.startswith("mysql") and not (parts.hostname and parts.path.strip("/")):
        raise ValueError("must name a host and a database: mysql://user:password@host:3306/name")
    if driver.startswith("sqlite") and parts.path.strip("/") in {"", ":memory:"}:
        raise ValueError("must name a file: sqlite:///data/parley.db; connections share no memory")
    parts.port  # noqa: B018  # raises ValueError when it is no port
    return f"{driver}://{rest}"
