"""Build the site into a directory, by default `site/`: its pages are in `html/` there."""

import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.pages import CONFIG, ROOT, lay_out


def main(place: Path) -> None:
    """Lay the pages out and build the site; a broken link or anchor ends the process."""
    for made in ("pages", "html"):
        shutil.rmtree(place / made, ignore_errors=True)
    lay_out(place)
    if not built(place):
        raise SystemExit("The site is not built: mend what is said above")


def built(place: Path) -> bool:
    """Whether the site generator finds nothing to complain of in the pages that are laid out."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file"]
    done = subprocess.run([*command, str(place / CONFIG.name)], check=False)  # noqa: S603  # ours
    return done.returncode == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "site")
