"""Whether Redis connects the processes, and keeps what they count."""

from urllib.parse import urlsplit

from commands.checking.findings import Finding, note, ok, wrong
from commands.checking.secret_values import LOCAL
from events.bus.examination import RedisAway, RedisState, examine_redis
from settings import Settings

OLDEST = (6, 0)


async def check_redis(settings: Settings) -> list[Finding]:
    """Return how Redis is, where there is one."""
    if settings.redis is None:
        if settings.workers > 1:
            said = f"{settings.workers} workers need Redis, and REDIS_URL is not set"
            return [wrong(said, "set REDIS_URL, or WORKERS=1")]
        return [ok("not used: one process needs none")]
    parts = urlsplit(settings.redis)
    place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    try:
        state = await examine_redis(settings.redis, prefix=settings.redis_prefix)
    except RedisAway as error:
        remedy = "start Redis, or correct REDIS_URL; until then servers poll the database"
        return [wrong(f"{place}: {error}", remedy)]
    found = [*_check_state(state)]
    is_far = parts.scheme != "unix" and parts.hostname not in LOCAL
    if is_far and not parts.password:
        said = f"{place} lets anybody in who reaches it: REDIS_URL has no password"
        remedy = "set requirepass (or an ACL user), and name it in REDIS_URL"
        found.append((wrong if settings.env == "production" else note)(said, remedy))
    if state.missing or state.role == "slave":
        return found
    return [ok(f"Redis {state.version or 'of an unknown version'} at {place}"), *found]


def _check_state(state: RedisState) -> list[Finding]:
    found = [
        wrong(f"our user may not {right}", "give it that right: ACL SETUSER")
        for right in state.missing
    ]
    if state.role == "slave":
        remedy = "name the primary in REDIS_URL"
        found.append(wrong("this Redis is a replica, which takes no changes", remedy))
    version = tuple(int(part) for part in state.version.split(".")[:2] if part.isdigit())
    if version and version < OLDEST:
        needed = ".".join(map(str, OLDEST))
        found.append(
            wrong(f"Redis {state.version} is too old", f"use {needed} or newer, or Valkey")
        )
    policy = state.config.get("maxmemory-policy", "noeviction")
    most = int(state.config.get("maxmemory", 0))
    if policy != "noeviction" and most:
        said = (
            f"maxmemory-policy is {policy}: when memory is short, limits forget what they counted"
        )
        found.append(note(said, "CONFIG SET maxmemory-policy noeviction"))
    if most and state.used_bytes > most * 0.9:
        said = f"{state.used_bytes:,} of {most:,} bytes of maxmemory are in use"
        found.append(wrong(said, "raise maxmemory, or give Parley a Redis of its own"))
    return found
