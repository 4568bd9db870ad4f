"""What an import has moved, changed and left out, and why."""

from collections.abc import Callable
from typing import Any

# So many ids are told for each reason; --list tells all.
TOLD_IDS = 10
# Reasons are our own words, so there are few of them.
NOUNS = {"users": "account", "messages": "message"}
Tell = Callable[[str], None]


class Report:
    """Counts by reason, with the first ids of each; it is stored with the import's progress."""

    def __init__(self, stored: dict[str, Any] | None = None, *, tell: Tell | None = None) -> None:
        self.moved: dict[str, int] = {"users": 0, "messages": 0}
        self.changed: dict[str, list[Any]] = {}
        self.left_out: dict[str, list[Any]] = {}
        self._tell = tell
        if stored is not None:
            self.moved, self.changed, self.left_out = (
                stored["moved"],
                stored["changed"],
                stored["left_out"],
            )

    def stored(self) -> dict[str, Any]:
        """Return what `Report` is made of again."""
        return {"moved": self.moved, "changed": self.changed, "left_out": self.left_out}

    def seen_of(self, table: str) -> int:
        """How many rows of a table were judged."""
        left: list[int] = [
            known[0] for why, known in self.left_out.items() if why.startswith(f"{table}:")
        ]
        return self.moved[table] + sum(left)

    def count(self, table: str, moved: int) -> None:
        """Add rows that were moved."""
        self.moved[table] += moved

    def change(self, table: str, id_: object, why: str) -> None:
        """Note a row that is moved, but not as it was."""
        self._note(self.changed, table, id_, why)

    def leave_out(self, table: str, id_: object, why: str) -> None:
        """Note a row that is not moved."""
        self._note(self.left_out, table, id_, why)

    def leave_out_unseen(self, table: str, count: int, why: str) -> None:
        """Note rows that were only counted."""
        if count:
            self.left_out[f"{table}: {why}"] = [count, []]

    def _note(self, notes: dict[str, list[Any]], table: str, id_: object, why: str) -> None:
        known = notes.setdefault(f"{table}: {why}", [0, []])
        known[0] += 1
        shown = id_ if isinstance(id_, int) else "?"
        if len(known[1]) < TOLD_IDS:
            known[1].append(shown)
        if self._tell is not None:
            self._tell(f"{table} {shown}: {why}")

    def lines(self) -> list[str]:
        """Return the report as it is printed."""
        moved = [_counted(self.moved[table], noun) for table, noun in NOUNS.items()]
        lines = [f"{' and '.join(moved)} moved."]
        for title, notes in (("Moved, but changed:", self.changed), ("Left out:", self.left_out)):
            if notes:
                lines.append(title)
                lines += [self._line(why, *notes[why]) for why in sorted(notes)]
        return lines

    def _line(self, why: str, count: int, ids: list[object]) -> str:
        table, _, reason = why.partition(": ")
        told = ", ".join(map(str, ids)) + (", …" if count > len(ids) else "")
        return f"  {_counted(count, NOUNS[table])}: {reason}" + (f" (ids {told})" if ids else "")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
