"""Names in the environment or `.env` that look like a setting and are none."""

import os
from difflib import get_close_matches

from dotenv import dotenv_values

from settings.model import ENV_FILE, Settings
from settings.secret_files import holds_secret

# Names by which other programs call our settings, where difflib sees no likeness.
_OTHER_NAMES = {
    "DB_HOST": ("MYSQL_HOST", "MARIADB_HOST", "DATABASE_HOST"),
    "DB_PORT": ("MYSQL_PORT", "MARIADB_PORT", "DATABASE_PORT"),
    "DB_USER": ("MYSQL_USER", "MARIADB_USER", "DATABASE_USER"),
    "DB_PASS": ("DB_PASSWORD", "MYSQL_PASSWORD", "MARIADB_PASSWORD", "DATABASE_PASSWORD"),
    "DB_NAME": ("DB_DATABASE", "MYSQL_DATABASE", "MARIADB_DATABASE", "DATABASE_NAME"),
    "DATABASE_URL": ("DB_URL", "MYSQL_URL", "MARIADB_URL"),
    "REDIS_URL": ("REDIS_HOST", "REDIS_PORT", "REDIS_URI", "REDIS_TLS_URL", "VALKEY_URL"),
    "ENV": ("NODE_ENV",),
    "TOKEN_LIFETIME_SECONDS": ("JWT_EXPIRES_IN",),
}
# The same for names that in the environment are mostly other programs': only in `.env`.
_OTHER_NAMES_IN_FILE = {
    "JWT_SECRET": ("SECRET_KEY", "SECRET", "TOKEN_SECRET", "AUTH_SECRET"),
    "TRUSTED_PROXIES": ("TRUST_PROXY", "FORWARDED_ALLOW_IPS"),
    "CORS_ORIGINS": ("ALLOWED_ORIGINS", "CLIENT_URL", "FRONTEND_URL"),
    "WORKERS": ("WEB_CONCURRENCY",),
    "PUBLIC_URL": ("BASE_URL", "SERVER_URL"),
    "HOST": ("BIND", "LISTEN", "LISTEN_ADDRESS"),
    "ENV": ("ENVIRONMENT",),
}
PREFIX = "PARLEY_"
FILE = "_FILE"
# BASE_URL is no mistyped DATABASE_URL.
MOST_SLIPS = 2


def unknown_names() -> list[str]:
    """Return a warning for each name in `.env` that is no setting, with the nearest setting.

    Most names of the environment are other programs'. There, only near misses are warned of.
    """
    known = [name.upper() for name in Settings.model_fields]
    known += [
        f"{name.upper()}{FILE}"
        for name, field in Settings.model_fields.items()
        if holds_secret(field)
    ]
    written = _written()
    given = {name.upper() for name in {*written, *os.environ}}
    found = []
    for name in sorted({*written, *os.environ}):
        if name.upper() in known:
            continue
        is_written = name in written
        near = _another_name(name.upper(), known, given, is_written=is_written)
        if near is None and (is_written or name.isupper() or name.islower()):
            near = _nearest(name.upper(), known, is_written=is_written)
        if near is not None:
            found.append(f"{name} is no setting and has no effect; did you mean {near}?")
        elif is_written:
            found.append(f"{name} is no setting and has no effect")
    return found


def _nearest(name: str, known: list[str], *, is_written: bool) -> str | None:
    """Return the setting that the name is a slip of the pen of; of another program's it is none."""
    if is_written:
        return next(iter(get_close_matches(name, known, 1, 0.6)), None)
    alike = [setting for setting in known if abs(len(setting) - len(name)) <= MOST_SLIPS]
    return next(iter(get_close_matches(name, alike, 1, 0.77 if "_" in name else 0.85)), None)


def _another_name(name: str, known: list[str], given: set[str], *, is_written: bool) -> str | None:
    """Return the setting that somebody else calls so; None where there is none, or it is set."""
    for change in (name.removeprefix(PREFIX), name.removesuffix(FILE), name.replace("-", "_")):
        if change != name and change in known:
            return change
    tables = (_OTHER_NAMES, _OTHER_NAMES_IN_FILE) if is_written else (_OTHER_NAMES,)
    for table in tables:
        for setting, names in table.items():
            # Where both are set, the other one is for another program: the database's own image.
            if name in names and not {setting, "DATABASE_URL"} & given:
                return setting
    return None


def _written() -> dict[str, str | None]:
    """Return the lines of `.env`; none where it cannot be read, which is said elsewhere."""
    try:
        return dotenv_values(ENV_FILE, interpolate=False)
    except (OSError, UnicodeDecodeError):
        return {}
