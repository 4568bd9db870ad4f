"""Settings as people write them: any case, units, wrong names, secrets that can be guessed."""

import os
import secrets
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from settings import Settings, unknown_names, weakness_of


@pytest.fixture(autouse=True)
def _empty_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of whoever runs the tests."""
    for name in os.environ:
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("LOG_LEVEL", "warning", "WARNING"),
        ("LOG_LEVEL", " Warn ", "WARNING"),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("LOG_FORMAT", "JSON", "json"),
        ("ENV", "Production", "production"),
        ("ENV", "prod", "production"),
        ("BROADCAST", "Admins", "admins"),
        ("LIMITS", "Off", False),
        ("LIMITS", " yes ", True),
        ("LEGACY_TOKENS", "TRUE", True),
        ("INTROSPECTION", "on", True),
        ("INTROSPECTION", "Enabled", True),
        ("LIMITS", "disabled", False),
        ("LIMITS", "0", False),
        ("SEARCH", "true", "on"),
        ("SEARCH", "No", "off"),
        ("SEARCH", "1", "on"),
        ("REGISTRATION", "false", "off"),
        ("REGISTRATION", "yes", "open"),
        ("PASSWORD_CHECK", "on", "common"),
        ("BROADCAST", "disabled", "off"),
        ("DIRECTORY", "no", "off"),
        ("PORT", " 3001 ", 3001),
        # As `docker run --env-file` hands over what is quoted in the file.
        ("PORT", '"3001"', 3001),
        ("LOG_LEVEL", "'info'", "INFO"),
        ("DB_USER", '"chat"', "chat"),
        ("MAX_IMAGE_BYTES", "25MB", 25 * 1024**2),
        ("MAX_IMAGE_BYTES", "64 KiB", 64 * 1024),
        ("MAX_BODY_BYTES", "1.5m", 1536 * 1024),
        ("TOKEN_LIFETIME_SECONDS", "7d", 7 * 86_400),
        ("TOKEN_LIFETIME_SECONDS", "1.5h", 5400),
        ("TOKEN_LIFETIME_SECONDS", "90 minutes", 5400),
        ("TOKEN_LIFETIME_SECONDS", "2 weeks", 14 * 86_400),
        ("PING_INTERVAL_SECONDS", "20s", 20.0),
        ("DB_USER", " chat ", "chat"),
    ],
)
def test_a_value_is_read_as_it_is_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, meant: object
) -> None:
    if name == "ENV":
        monkeypatch.setenv("JWT_SECRET", secrets.token_urlsafe(48))
    monkeypatch.setenv(name, written)
    assert getattr(Settings(), name.lower()) == meant


def test_a_password_keeps_its_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASS", " pass word ")
    assert Settings().db_pass.get_secret_value() == " pass word "


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("LOG_LEVEL", "loud"),
        ("MAX_IMAGE_BYTES", "25 apples"),
        ("MAX_IMAGE_BYTES", "MB"),
        ("TOKEN_LIFETIME_SECONDS", "soon"),
        ("LIMITS", "maybe"),
        ("BROADCAST", "yes"),  # to everyone, or to admins?
        ("SEARCH", "sometimes"),
        ("LOG_LEVEL", "off"),
        ("PORT", "99999"),
    ],
)
def test_what_means_nothing_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str
) -> None:
    monkeypatch.setenv(name, written)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_unknown_names_are_told_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "JWT_SECERT=x\nDB_PASSWORD=x\nLOGLEVEL=x\nNODE_ENV=x\nMY_OWN_THING=x\nPORT=3000\n"
    Path(".env").write_text(lines)
    monkeypatch.setenv("REDIS_ULR", "x")
    monkeypatch.setenv("MAX_MESSAGE_BYTE", "x")
    told = unknown_names()
    for name, near in (
        ("JWT_SECERT", "JWT_SECRET"),
        ("DB_PASSWORD", "DB_PASS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("NODE_ENV", "ENV"),
        ("REDIS_ULR", "REDIS_URL"),
        ("MAX_MESSAGE_BYTE", "MAX_MESSAGE_BYTES"),
    ):
        assert f"{name} is no setting and has no effect; did you mean {near}?" in told
    assert "MY_OWN_THING is no setting and has no effect" in told
    assert not [line for line in told if line.startswith(("PORT ", "PATH ", "HOME "))]


def test_the_quotes_around_a_url_are_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", '"mysql://u:p@h/db"')
    monkeypatch.setenv("REDIS_URL", "'redis://h'")
    monkeypatch.setenv("DB_PASS", '"quoted"')
    settings = Settings()
    assert settings.database == "mysql+asyncmy://u:p@h/db"
    assert settings.redis == "redis://h"
    assert settings.db_pass.get_secret_value() == '"quoted"'


@pytest.mark.parametrize(
    ("name", "near", "anywhere"),
    [
        ("jwt_secert", "JWT_SECRET", True),
        ("JWT_SECERT_FILE", "JWT_SECRET_FILE", True),
        ("PARLEY_PORT", "PORT", True),
        ("DB_HOST_FILE", "DB_HOST", True),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES", True),
        ("MYSQL_HOST", "DB_HOST", True),
        ("REDIS_HOST", "REDIS_URL", True),
        ("LOG_LEVLE", "LOG_LEVEL", True),
        ("SECRET_KEY", "JWT_SECRET", False),
        ("WEB_CONCURRENCY", "WORKERS", False),
        ("CORS-ORIGINS", "CORS_ORIGINS", True),
    ],
)
def test_a_name_is_told_in_the_file_and_near_ones_in_the_environment_too(
    monkeypatch: pytest.MonkeyPatch, name: str, near: str, anywhere: bool
) -> None:
    told = f"{name} is no setting and has no effect; did you mean {near}?"
    monkeypatch.setenv(name, "x")
    assert (told in unknown_names()) == anywhere
    monkeypatch.delenv(name)
    Path(".env").write_text(f"{name}=x\n")
    if "-" not in name:  # which a file cannot hold
        assert told in unknown_names()


def test_names_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    others = [
        "HOSTNAME",
        "HOSTTYPE",
        "HOME",
        "PATH",
        "PWD",
        "OLDPWD",
        "SHELL",
        "USER",
        "LOGNAME",
        "LANG",
        "LC_ALL",
        "TERM",
        "DISPLAY",
        "EDITOR",
        "MAIL",
        "SHLVL",
        "TZ",
        "TMPDIR",
        "PAGER",
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "PIP_NO_CACHE_DIR",
        "NODE_PATH",
        "SSH_AUTH_SOCK",
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "WATCHDOG_USEC",
        "STATE_DIRECTORY",
        "RUNTIME_DIRECTORY",
        "CREDENTIALS_DIRECTORY",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_PORT",
        "KUBERNETES_SERVICE_PORT",
        "container",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "NO_PROXY",
        "DEBUG",
        "CI",
        "OTEL_SERVICE_NAME",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "COLORTERM",
        "LS_COLORS",
        "MANPATH",
        "SECRET_KEY",
        "BASE_URL",
        "ENVIRONMENT",
        "GPG_KEY",
        "PYTHON_VERSION",
        "LIMIT_NOFILE",
    ]
    for name in others:
        monkeypatch.setenv(name, "x")
    assert unknown_names() == []
    # The database's own image is told its names in the same file.
    Path(".env").write_text("DB_HOST=db\nDB_PASS=x\n")
    monkeypatch.setenv("MYSQL_HOST", "db")
    monkeypatch.setenv("MYSQL_PASSWORD", "x")
    assert unknown_names() == []


def test_without_a_file_nothing_is_told() -> None:
    assert [line for line in unknown_names() if "did you mean" not in line] == []


@pytest.mark.parametrize(
    "weak",
    [
        "a" * 32,
        "ab" * 20,
        "your_jwt_secret" * 3,
        ("your_jwt_secret" * 3)[:32],
        "supersecretsupersecretsupersecret!",
        "your_super_secret_jwt_key_change_me_now",
        "this-is-a-very-long-secret-key-123",
        "your_jwt_secret_12345678901234567890",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "12345678901234567890123456789012",
        "0123456789abcdef0123456789abcdef",
        "changeme-changeme-changeme-changeme",
    ],
)
def test_a_long_secret_that_can_be_guessed_is_refused_in_production(weak: str) -> None:
    assert weakness_of(weak)
    with pytest.raises(ValidationError, match="ENV=production refuses it"):
        Settings(env="production", jwt_secret=SecretStr(weak))


def test_random_secrets_are_good() -> None:
    for written in (
        "a secret of the tests, long enough to sign with",
        "correct horse battery staple!!!!!",
    ):
        assert weakness_of(written) is None
    for _ in range(2000):
        for made in (secrets.token_hex(16), secrets.token_hex(32), secrets.token_urlsafe(24)):
            assert weakness_of(made) is None, made
