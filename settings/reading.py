"""The settings as far as they can be read, and all that is wrong with them, for `main.py check`."""

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from settings.model import ENV_FILE, Settings
from settings.secret_files import SecretFileError, SecretFiles


class Problem(NamedTuple):
    """A setting that cannot be used, and why; without a name where several do not agree."""

    name: str
    text: str


def problems_of(error: ValidationError) -> list[Problem]:
    """Return what is wrong, one setting after the other. Never shows a value."""
    return [
        Problem(".".join(map(str, found["loc"])).upper(), found["msg"])
        for found in error.errors(include_url=False, include_input=False)
    ]


def read_leniently() -> tuple[Settings, list[Problem]]:
    """Return the settings, with the default for each that cannot be used; and what is wrong."""
    env_file, problems = _find_env_file()

    class Lenient(Settings):
        """Each setting by itself: whether they agree is asked afterwards."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            secrets = _LenientFiles(settings_cls, env_file, problems)
            return init_settings, env_settings, secrets, dotenv_settings

        @model_validator(mode="after")
        def _settings_agree(self) -> "Lenient":
            return self

    try:
        settings: Settings = Lenient(_env_file=env_file)
    except ValidationError as error:
        problems += problems_of(error)
        unusable = {problem.name.partition(".")[0].lower() for problem in problems}
        defaults: dict[str, Any] = {
            name: field.get_default()
            for name, field in Settings.model_fields.items()
            if name in unusable
        }
        settings = Lenient(_env_file=env_file, **defaults)
    if not problems:
        try:
            Settings(_env_file=env_file)
        except ValidationError as error:
            problems += problems_of(error)
    return settings, [*dict.fromkeys(problems)]


def _find_env_file() -> tuple[str | None, list[Problem]]:
    """Return the name of `.env`, or None and why it cannot be read."""
    try:
        Path(ENV_FILE).read_text("utf-8")
    except FileNotFoundError:
        return ENV_FILE, []
    except UnicodeDecodeError:
        return None, [Problem(ENV_FILE, "is not UTF-8")]
    except OSError as error:
        return None, [Problem(ENV_FILE, f"cannot be read: {error.strerror}")]
    return ENV_FILE, []


class _LenientFiles(SecretFiles):
    """Takes a secret's file that cannot be used for none, and notes what is wrong with it."""

    def __init__(
        self, settings: type[BaseSettings], env_file: Any, problems: list[Problem]
    ) -> None:
        super().__init__(settings, env_file)
        self._problems = problems

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the secret in the file of this setting; None where there is none to be used."""
        try:
            return super().get_field_value(field, field_name)
        except SecretFileError as error:
            self._problems.append(Problem(f"{field_name.upper()}_FILE", str(error)))
            return None, field_name, False
