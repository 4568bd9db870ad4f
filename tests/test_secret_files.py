"""NAME_FILE: a secret in a file, as container platforms hand it over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from settings import SecretFileError, Settings, unknown_names

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _empty_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.lower().removesuffix("_file") in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _file(content: bytes) -> str:
    Path("secret").write_bytes(content)
    return str(Path("secret").resolve())


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"of the file", "of the file"),
        (b"of the file\n", "of the file"),
        (b"of the file\r\n", "of the file"),
        (b" with spaces \n\n", " with spaces \n"),
        ("gehe\u00edm\n".encode(), "gehe\u00edm"),
    ],
)
def test_a_secret_is_read_from_its_file(
    monkeypatch: pytest.MonkeyPatch, content: bytes, secret: str
) -> None:
    monkeypatch.setenv("DB_PASS_FILE", _file(content))
    assert Settings().db_pass.get_secret_value() == secret


def test_every_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("jwt_secret", "x" * 40),
        ("database_url", "mysql://a:b@localhost/parley"),
        ("redis_url", "redis://localhost"),
        ("storage_url", "s3://bucket"),
    ):
        Path(name).write_text(value)
        monkeypatch.setenv(f"{name.upper()}_FILE", name)
        read = getattr(Settings(), name)
        assert read.get_secret_value() == value
    assert unknown_names() == []


def test_env_file_names_files_too_and_the_environment_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text(f"DB_PASS_FILE={_file(b'of the file')}\nREDIS_URL=redis://written\n")
    assert Settings().db_pass.get_secret_value() == "of the file"
    monkeypatch.setenv("DB_PASS", "of the environment")
    assert Settings().db_pass.get_secret_value() == "of the environment"
    Path("other").write_text("redis://file")
    monkeypatch.setenv("REDIS_URL_FILE", "other")
    assert Settings().redis == "redis://file"
    assert Settings(_env_file=None).db_pass.get_secret_value() == "of the environment"


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "large")],
)
def test_a_file_without_a_secret_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: bytes, why: str
) -> None:
    monkeypatch.setenv("JWT_SECRET_FILE", _file(content))
    with pytest.raises(SecretFileError, match=f"JWT_SECRET_FILE: .*{why}"):
        Settings()


def test_the_server_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    for environment, why in (
        ({"JWT_SECRET_FILE": "absent"}, "JWT_SECRET_FILE: cannot read absent: No such file"),
        ({"JWT_SECRET_FILE": "absent", "JWT_SECRET": "x"}, "JWT_SECRET and JWT_SECRET_FILE are"),
    ):
        ended = subprocess.run(
            [sys.executable, ROOT / "main.py", "serve"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert why in ended.stderr
        assert "Traceback" not in ended.stderr
