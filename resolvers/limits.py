"""The rate limits: each is named here, and asked for by the operation that it limits."""

import math
from dataclasses import dataclass
from hashlib import sha256

from limits import RateLimitItem, RateLimitItemPerSecond

from events.counts import Counts
from resolvers.addresses import Proxies
from resolvers.errors import PayloadTooLarge, RateLimited
from settings import Rate, Settings

# Into how many steps a rate of bytes is divided: a small upload counts as one.
UPLOAD_STEPS = 1000


class Limits:
    """Refuses what comes too often. With LIMITS=off it refuses nothing, and counts nothing."""

    def __init__(self, settings: Settings, counts: Counts) -> None:
        self.on = settings.limits
        self.proxies = Proxies(settings.trusted_proxies)
        self.counts = counts
        self.failure_weight = settings.failed_login_weight
        self.sends = _item("sends", settings.sends_per_user)
        self.uploads = _item("uploads", settings.uploads_per_user)
        # Counted in steps: each hit of a window is kept until it has passed.
        self.upload_step = -(-settings.upload_bytes_per_user.amount // UPLOAD_STEPS)
        self.upload_bytes = _item(
            "upload-bytes",
            settings.upload_bytes_per_user._replace(
                amount=settings.upload_bytes_per_user.amount // self.upload_step
            ),
        )
        self.registrations = _item("registrations", settings.registrations_per_address)
        self.address_logins = _item("logins-address", settings.logins_per_address)
        self.account_logins = _item("logins-account", settings.logins_per_account)
        self.elsewhere_logins = _item(
            "logins-elsewhere", settings.logins_per_account_from_elsewhere
        )
        self.bad_tokens = _item("bad-tokens", settings.bad_tokens_per_address)
        # Its one hit is the last login that succeeded: while there is no room, it is lately.
        self.familiar = _item("familiar", Rate(1, settings.familiar_address_seconds))
        counts.share(self.sends)

    def take_send(self, user_id: int) -> None:
        """Count a send of the user's, without waiting. Raises RateLimited."""
        if self.on and (wait := self.counts.take_now(self.sends, str(user_id))):
            raise _refusal("Too many messages", wait)

    async def take_upload(self, user_id: int) -> None:
        """Count an upload of the user's. Raises RateLimited."""
        await self._take("Too many uploads", self.uploads, str(user_id))

    async def take_upload_bytes(self, user_id: int, size: int) -> None:
        """Count so many bytes of the user's uploads, or a few more. Raises RateLimited.

        PayloadTooLarge where they are more than a whole window has room for.
        """
        steps = max(1, -(-size // self.upload_step))
        if self.on and steps > self.upload_bytes.amount:
            most = self.upload_step * self.upload_bytes.amount
            raise PayloadTooLarge(
                f"Nobody may upload more than {most} bytes in {self.upload_bytes.get_expiry()} s"
            )
        await self._take("Too many bytes uploaded", self.upload_bytes, str(user_id), amount=steps)

    async def take_registration(self, address: str) -> None:
        """Count a registration from the address. Raises RateLimited."""
        await self._take("Too many registrations from this address", self.registrations, address)

    async def begin_login(self, address: str, email: str) -> "LoginAttempt":
        """Count a login, whatever will come of it. Raises RateLimited.

        An account's logins are counted for each address, so that nobody elsewhere can lock its
        owner out. All unfamiliar addresses together have a limit too, wide enough that no one of
        them reaches it alone.
        """
        account = sha256(email.encode()).hexdigest()[:32]  # Redis need not know who
        attempt = LoginAttempt(self, address, account, familiar=True)
        if not self.on:
            return attempt
        await self._take("Too many logins to this account", self.account_logins, account, address)
        await self._take("Too many logins from this address", self.address_logins, address)
        if not await self.counts.wait(self.familiar, account, address):
            attempt.familiar = False
            await self._take("Too many logins to this account", self.elsewhere_logins, account)
        return attempt

    async def check_bad_tokens(self, address: str) -> None:
        """Refuse an address from which too many bad tokens came. Raises RateLimited."""
        if self.on and (wait := await self.counts.wait(self.bad_tokens, address)):
            raise _refusal("Too many bad tokens from this address", wait)

    async def count_bad_token(self, address: str) -> None:
        """Count a bad token from the address."""
        if self.on:
            await self.counts.add(self.bad_tokens, address, amount=1)

    async def _take(self, what: str, item: RateLimitItem, *keys: str, amount: int = 1) -> None:
        if self.on and (wait := await self.counts.take(item, *keys, amount=amount)):
            raise _refusal(what, wait)


@dataclass(slots=True)
class LoginAttempt:
    """A login that was let through to the check of its password."""

    limits: Limits
    address: str
    account: str
    familiar: bool

    async def fail(self) -> None:
        """Count it for more: it was a guess."""
        limits = self.limits
        more = limits.failure_weight - 1
        if not limits.on or more == 0:
            return
        await limits.counts.add(limits.account_logins, self.account, self.address, amount=more)
        await limits.counts.add(limits.address_logins, self.address, amount=more)
        if self.familiar:
            return
        # Thirty guesses at once all come through: together they must not use up what all
        # addresses have, and so keep the owner from coming in from a new one.
        if not await limits.counts.wait(limits.account_logins, self.account, self.address):
            await limits.counts.add(limits.elsewhere_logins, self.account, amount=more)

    async def succeed(self) -> None:
        """Remember that the account's owner is at this address."""
        limits = self.limits
        if limits.on:
            await limits.counts.forget(limits.familiar, self.account, self.address)
            await limits.counts.add(limits.familiar, self.account, self.address, amount=1)


def _item(name: str, rate: Rate) -> RateLimitItem:
    return RateLimitItemPerSecond(rate.amount, rate.seconds, namespace=name)


def _refusal(what: str, wait: float) -> RateLimited:
    milliseconds = math.ceil(wait * 1000)
    seconds = math.ceil(milliseconds / 1000)
    return RateLimited(f"{what}; try again in {seconds} s", retry_after_ms=milliseconds)
