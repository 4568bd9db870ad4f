"""The forms of REDIS_URL."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from events.bus.redis_address import close_pool, redis_pool
from settings import Settings


async def test_a_url_of_sentinels_names_them_a_service_and_who_asks() -> None:
    pool = redis_pool(
        "rediss+sentinel://me:p%40ss@s1,s2:26380,[::1]/chat/3"
        "?sentinel_password=other&ssl_ca_certs=/ca.pem",
        seconds=2,
    )
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "chat"
    assert pool.connection_class is SentinelManagedSSLConnection
    redis = pool.connection_kwargs
    assert (redis["username"], redis["password"], redis["db"]) == ("me", "p@ss", 3)
    assert (redis["ssl_ca_certs"], redis["socket_timeout"]) == ("/ca.pem", 2)
    asked: list[dict[str, Any]] = [
        sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels
    ]
    assert [(each["host"], each["port"]) for each in asked] == [
        ("s1", 26379),
        ("s2", 26380),
        ("::1", 26379),
    ]
    for each in asked:
        assert each.get("username") is None  # the account is Redis's
        assert (each["password"], each["ssl_ca_certs"]) == ("other", "/ca.pem")
        assert each["socket_timeout"] == 0.5
    await close_pool(pool)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://:word@h:6380/1?ssl_ca_certs=/ca.pem",
        "unix:///run/redis.sock",
        "redis+sentinel://a/chat",
        "redis+sentinel://me:word@a:1,b:2/chat/0?sentinel_username=x",
    ],
)
async def test_each_form_is_taken(url: str) -> None:
    settings = Settings(redis_url=SecretStr(url))
    assert settings.redis is not None
    await close_pool(redis_pool(settings.redis, seconds=1))


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "redis+sentinel://a:hidden@h",
        "redis+sentinel://a:hidden@h/",
        "redis+sentinel:///chat",
        "redis+sentinel://a,,b/chat",
        "redis+sentinel://a/chat/x",
        "sentinel://a/chat",
    ],
)
def test_what_is_no_url_of_redis_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(redis_url=SecretStr(url))
    [problem] = refused.value.errors(include_input=False)
    assert "redis+sentinel://" in problem["msg"]
    assert "hidden" not in problem["msg"]
