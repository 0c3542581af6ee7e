"""The machine's disk, memory and clock, by numbers and as they really are."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from chuk.doctor import machine
from chuk.doctor.machine import DESCRIPTORS, Space
from tests.doctor.conftest import Examine, shown, verdicts

_PLENTY = 50 * 10**9


async def test_a_real_machine_is_looked_at(examine: Examine) -> None:
    async with examine() as examined:
        findings = await machine.look(examined)
    assert {each.name for each in findings} == {"disk", "descriptors", "memory", "clock"}
    shown(findings)
    # Looking makes nothing.
    assert not examined.settings.server.data_dir.exists()


@pytest.mark.parametrize(
    ("free", "files", "expected"),
    [
        (_PLENTY, 1_000_000, ["ok"]),
        (_PLENTY, None, ["ok"]),
        (900_000_000, 1_000_000, ["warn"]),
        (100_000_000, 1_000_000, ["fail"]),
        (_PLENTY, 9_000, ["ok", "warn"]),
        (_PLENTY, 100, ["ok", "fail"]),
        (0, 0, ["fail", "fail"]),
    ],
)
def test_room_on_the_disk_is_told_before_it_is_gone(
    free: int, files: int | None, expected: list[str]
) -> None:
    findings = machine.judge_space(Space("/var/lib/chuk", free, files))
    assert verdicts(findings) == expected
    assert all("/var/lib/chuk" in each.says for each in findings)


def test_a_folder_has_room(tmp_path: Path) -> None:
    space = machine.space_of(tmp_path)
    assert space.free > 0
    assert space.files is None or space.files > 0


@pytest.mark.parametrize(
    ("soft", "expected"),
    [
        (resource.RLIM_INFINITY, "ok"),
        (DESCRIPTORS, "ok"),
        (DESCRIPTORS - 1, "warn"),
        (1024, "warn"),
        (128, "fail"),
    ],
)
def test_two_thousand_streams_need_descriptors(soft: int, expected: str) -> None:
    finding = machine.judge_descriptors(soft, 524_288)
    assert verdicts([finding]) == [expected]
    assert expected == "ok" or str(soft) in finding.says


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, "ok"), (8 * 10**9, "ok"), (600_000_000, "warn"), (200_000_000, "fail")],
)
def test_so_do_they_need_memory(limit: int | None, expected: str) -> None:
    assert verdicts([machine.judge_memory(limit)]) == [expected]


def test_the_limit_of_memory_is_known_here() -> None:
    limit = machine.memory_limit()
    assert limit is not None and limit > 0


@pytest.mark.parametrize(
    ("is_kept", "goes_on", "expected"),
    [
        (True, True, ["ok"]),
        (None, True, ["ok"]),
        (False, True, ["warn"]),
        (True, False, ["fail"]),
        (False, False, ["fail", "warn"]),
    ],
)
def test_the_clock_is_kept_right_and_goes_on(
    is_kept: bool | None, goes_on: bool, expected: list[str]
) -> None:
    assert verdicts(machine.judge_clock(is_kept=is_kept, goes_on=goes_on)) == expected


def test_whether_it_is_kept_can_be_asked() -> None:
    assert machine.is_clock_kept() in (True, False, None)
