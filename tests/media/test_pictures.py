"""Pictures are kept for as long as is promised, found by their whole name alone, and then gone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chuk.errors import ServiceUnavailable
from chuk.media.pictures import SHORTEST_KEEP, PictureKind, Pictures, kind_of
from tests.credits.books import Time
from tests.harness import eventually

DAY = 86_400.0
DATA = b"\xff\xd8\xff" + b"picture"

Make = Callable[..., Pictures]


@pytest.fixture
def time() -> Time:
    """The clock of all pictures."""
    return Time()


@pytest.fixture
async def make(tmp_path: Path, time: Time) -> AsyncIterator[Make]:
    """Make stores over one folder; closed at the end."""
    made: list[Pictures] = []

    def pictures(**options: Any) -> Pictures:
        usual: dict[str, Any] = {"keep": DAY, "clock": time.now, "sleep": time.sleep}
        made.append(Pictures(tmp_path / "pictures", **{**usual, **options}))
        return made[-1]

    yield pictures
    for each in made:
        await each.close()


@pytest.fixture
async def pictures(make: Make) -> Pictures:
    """A store that keeps pictures for a day."""
    store = make()
    await store.start()
    return store


def files(folder: Path) -> list[str]:
    """All that lies in the folder."""
    return sorted(path.name for path in (folder / "pictures").iterdir())


async def test_what_is_saved_is_found_by_its_name(pictures: Pictures) -> None:
    name = await pictures.save(DATA, PictureKind.JPEG)
    found = pictures.find(name)
    assert found is not None
    assert (found.path.read_bytes(), found.kind, found.seconds_left) == (
        DATA,
        PictureKind.JPEG,
        DAY,
    )


async def test_a_name_cannot_be_guessed_and_others_cannot_read_the_file(
    pictures: Pictures, tmp_path: Path
) -> None:
    names = {await pictures.save(DATA, PictureKind.PNG) for _ in range(20)}
    assert len(names) == 20
    # 32 bytes in base64.
    assert {len(name) for name in names} == {43 + len(".png")}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "pictures").iterdir()} == {0o600}
    assert (tmp_path / "pictures").stat().st_mode & 0o777 == 0o700


async def test_nothing_else_is_ever_found(pictures: Pictures, tmp_path: Path) -> None:
    name = await pictures.save(DATA, PictureKind.JPEG)
    (tmp_path / "secret.jpg").write_bytes(DATA)
    letters = "a" * 43
    (tmp_path / "pictures" / f"{letters}.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "pictures" / f"{letters}.png").mkdir()
    for other in (
        "",
        ".",
        "..",
        "../secret.jpg",
        f"../pictures/{name}",
        f"./{name}",
        name.upper(),
        name[:-4],
        f"{name}.part",
        f"{name}\n",
        f"{name}\0",
        f"{letters}.jpg",
        f"{letters}.png",
        f"{letters}.webp",
        str(tmp_path / "pictures" / name),
    ):
        assert pictures.find(other) is None, other


async def test_it_is_there_to_its_last_second_and_then_gone(
    pictures: Pictures, time: Time, tmp_path: Path
) -> None:
    name = await pictures.save(DATA, PictureKind.WEBP)
    await eventually(lambda: bool(time.slept))
    time.pass_by(DAY - 1)
    found = pictures.find(name)
    assert found is not None and found.seconds_left == 1
    time.pass_by(1)
    assert pictures.find(name) is None
    await eventually(lambda: files(tmp_path) == [])


async def test_no_picture_goes_before_an_hour_whatever_is_asked(make: Make, time: Time) -> None:
    store = make(keep=1)
    await store.start()
    name = await store.save(DATA, PictureKind.JPEG)
    time.pass_by(SHORTEST_KEEP - 1)
    assert store.find(name) is not None


async def test_it_outlives_the_process(make: Make, pictures: Pictures, time: Time) -> None:
    name = await pictures.save(DATA, PictureKind.JPEG)
    await pictures.close()
    time.pass_by(60)
    later = make()
    await later.start()
    found = later.find(name)
    assert found is not None and found.seconds_left == DAY - 60


async def test_what_a_crash_left_half_written_goes_in_time(
    make: Make, time: Time, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    half = folder / f"{'b' * 43}.jpg.part"
    half.write_bytes(b"half")
    moment = time.now().timestamp()
    os.utime(half, (moment, moment))
    store = make()
    await store.start()
    # Another process may be writing it.
    assert files(tmp_path) == [half.name]
    await eventually(lambda: bool(time.slept))
    time.pass_by(SHORTEST_KEEP)
    await eventually(lambda: files(tmp_path) == [])


async def test_the_oldest_give_way_when_it_is_full_but_none_that_is_promised(
    make: Make, time: Time
) -> None:
    store = make(most_bytes=3 * len(DATA))
    await store.start()
    names = []
    for _ in range(3):
        names.append(await store.save(DATA, PictureKind.JPEG))
        time.pass_by(60)
    with pytest.raises(ServiceUnavailable) as raised:
        await store.save(DATA, PictureKind.JPEG)
    assert raised.value.details["retry_after"] > 0
    assert all(store.find(name) for name in names)
    time.pass_by(SHORTEST_KEEP - 150)
    names.append(await store.save(DATA, PictureKind.JPEG))
    assert [store.find(name) is not None for name in names] == [False, True, True, True]


async def test_who_leaves_while_it_is_saved_leaves_nothing(
    pictures: Pictures, tmp_path: Path
) -> None:
    for _ in range(10):
        saving = asyncio.create_task(pictures.save(DATA * 10_000, PictureKind.JPEG))
        await asyncio.sleep(0)
        saving.cancel()
        await asyncio.wait([saving])
    await eventually(lambda: files(tmp_path) == [])


async def test_a_disk_that_refuses_leaves_nothing(pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "pictures").rmdir()
    with pytest.raises(OSError, match="No such file"):
        await pictures.save(DATA, PictureKind.JPEG)
    (tmp_path / "pictures").mkdir()
    assert files(tmp_path) == []
    assert pictures.find(await pictures.save(DATA, PictureKind.JPEG)) is not None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0", PictureKind.JPEG),
        (b"\x89PNG\r\n\x1a\nrest", PictureKind.PNG),
        (b"RIFF\0\0\0\0WEBPVP8 ", PictureKind.WEBP),
        (b"GIF89a", None),
        (b"<svg>", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(data: bytes, kind: PictureKind | None) -> None:
    assert kind_of(data) is kind


def test_each_kind_has_its_media_type() -> None:
    assert [kind.media_type for kind in PictureKind] == ["image/jpeg", "image/png", "image/webp"]
