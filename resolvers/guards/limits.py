"""The rate limits: each is named here, and asked for by the operation that it limits."""

import math
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from hashlib import sha256

from limits import RateLimitItem, RateLimitItemPerSecond

from resolvers.errors import PayloadTooLarge, RateLimited
from resolvers.guards.addresses import MOST_WIDER, Proxies, is_loopback, networks_of
from resolvers.guards.counts import Counts, Full, Hit
from resolvers.guards.read_slots import ReadSlots
from resolvers.guards.time_budgets import TimeBudget
from settings import Rate, Settings

TOO_MANY_LOGINS = "Too many logins from this address"
# Into how many steps a rate of bytes is divided: a small upload counts as one.
UPLOAD_STEPS = 1000
# How many times as wide registrations and logins are for loopback, on a development server.
NEAR_WIDTH = 10


class Limits:
    """Refuses what comes too often. With LIMITS=off it refuses nothing, and counts nothing.

    It looks before it counts: what is refused leaves no trace, so that refusals fill no memory.
    """

    def __init__(self, settings: Settings, counts: Counts) -> None:
        self.on = settings.limits
        self.proxies = Proxies(settings.trusted_proxies)
        self.counts = counts
        self.failure_weight = settings.failed_login_weight
        self.sends = _item("sends_per_user", settings.sends_per_user)
        self.uploads = _item("uploads_per_user", settings.uploads_per_user)
        self.renewals = _item("renewals_per_user", settings.renewals_per_user)
        self.email_lookups = _item("email_lookups_per_user", settings.email_lookups_per_user)
        self._entries = Entries(settings)
        # Whoever tries things on a machine of their own registers and logs in again and again.
        self._near_entries = Entries(settings, width=NEAR_WIDTH)
        self._is_development = settings.env == "development"
        # Counted in steps: each hit of a window is kept until it has passed.
        self.upload_step = -(-settings.upload_bytes_per_user.amount // UPLOAD_STEPS)
        self.upload_bytes = _item(
            "upload_bytes_per_user",
            settings.upload_bytes_per_user._replace(
                amount=settings.upload_bytes_per_user.amount // self.upload_step
            ),
        )
        self.bad_tokens = _PerNetwork(
            "bad_tokens_per_address",
            settings.bad_tokens_per_address,
            settings.wider_network_factor,
        )
        counts.share(self.sends)
        self._searches = _item("searches_per_user", settings.searches_per_user)
        self._reads = _item("reads_per_user", settings.reads_per_user)
        for read in (self._searches, self._reads):
            counts.share(read)
        self.read_slots = ReadSlots(settings.reads_at_once_per_user)
        self._strangers_time = _time(settings.anonymous_graphql_ms_per_address)
        self._users_time = _time(settings.graphql_ms_per_user)

    def entries_of(self, address: str) -> "Entries":
        """Return the rates of registrations and logins that hold for an address."""
        near = self._is_development and is_loopback(address)
        return self._near_entries if near else self._entries

    def take_send(self, user_id: int) -> None:
        """Count a send of the user's, without waiting. Raises RateLimited."""
        if self.on and (wait := self.counts.take_now(self.sends, str(user_id))):
            raise _refusal("Too many messages", wait, "SENDS_PER_USER")

    def take_read(self, user_id: int, *, search: bool = False) -> None:
        """Count a costly read of the user's. Raises RateLimited."""
        item, what = (self._searches, "searches") if search else (self._reads, "reads")
        if self.on and (wait := self.counts.take_now(item, str(user_id))):
            raise _refusal(f"Too many {what}", wait, _setting_of(item))

    def reading(self, user_id: int) -> AbstractAsyncContextManager[None]:
        """Have few reads of the user's run at once: others wait. Raises RateLimited."""
        return self.read_slots.take(user_id) if self.on else nullcontext()

    async def take_upload(self, user_id: int) -> None:
        """Count an upload of the user's. Raises RateLimited."""
        if self.on:
            _refuse(await self.counts.take(Hit(self.uploads, str(user_id))), "Too many uploads")

    async def take_renewal(self, user_id: int) -> None:
        """Count a renewal of a token of the user's: each is told to all processes.

        Raises RateLimited.
        """
        if self.on:
            _refuse(await self.counts.take(Hit(self.renewals, str(user_id))), "Too many renewals")

    async def take_email_lookup(self, user_id: int) -> None:
        """Count a user's looking somebody up by their e-mail. Raises RateLimited."""
        if self.on:
            full = await self.counts.take(Hit(self.email_lookups, str(user_id)))
            _refuse(full, "Too many look-ups by e-mail")

    async def check_registration(self, address: str) -> None:
        """Raises RateLimited when there is no room for a registration. Counts nothing."""
        if self.on:
            full = await self.counts.look(*self.entries_of(address).registrations.hits(address))
            _refuse(full, "Too many registrations from this address")

    async def take_upload_bytes(self, user_id: int, size: int) -> None:
        """Count so many bytes of the user's uploads, or a few more. Raises RateLimited.

        PayloadTooLarge where they are more than a whole window has room for.
        """
        steps = max(1, -(-size // self.upload_step))
        if self.on and steps > self.upload_bytes.amount:
            most = self.upload_step * self.upload_bytes.amount
            raise PayloadTooLarge(
                f"Nobody may upload more than {most} bytes in {self.upload_bytes.get_expiry()} s",
                setting="UPLOAD_BYTES_PER_USER",
            )
        if self.on:
            full = await self.counts.take(Hit(self.upload_bytes, str(user_id), steps))
            _refuse(full, "Too many bytes uploaded")

    async def take_registration(self, address: str) -> None:
        """Count a registration from the address. Raises RateLimited."""
        if self.on:
            full = await self.counts.take(*self.entries_of(address).registrations.hits(address))
            _refuse(full, "Too many registrations from this address")

    @contextmanager
    def thinking(self, user_id: int | None, address: str) -> Iterator[None]:
        """Take what the block holds the loop for from the caller's time. Raises RateLimited.

        Once the time is used up, the block is not begun. It must not wait for anything.
        """
        if not self.on:
            yield
            return
        budget, key = (
            (self._strangers_time, address) if user_id is None else (self._users_time, str(user_id))
        )
        if wait := budget.wait(key):
            setting = (
                "ANONYMOUS_GRAPHQL_MS_PER_ADDRESS" if user_id is None else "GRAPHQL_MS_PER_USER"
            )
            raise _refusal("Too many new or costly GraphQL documents", wait, setting)
        with budget.spending(key):
            yield

    def check_address(self, address: str) -> None:
        """Raises RateLimited when the address has had its logins, whatever the account.

        By what this process knows, without waiting: before the database is asked who it may be.
        """
        if self.on:
            hit = self.entries_of(address).address_logins.hits(address)[0]
            _refuse(self.counts.known(hit), TOO_MANY_LOGINS)

    def attempt_login(self, address: str, email: str, *, familiar: bool) -> "LoginAttempt":
        """Return what counts a login; `familiar` is an address where its owner was lately."""
        account = sha256(email.encode()).hexdigest()[:32]  # Redis need not know who
        return LoginAttempt(self, address, account, familiar=familiar)

    async def check_bad_tokens(self, address: str) -> None:
        """Refuse an address from which too many bad tokens came. Raises RateLimited."""
        if self.on:
            full = await self.counts.look(*self.bad_tokens.hits(address))
            _refuse(full, "Too many bad tokens from this address")

    async def count_bad_token(self, address: str) -> None:
        """Count a bad token from the address, unless there is no room: it was refused then."""
        if self.on:
            await self.counts.take(*self.bad_tokens.hits(address))


class Entries:
    """The rates of registrations and logins, so many times as wide as the settings say."""

    def __init__(self, settings: Settings, *, width: int = 1) -> None:
        factor, suffix = settings.wider_network_factor, "" if width == 1 else "-near"

        def widened(name: str) -> Rate:
            rate: Rate = getattr(settings, name)
            return rate._replace(amount=rate.amount * width)

        def per_network(name: str) -> _PerNetwork:
            return _PerNetwork(f"{name}{suffix}", widened(name), factor)

        def item(name: str) -> RateLimitItem:
            return _item(f"{name}{suffix}", widened(name))

        self.registrations = per_network("registrations_per_address")
        self.address_logins = per_network("logins_per_address")
        self.account_logins = item("logins_per_account")
        self.elsewhere_logins = item("logins_per_account_from_elsewhere")


class LoginAttempt:
    """One login, from before it is let through to what came of it.

    An account's logins are counted for each address, so that nobody elsewhere can lock its owner
    out. All unfamiliar addresses together have a limit too, wide enough that no one of them reaches
    it alone. The networks around an address count too, for strangers: a familiar one shares its
    provider with whoever attacks from there.
    """

    def __init__(self, limits: Limits, address: str, account: str, *, familiar: bool) -> None:
        self._limits = limits
        self._familiar = familiar
        rates = limits.entries_of(address)
        self._here = Hit(rates.account_logins, f"{account}/{address}")
        self._elsewhere = Hit(rates.elsewhere_logins, account)
        narrow, *wider = rates.address_logins.hits(address)
        self._networks = [narrow] if familiar else [narrow, *wider]
        self._hits = [*self._networks, self._here]
        if not familiar:
            self._hits.append(self._elsewhere)

    async def check(self) -> None:
        """Raises RateLimited when there is no room for it. Counts nothing."""
        if self._limits.on:
            self._refuse(await self._limits.counts.look(*self._hits))

    async def begin(self) -> None:
        """Count it, whatever will come of it. Raises RateLimited."""
        if self._limits.on:
            self._refuse(await self._limits.counts.take(*self._hits))

    async def fail(self) -> None:
        """Count it for more: it was a guess."""
        counts, more = self._limits.counts, self._limits.failure_weight - 1
        if not self._limits.on or more == 0:
            return
        for hit in (*self._networks, self._here):
            await counts.add(hit, more)
        # Thirty guesses at once all come through: together they must not use up what all
        # addresses have, and so keep the owner from coming in from a new one.
        if not self._familiar and await counts.look(self._here) is None:
            await counts.add(self._elsewhere, more)

    def _refuse(self, full: Full | None) -> None:
        of_account = full is not None and full.item in (self._here.item, self._elsewhere.item)
        _refuse(full, "Too many logins to this account" if of_account else TOO_MANY_LOGINS)


class _PerNetwork:
    """A rate of each address, and wider ones of the networks around it."""

    def __init__(self, name: str, rate: Rate, factor: int) -> None:
        self._items = [
            _item(
                f"{name}-{level}" if level else name,
                Rate(rate.amount * factor**level, rate.seconds),
            )
            for level in range(MOST_WIDER + 1)
        ]

    def hits(self, address: str) -> list[Hit]:
        """Return what counts for an address, itself first."""
        return [Hit(*of) for of in zip(self._items, networks_of(address), strict=False)]


def _time(rate: Rate) -> TimeBudget:
    return TimeBudget(rate.amount / 1000, rate.seconds)


def _item(name: str, rate: Rate) -> RateLimitItem:
    return RateLimitItemPerSecond(rate.amount, rate.seconds, namespace=name)


def _setting_of(item: RateLimitItem) -> str:
    """Return the setting that an item's namespace begins with."""
    return str(item.namespace).partition("-")[0].upper()


def _refuse(full: Full | None, what: str) -> None:
    if full is not None:
        raise _refusal(what, full.wait, _setting_of(full.item))


def _refusal(what: str, wait: float, setting: str) -> RateLimited:
    milliseconds = math.ceil(wait * 1000)
    text = f"{what}; try again in {math.ceil(milliseconds / 1000)} s"
    return RateLimited(text, retry_after_ms=milliseconds, setting=setting)
