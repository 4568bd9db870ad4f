"""The rate limits: each is named here, and asked for by the operation that it limits."""

import math
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext

from limits import RateLimitItem, RateLimitItemPerSecond

from resolvers.errors import PayloadTooLarge, RateLimited
from resolvers.guards.addresses import MOST_WIDER, is_loopback, networks_of
from resolvers.guards.limits.counts import Counts, Full, Hit
from resolvers.guards.limits.read_slots import ReadSlots
from resolvers.guards.limits.time_budgets import TimeBudget
from settings import Rate, Settings

# Into how many steps a rate of bytes is divided: a small upload counts as one.
UPLOAD_STEPS = 1000
# How many times as wide registrations and logins are for loopback, on a development server.
LOOPBACK_FACTOR = 10


class RateLimits:
    """Refuses what comes too often. With LIMITS=off it refuses nothing, and counts nothing.

    It looks before it counts: what is refused leaves no trace, so that refusals fill no memory.
    """

    def __init__(self, settings: Settings, counts: Counts) -> None:
        self.on = settings.limits
        self.counts = counts
        self.failure_weight = settings.failed_login_weight
        self._sends = _item(settings, "sends_per_user")
        self._reads = _item(settings, "reads_per_user")
        self._searches = _item(settings, "searches_per_user")
        self._typing = _item(settings, "typing_per_user")
        self._marks = _item(settings, "marks_per_user")
        at_once = (self._sends, self._reads, self._searches, self._typing, self._marks)
        for counted_at_once in at_once:
            counts.share(counted_at_once)
        self._uploads = _item(settings, "uploads_per_user")
        self._renewals = _item(settings, "renewals_per_user")
        self._email_lookups = _item(settings, "email_lookups_per_user")
        self._groups = _item(settings, "groups_per_user")
        self._additions = _item(settings, "additions_per_user")
        self._group_changes = _item(settings, "group_changes_per_user")
        self._profile_changes = _item(settings, "profile_changes_per_user")
        # Counted in steps: each hit of a window is kept until it has passed.
        upload_bytes = settings.upload_bytes_per_user
        self.upload_step = -(-upload_bytes.amount // UPLOAD_STEPS)
        self._upload_steps = RateLimitItemPerSecond(
            upload_bytes.amount // self.upload_step,
            upload_bytes.seconds,
            namespace="upload_bytes_per_user",
        )
        self._bad_tokens = NetworkRate(settings, "bad_tokens_per_address")
        self._entries = EntryRates(settings)
        # Developers register and log in again and again on a machine of their own.
        is_development = settings.env == "development"
        self._loopback_entries = EntryRates(settings, LOOPBACK_FACTOR if is_development else 1)
        self._read_slots = ReadSlots(settings.reads_at_once_per_user)
        self._time_of_strangers = _time_budget(settings.anonymous_graphql_ms_per_address)
        self._time_of_users = _time_budget(settings.graphql_ms_per_user)

    def entries_of(self, address: str) -> "EntryRates":
        """Return the rates of registrations and logins that hold for an address."""
        return self._loopback_entries if is_loopback(address) else self._entries

    def count_send(self, user_id: int) -> None:
        """Count a send of the user's, without waiting. Raises RateLimited."""
        if self.on and (wait := self.counts.count_now(self._sends, str(user_id))):
            raise refusal("Too many messages", Full(self._sends, wait))

    def count_read(self, user_id: int) -> None:
        """Count a costly read of the user's, without waiting. Raises RateLimited."""
        if self.on and (wait := self.counts.count_now(self._reads, str(user_id))):
            raise refusal("Too many reads", Full(self._reads, wait))

    def count_search(self, user_id: int) -> None:
        """Count a search of the user's, without waiting. Raises RateLimited."""
        if self.on and (wait := self.counts.count_now(self._searches, str(user_id))):
            raise refusal("Too many searches", Full(self._searches, wait))

    def count_mark(self, user_id: int) -> None:
        """Count a mark or an own setting of the user's, without waiting. Raises RateLimited."""
        if self.on and (wait := self.counts.count_now(self._marks, str(user_id))):
            raise refusal("Too many marks", Full(self._marks, wait))

    def count_typing(self, user_id: int) -> None:
        """Count a word of the user's that they type, without waiting. Raises RateLimited."""
        if self.on and (wait := self.counts.count_now(self._typing, str(user_id))):
            raise refusal("Too much typing", Full(self._typing, wait))

    def reading(self, user_id: int) -> AbstractAsyncContextManager[None]:
        """Have few reads of the user's run at once: others wait. Raises RateLimited."""
        return self._read_slots.hold(user_id) if self.on else nullcontext()

    async def count_upload(self, user_id: int) -> None:
        """Count an upload of the user's. Raises RateLimited."""
        await self._count("Too many uploads", Hit(self._uploads, str(user_id)))

    async def count_upload_bytes(self, user_id: int, size: int) -> None:
        """Count so many bytes of the user's uploads, or a few more. Raises RateLimited.

        PayloadTooLarge where they are more than a whole window has room for.
        """
        steps, rate = max(1, -(-size // self.upload_step)), self._upload_steps
        if self.on and steps > rate.amount:
            most = self.upload_step * rate.amount
            raise PayloadTooLarge(
                f"Nobody may upload more than {most} bytes in {rate.get_expiry()} s",
                setting=_setting_of(rate),
            )
        await self._count("Too many bytes uploaded", Hit(rate, str(user_id), steps))

    async def count_renewal(self, user_id: int) -> None:
        """Count a renewal of a token of the user's: all processes are told. Raises RateLimited."""
        await self._count("Too many renewals", Hit(self._renewals, str(user_id)))

    async def count_email_lookup(self, user_id: int) -> None:
        """Count a user's look-up of somebody by their e-mail. Raises RateLimited."""
        await self._count("Too many look-ups by e-mail", Hit(self._email_lookups, str(user_id)))

    async def count_group(self, user_id: int, members: int) -> None:
        """Count a group that the user begins with so many others. Raises RateLimited."""
        hits = [Hit(self._groups, str(user_id))]
        if members:
            hits.append(self._adding(user_id, members))
        await self._count("Too many new groups or members", *hits)

    async def count_additions(self, user_id: int, members: int) -> None:
        """Count so many people whom the user adds to a group. Raises RateLimited."""
        await self._count("Too many new members", self._adding(user_id, members))

    async def count_group_change(self, user_id: int) -> None:
        """Count another change of a group by the user: its members are told. Raises RateLimited."""
        await self._count("Too many changes of groups", Hit(self._group_changes, str(user_id)))

    def _adding(self, user_id: int, members: int) -> Hit:
        # More than a whole window has room for would never be allowed.
        return Hit(self._additions, str(user_id), min(members, self._additions.amount))

    async def count_profile_change(self, user_id: int) -> None:
        """Count a change of the user's profile: others are told. Raises RateLimited."""
        await self._count(
            "Too many changes of the profile", Hit(self._profile_changes, str(user_id))
        )

    async def check_registration(self, address: str) -> None:
        """Raise RateLimited when there is no room for a registration. Counts nothing."""
        hits = self.entries_of(address).registrations.hits(address)
        await self._check("Too many registrations from this address", hits)

    async def count_registration(self, address: str) -> None:
        """Count a registration from the address. Raises RateLimited."""
        hits = self.entries_of(address).registrations.hits(address)
        await self._count("Too many registrations from this address", *hits)

    async def check_bad_tokens(self, address: str) -> None:
        """Raise RateLimited for an address from which too many bad tokens came."""
        await self._check("Too many bad tokens from this address", self._bad_tokens.hits(address))

    async def count_bad_token(self, address: str) -> None:
        """Count a bad token from the address, unless there is no room: it was refused then."""
        if self.on:
            await self.counts.count(*self._bad_tokens.hits(address))

    @contextmanager
    def charging_time(self, user_id: int | None, address: str) -> Iterator[None]:
        """Charge the caller for the time that the block holds the event loop. Raises RateLimited.

        Once the time is used up, the block is not begun. It must not wait for anything.
        """
        if not self.on:
            yield
            return
        if user_id is None:
            budget, key = self._time_of_strangers, address
            setting = "ANONYMOUS_GRAPHQL_MS_PER_ADDRESS"
        else:
            budget, key = self._time_of_users, str(user_id)
            setting = "GRAPHQL_MS_PER_USER"
        if wait := budget.wait(key):
            raise _refusal("Too many new or costly GraphQL documents", wait, setting)
        with budget.spending(key):
            yield

    async def _check(self, what: str, hits: list[Hit]) -> None:
        if self.on and (full := await self.counts.check(*hits)):
            raise refusal(what, full)

    async def _count(self, what: str, *hits: Hit) -> None:
        if self.on and (full := await self.counts.count(*hits)):
            raise refusal(what, full)


class EntryRates:
    """The rates of registrations and logins, so many times as wide as the settings say."""

    def __init__(self, settings: Settings, factor: int = 1) -> None:
        self.registrations = NetworkRate(settings, "registrations_per_address", factor)
        self.address_logins = NetworkRate(settings, "logins_per_address", factor)
        self.account_logins = _item(settings, "logins_per_account", factor)
        self.elsewhere_logins = _item(settings, "logins_per_account_from_elsewhere", factor)


class NetworkRate:
    """A rate of each address, and wider ones of the networks around it."""

    def __init__(self, settings: Settings, setting: str, factor: int = 1) -> None:
        around = settings.wider_network_factor
        self._items = [
            _item(settings, setting, factor * around**level) for level in range(MOST_WIDER + 1)
        ]

    def hits(self, address: str) -> list[Hit]:
        """Return what counts for an address, itself first."""
        return [Hit(*of) for of in zip(self._items, networks_of(address), strict=False)]


def _item(settings: Settings, setting: str, factor: int = 1) -> RateLimitItem:
    """Return the rate of a setting, so many times as wide."""
    rate: Rate = getattr(settings, setting)
    namespace = setting if factor == 1 else f"{setting}-{factor}"
    return RateLimitItemPerSecond(rate.amount * factor, rate.seconds, namespace=namespace)


def _setting_of(item: RateLimitItem) -> str:
    return str(item.namespace).partition("-")[0].upper()


def _time_budget(rate: Rate) -> TimeBudget:
    return TimeBudget(rate.amount / 1000, rate.seconds)


def refusal(what: str, full: Full) -> RateLimited:
    """Return the refusal of what a limit has no room for."""
    return _refusal(what, full.wait, _setting_of(full.item))


def _refusal(what: str, wait: float, setting: str) -> RateLimited:
    milliseconds = math.ceil(wait * 1000)
    text = f"{what}; try again in {math.ceil(milliseconds / 1000)} s"
    return RateLimited(text, retry_after_ms=milliseconds, setting=setting)
