"""The verifier by itself, with its time in hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.accounts.issuer import EmbeddedIssuer
from chuk.accounts.tokens import LEEWAY, TokenRules, TokenVerifier
from chuk.errors import InvalidToken, TokenExpired
from tests.fakes.supabase_auth import USER, FakeSupabaseAuth

_START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
_SALT = b"salt"


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = _START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Keys:
    """The project's keys, without a network between; counts how often one is asked for."""

    def __init__(self, project: FakeSupabaseAuth) -> None:
        self.asked = 0
        self._project = project

    async def key(self, key_id: str) -> jwt.PyJWK:
        self.asked += 1
        if key_id not in self._project.keys:
            raise InvalidToken
        return jwt.PyJWK(self._project.keys[key_id].public_entry())


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def issuer(time: Time) -> EmbeddedIssuer:
    return EmbeddedIssuer(b"x" * 32, clock=time)


@pytest.fixture
def verifier(issuer: EmbeddedIssuer, time: Time) -> TokenVerifier:
    return TokenVerifier(issuer.rules(), None, log_salt=_SALT, clock=time)


async def test_a_token_ends_30_seconds_after_its_end(
    issuer: EmbeddedIssuer, verifier: TokenVerifier, time: Time
) -> None:
    token = issuer.token(USER, timedelta(seconds=100))
    assert (await verifier.verify(token)).user_id == USER
    time.pass_(100 + LEEWAY)
    principal = await verifier.verify(token)
    assert not verifier.has_expired(principal)
    time.pass_(1)
    with pytest.raises(TokenExpired) as caught:
        await verifier.verify(token)
    assert caught.value.details == {"expired_at": "2026-01-15T10:31:40Z"}
    assert verifier.has_expired(principal)


async def test_an_expired_token_says_whose_it_was_to_the_server_alone(
    issuer: EmbeddedIssuer, verifier: TokenVerifier, time: Time
) -> None:
    token = issuer.token(USER, timedelta(seconds=1))
    time.pass_(1 + LEEWAY + 1)
    with pytest.raises(TokenExpired) as caught:
        await verifier.verify(token)
    error = caught.value
    assert error.user_id == USER
    assert str(USER) not in f"{error} {error!r} {error.details} {error.headers}"


async def test_a_remembered_token_does_not_outlive_its_end(
    issuer: EmbeddedIssuer, verifier: TokenVerifier, time: Time
) -> None:
    token = issuer.token(USER, timedelta(seconds=10))
    time.pass_(10 + LEEWAY - 1)
    await verifier.verify(token)
    time.pass_(2)
    with pytest.raises(TokenExpired):
        await verifier.verify(token)


async def test_a_good_token_is_checked_once_a_minute(time: Time) -> None:
    project = FakeSupabaseAuth()
    project.add_key("k")
    keys = Keys(project)
    verifier = TokenVerifier(TokenRules(project.issuer, None), keys, log_salt=_SALT, clock=time)
    token = project.token("k", exp=int((_START + timedelta(hours=1)).timestamp()))
    for _ in range(3):
        await verifier.verify(token)
    assert keys.asked == 1
    time.pass_(61)
    await verifier.verify(token)
    assert keys.asked == 2


async def test_only_so_many_tokens_are_remembered(time: Time) -> None:
    project = FakeSupabaseAuth()
    project.add_key("k")
    keys = Keys(project)
    verifier = TokenVerifier(
        TokenRules(project.issuer, None), keys, log_salt=_SALT, clock=time, remember_count=2
    )
    end = int((_START + timedelta(hours=1)).timestamp())
    first, *others = [project.token("k", exp=end, jti=str(n)) for n in range(3)]
    for token in (first, *others):
        await verifier.verify(token)
    for token in others:
        await verifier.verify(token)
    assert keys.asked == 3
    await verifier.verify(first)
    assert keys.asked == 4


async def test_a_refused_token_is_not_remembered_as_good(
    issuer: EmbeddedIssuer, verifier: TokenVerifier
) -> None:
    token = issuer.token(USER)
    await verifier.verify(token)
    changed = token[:-2] + ("AA" if not token.endswith("AA") else "BB")
    for _ in range(2):
        with pytest.raises(InvalidToken):
            await verifier.verify(changed)


@pytest.mark.parametrize(("seconds", "is_good"), [(-1, True), (30, True), (31, False)])
async def test_a_token_begins_30_seconds_early_at_most(
    time: Time, verifier: TokenVerifier, seconds: int, is_good: bool
) -> None:
    now = int(_START.timestamp())
    claims = {
        "iss": "chuk-embedded",
        "aud": "authenticated",
        "role": "authenticated",
        "sub": str(USER),
        "exp": now + 3600,
        "nbf": now + seconds,
    }
    token = jwt.encode(claims, b"x" * 32, "HS256")
    if is_good:
        await verifier.verify(token)
    else:
        with pytest.raises(InvalidToken):
            await verifier.verify(token)


async def test_the_log_name_stands_for_the_user_without_telling_who(
    issuer: EmbeddedIssuer, verifier: TokenVerifier, time: Time
) -> None:
    one, again = [await verifier.verify(issuer.token(USER, timedelta(hours=n))) for n in (1, 2)]
    other = await verifier.verify(issuer.token(UUID(int=7)))
    assert one.log_name == again.log_name != other.log_name
    assert str(USER)[:8] not in one.log_name
    salted = TokenVerifier(issuer.rules(), None, log_salt=b"another", clock=time)
    assert (await salted.verify(issuer.token(USER))).log_name != one.log_name


@given(token=st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"))
async def test_nothing_but_a_token_is_a_token(token: str) -> None:
    rules = EmbeddedIssuer(b"x" * 32).rules()
    verifier = TokenVerifier(rules, None, log_salt=_SALT)
    with pytest.raises(InvalidToken):
        await verifier.verify(token)


@given(
    changes=st.dictionaries(
        st.sampled_from(["exp", "nbf", "iat", "sub", "aud", "iss", "role", "jti"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.lists(st.text(), max_size=2)
        | st.dictionaries(st.text(), st.text(), max_size=2),
        min_size=1,
    )
)
async def test_strange_claims_are_refused_or_understood(changes: dict[str, object]) -> None:
    secret = b"x" * 32
    claims: dict[str, object] = {
        "iss": "chuk-embedded",
        "aud": "authenticated",
        "role": "authenticated",
        "sub": str(USER),
        "exp": 4_000_000_000,
    }
    try:
        token = jwt.encode(claims | changes, secret, "HS256")
    except TypeError:
        return
    verifier = TokenVerifier(TokenRules("chuk-embedded", secret), None, log_salt=_SALT)
    try:
        principal = await verifier.verify(token)
    except (InvalidToken, TokenExpired):
        return
    assert principal.user_id == USER
