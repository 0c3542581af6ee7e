"""The certificate's dates, chain, names and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from chuk.doctor import certificates
from chuk.doctor.findings import Finding
from tests.certificates import Authority, Pair
from tests.doctor.conftest import Examine, says, verdicts


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs."""
    return Authority(tmp_path)


async def found(examine: Examine, pair: Pair, url: str = "https://api.example") -> list[Finding]:
    """What is found with this pair at that address."""
    async with examine(CHUK_PUBLIC_URL=url, **pair.environ()) as examined:
        return await certificates.look(examined)


async def test_a_good_one_is_well(examine: Examine, authority: Authority) -> None:
    pair = authority.sign(names=("api.example",))
    assert verdicts(await found(examine, pair)) == ["ok", "ok", "ok"]


async def test_without_one_tls_ends_elsewhere(examine: Examine) -> None:
    async with examine() as examined:
        assert verdicts(await certificates.look(examined)) == ["ok"]


@pytest.mark.parametrize(
    ("since", "days", "expected", "word"),
    [
        (-90, -1, "fail", "expired"),
        (2, 90, "fail", "valid from"),
        (-80, 5, "warn", "soon"),
    ],
)
async def test_its_dates_are_told_in_time(
    examine: Examine, authority: Authority, since: float, days: float, expected: str, word: str
) -> None:
    pair = authority.sign(names=("api.example",), since=since, days=days)
    assert word in says(await found(examine, pair), expected)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("api.example",), "ok"),
        (("other.example", "API.EXAMPLE"), "ok"),
        (("*.example",), "fail"),
        (("127.0.0.1",), "fail"),
        (("other.example",), "fail"),
    ],
)
async def test_it_is_for_the_public_host(
    examine: Examine, authority: Authority, names: tuple[str, ...], expected: str
) -> None:
    pair = authority.sign(names=names)
    findings = await found(examine, pair)
    assert verdicts(findings)[2] == expected
    assert "api.example" in findings[2].says


async def test_a_wildcard_covers_one_level_and_an_address_itself(
    examine: Examine, authority: Authority
) -> None:
    pair = authority.sign(names=("*.chuk.example", "192.0.2.7"))
    for url, expected in (
        ("https://api.chuk.example", "ok"),
        ("https://a.b.chuk.example", "fail"),
        ("https://192.0.2.7", "ok"),
        ("https://192.0.2.8", "fail"),
    ):
        assert verdicts(await found(examine, pair, url))[2] == expected, url


async def test_the_whole_chain_must_be_there(
    examine: Examine, authority: Authority, tmp_path: Path
) -> None:
    pair = authority.sign(names=("api.example",))
    whole = pair.chain.read_text("ascii")
    end = "-----END CERTIFICATE-----\n"
    leaf, issuer = (part + end for part in whole.split(end)[:2])
    pair.chain.write_text(leaf)
    assert "issuer" in says(await found(examine, pair), "warn")
    other = tmp_path / "other"
    other.mkdir()
    stranger = Authority(other).sign().chain.read_text("ascii").split(end)[1] + end
    pair.chain.write_text(leaf + stranger)
    assert "chain" in says(await found(examine, pair), "fail")
    pair.chain.write_text(leaf + issuer)
    assert verdicts(await found(examine, pair)) == ["ok", "ok", "ok"]


async def test_a_key_that_others_may_read_is_told(examine: Examine, authority: Authority) -> None:
    pair = authority.sign(names=("api.example",))
    pair.key.chmod(0o644)
    assert "0644" in says(await found(examine, pair), "warn")


async def test_a_pair_that_does_not_fit_is_a_failure(
    examine: Examine, authority: Authority
) -> None:
    pair = authority.sign(names=("api.example",))
    pair.key.write_bytes(authority.sign("another").key.read_bytes())
    assert verdicts(await found(examine, pair)) == ["fail"]
