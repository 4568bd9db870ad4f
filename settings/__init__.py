"""The only reader of the environment and of `.env`; everything else is handed a `Settings`."""

from settings.forms import Rate
from settings.model import Settings
from settings.names import unknown_names
from settings.strength import SAMPLE_SECRETS, weakness_of

__all__ = ["SAMPLE_SECRETS", "Rate", "Settings", "unknown_names", "weakness_of"]
