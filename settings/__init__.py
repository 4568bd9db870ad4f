"""The only reader of the environment and of `.env`; everything else is handed a `Settings`."""

from settings.forms import Rate
from settings.model import Settings
from settings.names import unknown_names
from settings.reading import Problem, problems_of, read_leniently
from settings.secret_files import SecretFileError
from settings.strength import SAMPLE_SECRETS, weakness_of
from settings.version import VERSION

__all__ = [
    "SAMPLE_SECRETS",
    "VERSION",
    "Problem",
    "Rate",
    "SecretFileError",
    "Settings",
    "problems_of",
    "read_leniently",
    "unknown_names",
    "weakness_of",
]
