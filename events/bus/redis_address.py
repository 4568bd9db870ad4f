"""Where Redis is: one server, or the one that Sentinels call the master.

    redis://[user:password@]host[:6379][/db]          rediss:// is with TLS
    redis+sentinel://[user:password@]host[:26379],host[:26379],…/service[/db]
                                                      rediss+sentinel:// is with TLS

Further parameters are those of redis-py (`?ssl_ca_certs=/path`), and for Sentinels that ask for a
password of their own `sentinel_username` and `sentinel_password`.
"""

from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Redis, Sentinel
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

SENTINEL_PORT = 26379
# A Sentinel answers within milliseconds, or the next one is asked.
SENTINEL_SECONDS = 0.5


def redis_pool(url: str, *, seconds: float, tries: int = 1) -> ConnectionPool:
    """Return a pool whose connections and answers take so long at most, each time it is tried.

    A new connection leads to whichever server is the master then. Raises ValueError where the URL
    is none of Redis.
    """
    retry, once = Retry(NoBackoff(), tries - 1), Retry(NoBackoff(), 0)
    options: dict[str, Any] = {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": retry,
    }
    if "+sentinel://" not in url:
        return ConnectionPool.from_url(url, **options)
    sentinels, service, named, own = _parts(url)
    limit = min(seconds, SENTINEL_SECONDS)
    own |= {"socket_timeout": limit, "socket_connect_timeout": limit, "retry": once}
    manager = Sentinel(sentinels, sentinel_kwargs=own)  # type: ignore[no-untyped-call]  # redis-py has no types here
    return SentinelConnectionPool(service, manager, **{**named, **options})  # type: ignore[no-untyped-call]


async def close_pool(pool: ConnectionPool) -> None:
    """Close the pool's connections, those to Sentinels too."""
    await pool.aclose()
    if isinstance(pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


def client_of(pool: ConnectionPool) -> Redis:
    """Return a client over the pool, which stays the caller's to close."""
    return Redis(connection_pool=pool)


def _parts(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any], dict[str, Any]]:
    """Return the Sentinels, the service's name, and the options of Redis and of the Sentinels."""
    scheme, _, rest = url.partition("+sentinel://")
    authority, _, path = rest.partition("/")
    account, at, hosts = authority.rpartition("@")
    path, _, query = path.partition("?")
    service, _, number = path.partition("/")
    sentinels = []
    for host in hosts.split(","):
        parts = urlsplit(f"//{host.strip()}")
        if not parts.hostname:
            raise ValueError("names no Sentinel between two commas")
        sentinels.append((parts.hostname, parts.port or SENTINEL_PORT))
    if not service:
        raise ValueError("names no service after the Sentinels: redis+sentinel://host/service")
    named: dict[str, Any] = {**parse_url(f"{scheme}://{account}{at}/{number or 0}?{query}")}
    own = {
        name: named.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if f"sentinel_{name}" in named
    }
    if named.pop("connection_class", None) is not None:
        named["ssl"] = True
        own |= {name: value for name, value in named.items() if name.startswith("ssl")}
    return sentinels, service, named, own
