"""The mark of a restore that is under way, or was killed."""

from commands.backups.manifest import BackupUnusable
from settings import Settings

# In DATA_DIR; it holds the backup's place.
MARK = "restore-unfinished"


def check_finished(settings: Settings) -> None:
    """Raise BackupUnusable where a restore was killed while it put things in their places."""
    mark = settings.data_dir / MARK
    if mark.exists():
        raise BackupUnusable(
            "A restore has not come to its end. Run it again:"
            f" python main.py restore --from {mark.read_text().strip()}"
        )
