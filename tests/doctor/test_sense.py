"""Settings that are each right, and make no sense together."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from chuk.doctor import sense
from tests.doctor.conftest import Examine, shown, verdicts

_PUBLIC = {"CHUK_PUBLIC_URL": "https://api.example", "CHUK_WIRE_PROFILE": "bare"}
# A server behind its proxy, with its users in a project.
_GOOD = {
    **_PUBLIC,
    "CHUK_TRUSTED_PROXIES": "127.0.0.1",
    "SUPABASE_URL": "https://project.example",
}
_STRIPE = {
    "STRIPE_SECRET_KEY": "rk_live_made_up",
    "STRIPE_WEBHOOK_SECRET": "whsec_made_up",
    "STRIPE_PRICE_ID": "price_made_up",
}


def service_key(role: str) -> str:
    """A key of a project, as older ones make them."""
    return jwt.encode({"iss": "supabase", "role": role}, "s" * 32, "HS256")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        _GOOD,
        {**_GOOD, **_STRIPE},
        {**_GOOD, "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_made_up"},
        {**_GOOD, "SUPABASE_SERVICE_ROLE_KEY": service_key("service_role")},
        {**_GOOD, "CHUK_CORS_ORIGINS": "https://app.example,http://localhost:3000"},
        {**_GOOD, "CHUK_HOST": "0.0.0.0", "CHUK_TRUSTED_PROXIES": "10.1.0.0/16,fd00::/64"},
        {**_GOOD, "REDIS_URL": "redis://127.0.0.1:6379/0", "CHUK_WORKERS": "4"},
        {**_GOOD, "REDIS_URL": "redis://:hush@redis.example/0"},
    ],
)
async def test_what_makes_sense_is_let_be(examine: Examine, environ: dict[str, str]) -> None:
    async with examine(**environ) as examined:
        assert verdicts(await sense.look(examined)) == ["ok"]


@pytest.mark.parametrize(
    ("change", "verdict", "word"),
    [
        ({"CHUK_TRUSTED_PROXIES": "0.0.0.0/0"}, "fail", "CHUK_TRUSTED_PROXIES"),
        ({"CHUK_TRUSTED_PROXIES": "127.0.0.1,::/0"}, "fail", "::/0"),
        ({"CHUK_TRUSTED_PROXIES": ""}, "warn", "CHUK_TRUSTED_PROXIES"),
        ({"CHUK_PUBLIC_URL": "http://api.example"}, "fail", "CHUK_PUBLIC_URL"),
        ({"CHUK_WIRE_PROFILE": "envelope"}, "warn", "envelope"),
        ({"CHUK_CONSOLE": "on"}, "warn", "console"),
        ({"CHUK_CORS_ORIGINS": "http://app.example"}, "warn", "http://app.example"),
        ({"CHUK_LOG_LEVEL": "debug"}, "warn", "log"),
        ({"SUPABASE_URL": ""}, "warn", "sign up"),
        ({"CHUK_USD_TO_EUR": "92"}, "warn", "CHUK_USD_TO_EUR"),
        ({"CHUK_PLAN_CREDITS": "21"}, "warn", "credits"),
        ({**_STRIPE, "STRIPE_SECRET_KEY": "rk_test_made_up"}, "warn", "live"),
        ({**_STRIPE, "STRIPE_WEBHOOK_SECRET": "made_up"}, "warn", "whsec_"),
        ({"SUPABASE_SERVICE_ROLE_KEY": service_key("anon")}, "fail", "service role"),
        ({"SUPABASE_SERVICE_ROLE_KEY": "sb_publishable_made_up"}, "fail", "service role"),
        ({"CHUK_WORKERS": "4"}, "fail", "REDIS_URL"),
        ({"REDIS_URL": "redis://redis.example/0"}, "warn", "redis.example"),
    ],
)
async def test_what_makes_none_is_told(
    examine: Examine, change: dict[str, str], verdict: str, word: str
) -> None:
    async with examine(**{**_GOOD, **change}) as examined:
        ((found, text),) = shown(await sense.look(examined))
    assert found == verdict
    assert word in text
    assert "made_up" not in text


async def test_an_open_server_without_tls_is_told(examine: Examine) -> None:
    async with examine(CHUK_HOST="0.0.0.0") as examined:
        assert verdicts(await sense.look(examined)) == ["warn"]


async def test_real_money_needs_a_public_address(examine: Examine) -> None:
    async with examine(**_STRIPE) as examined:
        assert verdicts(await sense.look(examined)) == ["fail"]


async def test_a_publishable_key_is_no_secret_key(examine: Examine) -> None:
    environ = {**_GOOD, **_STRIPE, "STRIPE_SECRET_KEY": "pk_live_made_up"}
    async with examine(**environ) as examined:
        assert verdicts(await sense.look(examined)) == ["fail", "warn"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("OPENROUTER_KEY", "OPENROUTER_API_KEY"), ("REDIS_URI", "REDIS_URL"), ("CHUK_NONSENSE", "")],
)
async def test_a_name_that_nobody_reads_is_told(examine: Examine, name: str, meant: str) -> None:
    async with examine(**{**_GOOD, name: "value"}) as examined:
        (found,) = await sense.look(examined)
    assert found.verdict.value == "warn" and name in found.says
    assert meant in found.advice and "value" not in found.says + found.advice


async def test_a_credential_under_a_name_that_nobody_reads_is_told(
    examine: Examine, tmp_path: Path
) -> None:
    (tmp_path / "chuk_GROQ_KEY").write_text("value")
    async with examine(**_GOOD, CREDENTIALS_DIRECTORY=str(tmp_path)) as examined:
        (found,) = await sense.look(examined)
    assert "GROQ_KEY" in found.says and "GROQ_API_KEY" in found.advice


async def test_a_key_that_the_models_file_names_is_read(examine: Examine, tmp_path: Path) -> None:
    models = tmp_path / "models.toml"
    models.write_text('[[server]]\napi_key_env = "OPENROUTER_2_KEY"\n')
    environ = {**_GOOD, "OPENROUTER_2_KEY": "value", "CHUK_UPSTREAM_MODELS_FILE": str(models)}
    async with examine(**environ) as examined:
        assert verdicts(await sense.look(examined)) == ["ok"]
