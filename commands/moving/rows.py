"""A row of the older server's becomes an account or a message of ours, or is left out."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from commands.moving.report import Report
from commands.moving.values import (
    Unfit,
    read_flag,
    read_id,
    read_reference,
    read_text,
    read_time,
)
from db.people.accounts import HASH_OF_NOTHING
from db.people.users import search_form
from resolvers.errors import ParleyError
from resolvers.guards.passwords import is_readable
from resolvers.guards.validation import (
    MAX_DISPLAY_NAME,
    clean_content,
    clean_display_name,
    clean_email,
    kind_of,
)

# A login with a hash of a higher cost would keep a thread for seconds, or for hours.
HIGHEST_COST, LOWEST_COST = 14, 4

Row = Mapping[str, Any]


class MovedAccount(NamedTuple):
    """The columns of an account, in the order of ACCOUNT_COLUMNS."""

    id: int
    email: str
    display_name: str
    search_name: str
    password_hash: str
    created_at: datetime
    last_seen_at: datetime | None
    disabled_at: datetime | None
    tokens_from: datetime | None


class MovedMessage(NamedTuple):
    """A message, and whether its receiver has read it, and was sent it."""

    id: int
    sender_id: int
    receiver_id: int | None
    kind: str
    content: str
    created_at: datetime
    is_read: bool
    is_delivered: bool

    @property
    def pair(self) -> tuple[int, int] | None:
        """The two people of a direct message, the lower id first."""
        if self.receiver_id is None:
            return None
        return min(self.sender_id, self.receiver_id), max(self.sender_id, self.receiver_id)


class Judge:
    """Judges rows in the order of their ids, and tells the report of each that is not as it was.

    `people` are the ids of the accounts that were moved, `emails` their addresses.
    """

    def __init__(self, report: Report, *, zone: tzinfo, now: datetime, max_bytes: int) -> None:
        self.people: set[int] = set()
        self.emails: set[str] = set()
        self._report = report
        self._zone = zone
        self._now = now
        self._max_bytes = max_bytes
        self._last_time: datetime | None = None

    def go_on(self, emails: Mapping[int, str], last_time: datetime | None) -> None:
        """Know what an earlier import has moved."""
        self.people, self.emails = {*emails}, {*emails.values()}
        self._last_time = last_time

    def account(self, row: Row) -> MovedAccount | None:
        """Return the account; None where its row is left out."""
        try:
            user_id = read_id(row["id"])
        except Unfit as unfit:
            self._report.leave_out("users", row["id"], str(unfit))
            return None
        if user_id in self.people:
            self._report.leave_out("users", user_id, "an id that another account has")
            return None
        email = self._email(user_id, row["email"])
        name = self._name(user_id, row.get("name"), email)
        is_out = read_flag(row.get("disabled")) or read_flag(row.get("deleted"))
        is_out = is_out or ("active" in row and not read_flag(row["active"]))
        if is_out:
            self._report.change("users", user_id, "was kept out there: disabled")
        self.people.add(user_id)
        self.emails.add(email)
        return MovedAccount(
            user_id,
            email,
            name,
            search_form(name),
            self._hash(user_id, row["password"]),
            read_time(row.get("created"), self._zone) or self._now,
            read_time(row.get("seen"), self._zone),
            self._now if is_out else None,
            self._now if is_out else None,
        )

    def _email(self, user_id: int, value: object) -> str:
        """Return the address in our form, or one that nobody can log in with."""
        why = ""
        try:
            email = clean_email(read_text(value))
            if email not in self.emails:
                return email
            why = "an e-mail that an earlier account has, but for capitals: cannot log in"
        except (Unfit, ParleyError):
            why = "an e-mail that is none: cannot log in"
        self._report.change("users", user_id, why)
        return f"moved:{user_id}"  # no address, so nobody can register it

    def _name(self, user_id: int, value: object, email: str) -> str:
        try:
            written = read_text(value) or email.partition("@")[0]
            return clean_display_name(written)
        except (Unfit, ParleyError):
            pass
        try:
            name = clean_display_name(read_text(value)[:MAX_DISPLAY_NAME])
        except (Unfit, ParleyError):
            name = f"User {user_id}"
        self._report.change("users", user_id, "a name that is too long or cannot be shown: changed")
        return name

    def _hash(self, user_id: int, value: object) -> str:
        try:
            written = read_text(value).strip()
        except Unfit:
            written = ""
        if is_readable(written) and LOWEST_COST <= int(written[4:6]) <= HIGHEST_COST:
            return written
        kind = "a bcrypt hash of a cost out of bounds" if is_readable(written) else "no bcrypt hash"
        self._report.change("users", user_id, f"{kind}: cannot log in")
        return HASH_OF_NOTHING

    def message(self, row: Row) -> MovedMessage | None:
        """Return the message; None where its row is left out."""
        try:
            message_id = read_id(row["id"])
            sender, receiver = self._people(row)
            content = self._content(row)
        except Unfit as unfit:
            self._report.leave_out("messages", row["id"], str(unfit))
            return None
        created_at = read_time(row["created"], self._zone)
        if created_at is None:
            created_at = self._last_time or self._now
            self._report.change("messages", message_id, "no time: has that of the one before")
        self._last_time = created_at
        return MovedMessage(
            message_id,
            sender,
            receiver,
            kind_of(content).value,
            content,
            created_at,
            "read" not in row or read_flag(row["read"]),
            "delivered" not in row or read_flag(row["delivered"]) or read_flag(row.get("read")),
        )

    def _people(self, row: Row) -> tuple[int, int | None]:
        if read_flag(row.get("deleted")):
            raise Unfit("was deleted there")
        sender, receiver = read_reference(row["sender"]), read_reference(row["receiver"])
        if sender not in self.people:
            raise Unfit("its sender is no account")
        if receiver is None and row.get("group") is not None:
            raise Unfit("of a group: those are not moved")
        if receiver is not None and receiver not in self.people:
            raise Unfit("its receiver is no account")
        return sender, receiver

    def _content(self, row: Row) -> str:
        content, file = read_text(row["content"]), read_text(row.get("file")).strip()
        if file and file not in content:
            content = f"{content}\n{file}" if content.strip() else file
        if not content.strip():
            raise Unfit("has no text")
        if len(content.encode(errors="replace")) > self._max_bytes:
            raise Unfit(f"is longer than MAX_MESSAGE_BYTES ({self._max_bytes})")
        try:
            return clean_content(content, None, max_bytes=self._max_bytes)
        except ParleyError as error:
            raise Unfit(f"a text that cannot be kept: {error.message}") from error
