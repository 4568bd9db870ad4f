"""Secrets in files, as container platforms hand them over: NAME_FILE names the file of NAME."""

import os
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

# A secret is short; a device or a wrong path must not fill the memory.
MAX_SECRET_BYTES = 64 * 1024


class SecretFileError(ValueError):
    """A file that was named cannot be used."""


class SecretFiles(PydanticBaseSettingsSource):
    """Gives the settings that hold secrets from the files that NAME_FILE names.

    The environment comes before `.env`, as for the settings themselves. One line break at the end
    of a file is no part of the secret. Raises SecretFileError for a file that cannot be read, is
    empty or no UTF-8, and where NAME and NAME_FILE are both written.
    """

    def __init__(self, settings: type[BaseSettings], env_file: Any) -> None:
        super().__init__(settings)
        self._in_file = dotenv_values(env_file, interpolate=False) if env_file else {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the secret in the file of this setting; None where none is named."""
        for written in (os.environ, self._in_file):
            given = {name.upper(): value for name, value in written.items()}
            name = field_name.upper()
            path = given.get(f"{name}_FILE")
            if path and given.get(name):
                raise SecretFileError(f"{name} and {name}_FILE are both set")
            if path:
                return _read(Path(path), f"{name}_FILE"), field_name, False
            if given.get(name):
                break
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return every secret that stands in a file."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
            if holds_secret(field)
        }
        return {name: value for name, value in found.items() if value is not None}


def holds_secret(field: FieldInfo) -> bool:
    """Whether the setting may stand in a file of its own."""
    return "SecretStr" in str(field.annotation)


def _read(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise SecretFileError(f"{name}: cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_SECRET_BYTES:
        raise SecretFileError(f"{name}: {path} is too large for a secret")
    try:
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise SecretFileError(f"{name}: {path} is not UTF-8") from error
    if not secret:
        raise SecretFileError(f"{name}: {path} is empty")
    return secret
