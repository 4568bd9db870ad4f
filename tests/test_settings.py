"""Settings: where they come from, what they refuse, and the file that explains them."""

import logging
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import make_url

from resolvers.guards.signing_secret import signing_secret
from settings import SAMPLE_SECRETS, VERSION, Rate, Settings

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / ".env.example"
GOOD_SECRET = "Zm9vQmFyVHdvVGhyZWVGb3VyNQ-k7_Qx"

SETTING = re.compile(r"[A-Z][A-Z_]*=\S*")


@pytest.fixture(autouse=True)
def _empty_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of whoever runs the tests."""
    for name in os.environ:
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _refusal(**values: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**values)
    return str(refused.value)


def test_the_example_names_every_setting_in_order_each_with_a_line_of_why() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line]
    whys, settings = lines[::2], lines[1::2]
    assert [line for line in whys if not re.fullmatch(r"# \S.{8,97}[.]", line)] == []
    assert [line for line in settings if not SETTING.fullmatch(line)] == []
    names = [line.partition("=")[0] for line in settings]
    assert names == [name.upper() for name in Settings.model_fields]


def test_the_example_changes_nothing() -> None:
    assert Settings(_env_file=EXAMPLE) == Settings()
    may_be_empty = {
        "DB_PASS",
        "HOST",
        "INSTANCE",
        "PASSWORD_WORKERS",
        "MEDIA_WORKERS",
        "PUBLIC_URL",
    }
    may_be_empty |= {"TRUSTED_PROXIES", "INTROSPECTION", "PLAYGROUND", "CHAT_PAGE"}
    for line in EXAMPLE.read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator and name not in {
            "DATABASE_URL",
            "DB_HOST",
            "DB_REPLICA_URLS",
            "REDIS_URL",
            "JWT_SECRET",
            "STORAGE_URL",
        }:
            assert value or name in may_be_empty


def test_the_environment_wins_over_the_file_and_an_argument_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().port == 3000
    Path(".env").write_text("PORT=3001\nDB_NAME=from_the_file\nNOT_OURS=1\n")
    assert Settings().port == 3001
    monkeypatch.setenv("PORT", "3002")
    assert (Settings().port, Settings().db_name) == (3002, "from_the_file")
    assert Settings(port=3003).port == 3003
    monkeypatch.setenv("PORT", "")
    assert Settings().port == 3001


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]  # the point of the test


def test_secrets_are_not_shown() -> None:
    settings = Settings(
        jwt_secret=SecretStr(GOOD_SECRET),
        db_pass=SecretStr("hidden-1"),
        database_url=SecretStr("mysql://a:hidden-2@h/db"),
        db_replica_urls=SecretStr("mysql://a:hidden-4@h/db"),
        redis_url=SecretStr("redis://:hidden-3@h"),
    )
    assert GOOD_SECRET not in repr(settings)
    assert "hidden" not in f"{settings!r} {settings}"


def test_the_database_is_sqlite_until_another_is_named() -> None:
    assert Settings().database == "sqlite+aiosqlite:///data/parley.db"
    assert (
        Settings(data_dir=Path("/var/chat")).database == "sqlite+aiosqlite:////var/chat/parley.db"
    )
    for directory in ("/a b", "/a?b", "/a%20b", "/a#b", "/é@x:y"):
        url = make_url(Settings(data_dir=Path(directory)).database)
        assert (url.database, url.query) == (f"{directory}/parley.db", {})


def test_replicas_are_urls_with_commas_of_a_database_that_has_replicas() -> None:
    urls = SecretStr("mysql://a:b%2Cc@h/db, mariadb://a:hidden@[::1]:3307/db?ssl=true")
    assert Settings().replicas == ()
    assert Settings(db_host="h", db_replica_urls=urls).replicas == (
        "mysql+asyncmy://a:b%2Cc@h/db",
        "mysql+asyncmy://a:hidden@[::1]:3307/db?ssl=true",
    )
    refused_settings: dict[str, dict[str, Any]] = {
        "SQLite has no replicas": {"db_replica_urls": urls},
        "must be URLs of MySQL": {"db_replica_urls": SecretStr("sqlite:///x.db"), "db_host": "h"},
        "must name a host": {"db_replica_urls": SecretStr("mysql://u:hidden@h"), "db_host": "h"},
    }
    for why, settings in refused_settings.items():
        with pytest.raises(ValidationError, match=why) as refused:
            Settings(**settings)
        [problem] = refused.value.errors(include_input=False)
        assert "hidden" not in problem["msg"]


def test_db_host_and_its_kin_name_mysql_whatever_they_hold() -> None:
    settings = Settings(
        db_host="db", db_user="a@b:c", db_pass=SecretStr("p@ss:/?#%20"), db_name="mein chat/1"
    )
    url = make_url(settings.database)
    assert url.drivername == "mysql+asyncmy"
    assert (url.username, url.password) == ("a@b:c", "p@ss:/?#%20")
    assert (url.host, url.port, url.database) == ("db", 3306, "mein chat/1")
    assert make_url(Settings(db_host="::1", db_port=3307).database).host == "::1"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///chat.db", "sqlite+aiosqlite:///chat.db"),
        ("sqlite:////var/chat.db", "sqlite+aiosqlite:////var/chat.db"),
        ("mysql://u:p@h/db", "mysql+asyncmy://u:p@h/db"),
        ("mysql+pymysql://u:p@h:3307/db", "mysql+asyncmy://u:p@h:3307/db"),
        ("mariadb://u:p@h/db?ssl=true", "mysql+asyncmy://u:p@h/db?ssl=true"),
        ("mysql://u:p#/x@[::1]:3306/db", "mysql+asyncmy://u:p#/x@[::1]:3306/db"),
    ],
)
def test_database_url_wins_and_gets_its_driver(given: str, used: str) -> None:
    settings = Settings(database_url=SecretStr(given), db_host="other")
    assert settings.database == used
    make_url(settings.database)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://u:hidden@h/db", "must start with sqlite:// or mysql://"),
        ("mysql", "must start with"),
        ("mysql:h/db", "must start with"),
        ("mysql://u:hidden@h", "must name a host and a database"),
        ("mysql:///db", "must name a host and a database"),
        ("mysql://u:hidden@h:port/db", "Port"),
        ("mysql://u:hidden@h:99999/db", "Port"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_a_url_that_names_no_database_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(database_url=SecretStr(url))
    [problem] = refused.value.errors(include_input=False)
    assert said in problem["msg"]
    assert "hidden" not in problem["msg"]


def test_a_weak_secret_is_warned_about_and_refused_in_production(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for weak in ("short", "x" * 31, *SAMPLE_SECRETS, "YOUR_JWT_SECRET"):
        caplog.clear()
        assert signing_secret(Settings(jwt_secret=SecretStr(weak))) == weak
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "anyone may forge tokens" in caplog.text
        refusal = _refusal(env="production", jwt_secret=SecretStr(weak))
        assert "ENV=production refuses it" in refusal
    caplog.clear()
    good = Settings(env="production", jwt_secret=SecretStr(GOOD_SECRET))
    assert signing_secret(good) == GOOD_SECRET
    assert caplog.text == ""


def test_without_a_secret_one_is_made_kept_and_said(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(env="production", data_dir=Path("not/yet"))
    made = signing_secret(settings)
    assert len(made) >= 32
    kept = Path("not/yet/jwt_secret")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "made one and kept it in not/yet/jwt_secret" in caplog.text
    assert made not in caplog.text
    caplog.clear()
    assert signing_secret(settings) == signing_secret(Settings(data_dir=Path("not/yet"))) == made
    assert caplog.text == ""
    assert [*kept.parent.iterdir()] == [kept]


def test_an_empty_kept_secret_is_said() -> None:
    Path("data").mkdir()
    Path("data/jwt_secret").write_text("\n")
    with pytest.raises(RuntimeError, match="is empty; delete it, or set JWT_SECRET"):
        signing_secret(Settings())


def test_processes_that_start_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    program = (
        "import sys; from resolvers.guards.signing_secret import signing_secret;"
        "from settings import Settings; sys.stdin.readline();"
        "print(signing_secret(Settings(_env_file=None, data_dir=sys.argv[1])))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "shared")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=30)[0] for process in processes]
    assert len(set(answers)) == 1
    assert len(answers[0]) >= 32


def test_origins_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().cors_origins == ("*",)
    monkeypatch.setenv("CORS_ORIGINS", " https://a.example , https://b.example,, ")
    assert Settings().cors_origins == ("https://a.example", "https://b.example")


def test_a_rate_is_an_amount_and_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDS_PER_USER", "600/minute")
    monkeypatch.setenv("REGISTRATIONS_PER_ADDRESS", "5 per 2 days")
    assert Settings().sends_per_user == Rate(600, 60)
    assert Settings().registrations_per_address == Rate(5, 2 * 24 * 3600)
    assert Settings(uploads_per_user=Rate(1, 2)).uploads_per_user == Rate(1, 2)


def test_proxies_are_addresses_and_networks_with_commas() -> None:
    given = " 10.0.0.7, 192.168.0.0/16,fd00::/8 "
    assert Settings(trusted_proxies=given).trusted_proxies == (
        "10.0.0.7",
        "192.168.0.0/16",
        "fd00::/8",
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"sends_per_user": "many"},
        {"sends_per_user": "0/second"},
        {"sends_per_user": "1000000/second"},
        {"sends_per_user": "5/years"},
        {"sends_per_user": "5/second; 10/minute"},
        {"limits": "perhaps"},
        {"trusted_proxies": "proxy.example"},
        {"trusted_proxies": "10.0.0.1/8"},
        {"port": 70000},
        {"port": "abc"},
        {"env": "staging"},
        {"max_message_bytes": 60_001},  # a TEXT column of MySQL holds 65,535
        {"bcrypt_rounds": 3},
        {"bcrypt_rounds": 32},
        {"log_level": "LOUD"},
        {"db_pool_size": 0},
        {"playground": "perhaps"},
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_by_name(bad: dict[str, Any]) -> None:
    assert next(iter(bad)) in _refusal(**bad)


@pytest.mark.parametrize(
    ("written", "amount", "seconds"),
    [
        ("1GB/hour", 1024**3, 3600),
        ("500 MiB/10minutes", 500 * 1024**2, 600),
        ("4096/day", 4096, 86_400),
    ],
)
def test_a_rate_of_bytes_is_read(
    monkeypatch: pytest.MonkeyPatch, written: str, amount: int, seconds: int
) -> None:
    monkeypatch.setenv("UPLOAD_BYTES_PER_USER", written)
    monkeypatch.setenv("STORAGE_PER_USER", "2GB")
    settings = Settings(_env_file=None)
    assert settings.upload_bytes_per_user == (amount, seconds)
    assert settings.storage_per_user == 2 * 1024**3


@pytest.mark.parametrize("written", ["1GB", "GB/hour", "5/hour", "1GB/fortnight", "1GB/60days"])
def test_what_is_no_rate_of_bytes_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("UPLOAD_BYTES_PER_USER", written)
    with pytest.raises(ValidationError, match="must be"):
        Settings(_env_file=None)


def test_the_version_is_told_and_is_the_packages() -> None:
    told = subprocess.run(
        [sys.executable, ROOT / "main.py", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout == f"Parley {VERSION}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
