"""Redis: whether it forgets what must not be forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn

_NAME = "redis"
# The first with all that is called here.
_OLDEST = (6, 2)
_KEEPS_ALL = "noeviction"


async def look(examined: Examined) -> list[Finding]:
    """Ask it about itself."""
    redis = examined.settings.redis
    if not redis.url:
        return [ok(_NAME, "none: REDIS_URL is not set")]
    connection = RedisConnection(redis.url, timeout=redis.timeout)
    try:
        facts: Mapping[str, Any] = await connection.run(_info)
        saves = await connection.run(_saves)
    except RedisAway as error:
        says = f"Redis at {connection.address} does not answer ({error})"
        return [fail(_NAME, says, "Start it, or look at REDIS_URL and the network.")]
    finally:
        await connection.close()
    return judge(facts, saves)


def judge(facts: Mapping[str, Any], saves: bool | None) -> list[Finding]:
    """What it says of itself in INFO.

    Args:
        saves: whether it keeps snapshots; None: it does not say.
    """
    version = str(facts.get("redis_version", "0"))
    findings = []
    if _numbers(version) < _OLDEST:
        says = f"Redis {version} is too old"
        findings.append(fail(_NAME, says, f"Use {_OLDEST[0]}.{_OLDEST[1]} or newer."))
    if int(facts.get("cluster_enabled", 0)):
        says = "it is a Redis Cluster"
        findings.append(fail(_NAME, says, "Use one server: several keys are changed at once."))
    if facts.get("role") == "slave":
        findings.append(fail(_NAME, "it is a replica, which takes nothing", "Name its master."))
    policy, limit = str(facts.get("maxmemory_policy", _KEEPS_ALL)), int(facts.get("maxmemory", 0))
    if policy != _KEEPS_ALL:
        says = f"with {policy} it drops answers, limits and claims on keys when memory is short"
        advice = f"CONFIG SET maxmemory-policy {_KEEPS_ALL}, and the same in redis.conf."
        findings.append((fail if limit else warn)(_NAME, says, advice))
    if not int(facts.get("aof_enabled", 0)) and saves is False:
        says = "it keeps nothing across its restarts: an Idempotency-Key may then be paid twice"
        findings.append(warn(_NAME, says, "appendonly yes in redis.conf."))
    if (
        facts.get("rdb_last_bgsave_status", "ok") != "ok"
        or facts.get("aof_last_write_status", "ok") != "ok"
    ):
        findings.append(fail(_NAME, "it cannot write to its disk", "Look at its log and disk."))
    return findings or [ok(_NAME, f"Redis {version} keeps all that it is given")]


async def _info(client: Redis) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = await client.info()
    return facts


async def _saves(client: Redis) -> bool | None:
    try:
        answer = await client.config_get("save")
    except ResponseError:
        # Those that others run do not tell.
        return None
    return bool(answer.get("save"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
