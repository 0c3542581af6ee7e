"""What the trials judge by: a leak is seen, a mood of the allocator is not."""

from __future__ import annotations

import random
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts' packages can be imported, as the scripts themselves see to it."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    for name in [each for each in sys.modules if each.partition(".")[0] in ("trials", "fuzzing")]:
        del sys.modules[name]


def module(path: str) -> dict[str, Any]:
    return runpy.run_path(str(SCRIPTS / path), run_name=path)


def is_flat(values: list[float]) -> bool:
    found = module("trials/vitals.py")["trend"](values, share=0.04, least=4_096)
    return bool(found.is_flat)


def test_a_leak_is_seen_and_noise_is_not() -> None:
    chance = random.Random(3)
    noise = [chance.uniform(-2_000, 2_000) for _ in range(80)]
    assert is_flat([90_000 + each for each in noise])
    assert is_flat([90_000 - 100 * n + each for n, each in enumerate(noise)])
    assert not is_flat([90_000 + 150 * n + each for n, each in enumerate(noise)])


def test_one_moments_peak_is_no_leak() -> None:
    values = [90_000.0] * 80
    values[70:75] = [200_000.0] * 5
    assert is_flat(values)


def test_a_turn_ends_once_or_it_is_lost(scripts: None) -> None:
    people = module("trials/people.py")
    good = [{"content": "a"}, "[DONE]"]
    assert people["ending"](good) == "done"
    assert people["ending"]([{"error": {"code": "PROVIDER_ERROR"}}]) == "PROVIDER_ERROR"
    for bad in ([], [{"content": "a"}], ["[DONE]", "[DONE]"], ["[DONE]", {"content": "a"}]):
        with pytest.raises(people["Lost"]):
            people["ending"](bad)


def test_a_bad_finding_is_a_bad_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = module("trials/verdict.py")["Verdict"]("it")
    verdict.expect(True, "one thing")
    assert verdict.code() == 0
    verdict.expect(False, "another thing")
    assert verdict.code() == 1
    said = capsys.readouterr().out
    assert "BAD  another thing" in said and said.endswith("does not)\n")


# Of odd headers of parts aiohttp warns, and reads on.
@pytest.mark.filterwarnings("ignore::aiohttp.multipart.BadContentDispositionHeader")
@pytest.mark.filterwarnings("ignore::aiohttp.multipart.BadContentDispositionParam")
def test_what_the_fuzzer_feeds_takes_what_it_begins_with_and_what_is_near(scripts: None) -> None:
    from fuzzing.targets import LOOP, TARGETS  # type: ignore[import-not-found]  # noqa: PLC0415

    chance = random.Random(9)
    try:
        for target, seeds in TARGETS.values():
            for seed in (b"", *seeds):
                target(seed)
            for _ in range(30):
                changed = bytearray(chance.choice(seeds))
                changed[chance.randrange(len(changed))] = chance.getrandbits(8)
                target(bytes(changed))
    finally:
        LOOP.close()
