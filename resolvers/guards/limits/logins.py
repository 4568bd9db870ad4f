"""Logins: how each password that is tried is counted."""

from hashlib import sha256

from resolvers.context import Context
from resolvers.guards.limits.counts import Full, Hit
from resolvers.guards.limits.rates import RateLimits, refusal
from resolvers.guards.passwords import Verdict

TOO_MANY_FROM_ADDRESS = "Too many logins from this address"


def check_address(ctx: Context) -> None:
    """Raise RateLimited when the caller's address has had its logins, whatever the account.

    By what this process knows, without waiting: before the database is asked about the account.
    """
    if ctx.limits.on:
        own = ctx.limits.entries_of(ctx.address).address_logins.hits(ctx.address)[0]
        if full := ctx.limits.counts.check_here(own):
            raise refusal(TOO_MANY_FROM_ADDRESS, full)


async def verify_login(
    ctx: Context, *, email: str, password: str, password_hash: str | None, familiar: bool
) -> Verdict:
    """Verify a password as a login that counts. Raises RateLimited.

    `familiar` is an address where the account's owner was lately.
    """
    attempt = LoginAttempt(ctx.limits, ctx.address, email, familiar=familiar)
    await attempt.check()
    with ctx.passwords.hold(ctx.address, familiar=familiar) as place:
        await attempt.begin()
        verdict = await ctx.passwords.verify(password, password_hash, place)
    if not verdict.matches:
        await attempt.fail()
    return verdict


class LoginAttempt:
    """One login, from before it is let through to its outcome.

    An account's logins are counted for each address, so that nobody elsewhere can lock its owner
    out. All unfamiliar addresses together have a limit too, too wide for one address to reach it
    alone. The networks around an address count for strangers only: an owner shares the provider's
    network with whoever attacks from there.
    """

    def __init__(self, limits: RateLimits, address: str, email: str, *, familiar: bool) -> None:
        self._limits = limits
        self._familiar = familiar
        rates = limits.entries_of(address)
        account = sha256(email.encode()).hexdigest()[:32]  # Redis need not know the address
        self._here = Hit(rates.account_logins, f"{account}/{address}")
        self._elsewhere = Hit(rates.elsewhere_logins, account)
        narrow, *wider = rates.address_logins.hits(address)
        self._networks = [narrow] if familiar else [narrow, *wider]
        self._hits = [*self._networks, self._here]
        if not familiar:
            self._hits.append(self._elsewhere)

    async def check(self) -> None:
        """Raise RateLimited when there is no room for the login. Counts nothing."""
        if self._limits.on:
            self._refuse(await self._limits.counts.check(*self._hits))

    async def begin(self) -> None:
        """Count the login, whatever its outcome will be. Raises RateLimited."""
        if self._limits.on:
            self._refuse(await self._limits.counts.count(*self._hits))

    async def fail(self) -> None:
        """Count the login for more: it was a guess."""
        counts, more = self._limits.counts, self._limits.failure_weight - 1
        if not self._limits.on or more == 0:
            return
        for hit in (*self._networks, self._here):
            await counts.add(hit, more)
        # Thirty guesses at once all come through: together they must not use up the share of all
        # addresses, and so keep the owner from coming in from a new one.
        if not self._familiar and await counts.check(self._here) is None:
            await counts.add(self._elsewhere, more)

    def _refuse(self, full: Full | None) -> None:
        if full is None:
            return
        # By identity: two rates of the same numbers are equal to the library, whatever they limit.
        of_account = any(full.item is hit.item for hit in (self._here, self._elsewhere))
        what = "Too many logins to this account" if of_account else TOO_MANY_FROM_ADDRESS
        raise refusal(what, full)
