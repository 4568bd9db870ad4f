"""The key that signs tokens: the one that is set, else one made once and kept."""

import logging
import os
import secrets
import tempfile
from pathlib import Path

from settings import Settings, weakness_of

logger = logging.getLogger("parley.settings")


def signing_secret(settings: Settings) -> str:
    """Return JWT_SECRET, else one made once and kept under DATA_DIR. A weak one is warned of."""
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
        if why := weakness_of(secret):
            logger.warning("JWT_SECRET %s: anyone may forge tokens. Choose a long random one.", why)
        return secret
    return _kept_secret(settings.data_dir / "jwt_secret")


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        # Of several processes that start at once one makes the secret, and the others read it: a
        # link appears whole, or not at all when there is one. The file has mode 600.
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
