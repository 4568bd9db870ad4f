"""Names in the environment or `.env` that look like a setting and are none."""

import os
from difflib import get_close_matches

from dotenv import dotenv_values

from settings.model import ENV_FILE, Settings
from settings.secret_files import holds_secret

# Names by which other programs call our settings, where difflib sees no likeness.
_OTHER_NAMES = {
    "DB_HOST": ("MYSQL_HOST",),
    "DB_USER": ("MYSQL_USER",),
    "DB_PASS": ("MYSQL_PASSWORD",),
    "DB_NAME": ("DB_DATABASE", "MYSQL_DATABASE"),
    "ENV": ("NODE_ENV",),
    "TOKEN_LIFETIME_SECONDS": ("JWT_EXPIRES_IN",),
}


def unknown_names() -> list[str]:
    """Return a warning for each name in `.env` that is no setting, with the nearest setting.

    Most names of the environment are other programs'. There, only near misses are warned of.
    """
    known = [name.upper() for name in Settings.model_fields]
    known += [
        f"{name.upper()}_FILE"
        for name, field in Settings.model_fields.items()
        if holds_secret(field)
    ]
    written = _written()
    found = []
    for name in sorted({*written, *os.environ}):
        if name.upper() in known:
            continue
        least = 0.6 if name in written else 0.77 if "_" in name else 0.85
        near = next((setting for setting, names in _OTHER_NAMES.items() if name in names), None)
        near = near or next(iter(get_close_matches(name.upper(), known, 1, least)), None)
        if near is not None and (name in written or name.isupper()):
            found.append(f"{name} is no setting and has no effect; did you mean {near}?")
        elif name in written:
            found.append(f"{name} is no setting and has no effect")
    return found


def _written() -> dict[str, str | None]:
    """Return the lines of `.env`; none where it cannot be read, which is said elsewhere."""
    try:
        return dotenv_values(ENV_FILE, interpolate=False)
    except (OSError, UnicodeDecodeError):
        return {}
