"""Pictures that are found by processes without a folder in common."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.pictures import RedisPictures
from chuk.adapters.redis.sealing import Seals
from chuk.media.pictures import SHORTEST_KEEP, PictureKind, Pictures
from tests.redis_server import RedisServer

DATA = b"\xff\xd8\xff" + os.urandom(200_000)
DAY = 86_400.0
KEY = bytes(range(32))


class Machine:
    """A process with a data folder of its own."""

    def __init__(self, folder: Path, server: RedisServer, key: bytes = KEY) -> None:
        self.connection = RedisConnection(server.url, timeout=5, look_interval=0.01)
        self.copies = RedisPictures(self.connection, Seals(key))
        self.pictures = Pictures(folder, keep=DAY, copies=self.copies)

    async def close(self) -> None:
        await self.pictures.close()
        await self.connection.close()


@pytest.fixture
async def machines(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[list[Machine]]:
    """Two that belong together, and one with another key."""
    machines = [
        Machine(tmp_path / "one", redis_server),
        Machine(tmp_path / "two", redis_server),
        Machine(tmp_path / "stranger", redis_server, bytes(32)),
    ]
    for machine in machines:
        await machine.pictures.start()
    yield machines
    for machine in machines:
        await machine.close()


async def test_a_picture_of_another_machine_is_found_and_ages_as_there(
    machines: list[Machine],
) -> None:
    one, two, _ = machines
    name = await one.pictures.save(DATA, PictureKind.JPEG)
    assert two.pictures.find(name) is None
    here, there = one.pictures.find(name), await two.pictures.fetch(name)
    assert here is not None and there is not None
    assert there.path.read_bytes() == DATA
    assert there.path.stat().st_mtime == pytest.approx(here.path.stat().st_mtime, abs=0.001)
    # From now on it lies here too.
    assert two.pictures.find(name) is not None


async def test_many_who_want_it_at_once_all_get_it(
    machines: list[Machine], tmp_path: Path, redis_server: RedisServer
) -> None:
    one, two, _ = machines
    name = await one.pictures.save(DATA, PictureKind.JPEG)
    # Two processes on one folder.
    other = Machine(tmp_path / "two", redis_server)
    found = await asyncio.gather(
        *(each.pictures.fetch(name) for each in (two, other) for _ in range(4))
    )
    assert all(found)
    assert [path.name for path in (tmp_path / "two").iterdir()] == [name]
    await other.close()


async def test_redis_sees_neither_the_name_nor_the_picture_and_forgets_it(
    machines: list[Machine], redis_server: RedisServer
) -> None:
    name = await machines[0].pictures.save(DATA, PictureKind.JPEG)
    with redis_server.client() as client:
        (key,) = client.keys("*")
        kept = client.get(key)
        assert 0 < client.pttl(key) <= SHORTEST_KEEP * 1000
    assert isinstance(kept, bytes) and isinstance(key, bytes)
    assert name.encode()[:16] not in key and DATA[:16] not in kept
    _, _, stranger = machines
    assert await stranger.pictures.fetch(name) is None
    assert stranger.copies.failures == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", f"{'A' * 43}.jpg", "A.jpg"])
async def test_what_nobody_made_is_not_found(machines: list[Machine], name: str) -> None:
    assert await machines[0].pictures.fetch(name) is None


async def test_while_redis_is_away_each_machine_has_its_own(
    machines: list[Machine], redis_server: RedisServer
) -> None:
    one, two, _ = machines
    redis_server.stop()
    name = await one.pictures.save(DATA, PictureKind.JPEG)
    assert await one.pictures.fetch(name) is not None
    assert await two.pictures.fetch(name) is None
    assert one.copies.failures == 1
