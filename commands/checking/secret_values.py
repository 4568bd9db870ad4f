"""Whether the secrets are good, and kept from others."""

import stat
from pathlib import Path

from sqlalchemy import make_url

from commands.checking.findings import Finding, note, ok, wrong
from settings import Settings, weakness_of

HOW_TO_MAKE_ONE = 'python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
# Passwords that installers, images and tutorials give to a database.
DEFAULT_PASSWORDS = frozenset(
    {"root", "password", "mysql", "mariadb", "admin", "secret", "changeme", "example", "test"}
    | {"parley", "123456", "12345678", "my-secret-pw"}
)
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def check_secrets(settings: Settings) -> list[Finding]:
    """Return what is wrong with JWT_SECRET, the database's password and the files they are in."""
    found = [*_check_signing(settings), *_check_database(settings), *_check_files(settings)]
    return found or [ok("the secrets have no known weakness")]


def _check_signing(settings: Settings) -> list[Finding]:
    if settings.jwt_secret is not None:
        why = weakness_of(settings.jwt_secret.get_secret_value())
        remedy = f"choose a long random one: {HOW_TO_MAKE_ONE}"
        return [wrong(f"JWT_SECRET {why}: anyone may forge tokens", remedy)] if why else []
    kept = settings.data_dir / "jwt_secret"
    try:
        if kept.exists() and not kept.read_text().strip():
            return [wrong(f"{kept} is empty", "delete it, or set JWT_SECRET")]
    except OSError as error:
        return [wrong(f"{kept} cannot be read: {error.strerror}", "run as the server's user")]
    if settings.redis is not None:
        return [
            note(
                f"JWT_SECRET is not set: this machine's is in {kept}",
                "set one JWT_SECRET where servers on several machines share a database",
            )
        ]
    return []


def _check_database(settings: Settings) -> list[Finding]:
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite":
        return []
    password = url.password or ""
    if not password:
        why = "is empty"
    elif password.lower() in DEFAULT_PASSWORDS or password == url.username:
        why = "is one that everybody tries first"
    else:
        return []
    said = f"the password of the database's user {url.username} {why}"
    remedy = "give the user a random one, in DB_PASS or DATABASE_URL"
    # On the machine itself, while one develops, that is usual.
    is_near = settings.env != "production" and (url.host or "localhost") in LOCAL
    return [note(said, remedy) if is_near else wrong(said, remedy)]


def _check_files(settings: Settings) -> list[Finding]:
    found = []
    for path in (Path(".env"), settings.data_dir / "jwt_secret"):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # there is none, or it is another part's to tell
        if mode & 0o077:
            said = f"{path} is open to other users of this machine (mode {mode:o})"
            found.append(
                (wrong if settings.env == "production" else note)(said, f"chmod 600 {path}")
            )
    return found
