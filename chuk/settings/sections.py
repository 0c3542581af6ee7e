"""Every setting there is: one field each, in the section of the file where it stands.

The schema that checks values, the documented file and the tests are all made from these
fields, so there is no second list to keep in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from marshmallow import validate

from chuk.settings.declaration import setting
from chuk.settings.media import Fal, Groq, Inworld, Media
from chuk.settings.upstream import LocalModel, Routing, Upstream
from chuk.settings.values import (
    at_least_one,
    is_network,
    is_origin,
    is_redis_url_or_empty,
    is_stream_key_or_empty,
    is_url,
    is_url_or_empty,
    not_empty,
    positive,
)
from chuk.settings.watching import Metrics, Telemetry


@dataclass(frozen=True)
class Server:
    """Where the server listens and what it says of itself."""

    host: str = setting(
        "127.0.0.1",
        "Address to listen on; 0.0.0.0: all of them.",
        env="CHUK_HOST",
        check=validate.Length(min=1),
    )
    port: int = setting(
        8080,
        "Port to listen on; 0 picks a free one.",
        env="CHUK_PORT",
        check=validate.Range(min=0, max=65535),
    )
    workers: int = setting(
        1,
        "Processes that serve; more than one needs REDIS_URL.",
        env="CHUK_WORKERS",
        check=validate.Range(min=1, max=256),
    )
    data_dir: Path = setting(
        Path("var"),
        "Folder for secrets, the model cache and the last known model list.",
        env="CHUK_DATA_DIR",
    )
    wire_profile: str = setting(
        "envelope",
        "Shape of answers when a request does not choose: envelope or bare.",
        env="CHUK_WIRE_PROFILE",
        check=validate.OneOf(["envelope", "bare"]),
    )
    public_url: str = setting(
        "",
        "Address clients use, for absolute links; empty: the address served.",
        env="CHUK_PUBLIC_URL",
        check=is_url_or_empty,
    )
    console: str = setting(
        "auto",
        "The page /console: on, off, or auto: only for this machine, with the embedded issuer.",
        env="CHUK_CONSOLE",
        check=validate.OneOf(["auto", "on", "off"]),
    )
    app_url: str = setting(
        "",
        "Where Stripe sends people back to; empty: CHUK_PUBLIC_URL.",
        env="CHUK_APP_URL",
        check=is_url_or_empty,
    )
    local_socket: str = setting(
        "",
        "Unix socket to answer at as well, for asking this very server how it is; empty: none.",
        env="CHUK_LOCAL_SOCKET",
    )
    shutdown_grace: float = setting(
        30.0,
        "Seconds that open streams get after SIGTERM.",
        env="CHUK_SHUTDOWN_GRACE",
        check=validate.Range(min=0),
    )
    cors_origins: tuple[str, ...] = setting(
        (), "Exact origins of browsers that may call.", env="CHUK_CORS_ORIGINS", check=is_origin
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "Addresses or networks whose X-Forwarded-For counts.",
        env="CHUK_TRUSTED_PROXIES",
        check=is_network,
    )
    tls_cert: str = setting("", "Certificate chain file (PEM).", env="CHUK_TLS_CERT")
    tls_key: str = setting("", "Private key file (PEM).", env="CHUK_TLS_KEY")
    body_timeout: float = setting(
        30.0, "Seconds a request's body may take to arrive.", check=positive
    )


@dataclass(frozen=True)
class Log:
    """What the log looks like."""

    format: str = setting(
        "",
        "console or json; empty: console on a terminal, else json.",
        env="CHUK_LOG_FORMAT",
        check=validate.OneOf(["", "console", "json"]),
    )
    level: str = setting(
        "info",
        "debug, info, warning or error.",
        env="CHUK_LOG_LEVEL",
        check=validate.OneOf(["debug", "info", "warning", "error"]),
    )


@dataclass(frozen=True)
class Limits:
    """Requests a minute: per user, the last one per address."""

    chat: int = setting(60, "Chat messages.", env="CHUK_LIMIT_CHAT", check=at_least_one)
    audio: int = setting(30, "Transcriptions.", env="CHUK_LIMIT_AUDIO", check=at_least_one)
    image: int = setting(10, "Images.", env="CHUK_LIMIT_IMAGE", check=at_least_one)
    file: int = setting(30, "File conversions.", env="CHUK_LIMIT_FILE", check=at_least_one)
    speech: int = setting(30, "Speech.", env="CHUK_LIMIT_SPEECH", check=at_least_one)
    other: int = setting(120, "Everything else.", env="CHUK_LIMIT_OTHER", check=at_least_one)
    address: int = setting(
        60,
        "Unauthenticated requests and failed authentication.",
        env="CHUK_LIMIT_ADDRESS",
        check=at_least_one,
    )


@dataclass(frozen=True)
class Prices:
    """From upstream's dollars to the user's euros."""

    usd_to_eur: Decimal = setting(
        Decimal("0.92"), "Euros for one dollar.", env="CHUK_USD_TO_EUR", check=positive
    )
    margin: Decimal = setting(
        Decimal("0"),
        "Added to upstream's cost; 0.1 is ten percent.",
        env="CHUK_MARGIN",
        check=validate.Range(min=0),
    )


@dataclass(frozen=True)
class Plan:
    """The one plan, and what every account starts with. Amounts are euros."""

    name: str = setting("pro", "What clients are told as the current plan.", check=not_empty)
    price: Decimal = setting(
        Decimal("20"), "A month; for showing: Stripe's price is what is paid.", check=positive
    )
    credits: Decimal = setting(
        Decimal("16"), "Credits for each paid period.", check=validate.Range(min=0)
    )
    free_messages: int = setting(
        10, "Free messages of an account, never renewed.", check=validate.Range(min=0)
    )


@dataclass(frozen=True)
class Credits:
    """How holds are looked after. Times are seconds."""

    hold_lease: float = setting(
        60.0,
        "A hold that its process has not renewed for this long is an orphan.",
        check=positive,
    )
    reconcile_interval: float = setting(15.0, "Between looks for orphaned holds.", check=positive)
    reconcile_attempts: int = setting(
        10,
        "Questions to upstream about one hold, before its delivered part is settled.",
        check=at_least_one,
    )


@dataclass(frozen=True)
class Stripe:
    """Payments. Without the key billing is off."""

    secret_key: str = setting("", "Set: billing is on.", env="STRIPE_SECRET_KEY", secret=True)
    webhook_secret: str = setting(
        "", "Signing secret of the webhook.", env="STRIPE_WEBHOOK_SECRET", secret=True
    )
    price_id: str = setting("", "The plan's monthly EUR price.", env="STRIPE_PRICE_ID")
    api_base: str = setting(
        "https://api.stripe.com", "Base URL of its API.", env="STRIPE_API_BASE", check=is_url
    )
    timeout: float = setting(10.0, "For one call; seconds.", check=positive)
    promotion_codes: bool = setting(False, "Whether the checkout takes promotion codes.")
    automatic_tax: bool = setting(False, "Whether Stripe works out the tax.")
    reconcile_interval: float = setting(
        3600.0, "Seconds between comparisons of every subscription with Stripe's.", check=positive
    )


@dataclass(frozen=True)
class Deletion:
    """How accounts are erased. Times are seconds."""

    interval: float = setting(5.0, "Between looks for deletions that are due.", check=positive)
    first_retry: float = setting(5.0, "Before a failed step is tried again.", check=positive)
    longest_retry: float = setting(3600.0, "The waits double up to this.", check=positive)
    lease: float = setting(
        60.0,
        "A deletion whose process died is taken over after this; no attempt lasts longer.",
        check=positive,
    )


@dataclass(frozen=True)
class Chat:
    """The life of a turn and of a WebSocket. Times are seconds."""

    ping_interval: float = setting(15.0, "Between comment pings on SSE.", check=positive)
    silence_interval: float = setting(
        20.0, "Upstream's silence after which a meta event goes out.", check=positive
    )
    stall_timeout: float = setting(
        30.0, "A client that reads nothing for this long is cut.", check=positive
    )
    socket_ping_interval: float = setting(30.0, "Between WebSocket pings.", check=positive)
    socket_idle_timeout: float = setting(
        600.0, "A WebSocket with nothing going on is closed after this.", check=positive
    )
    socket_sign_in_timeout: float = setting(
        120.0,
        "A WebSocket on which nobody has signed in is closed after this, whatever else it says.",
        check=positive,
    )
    sockets_per_user: int = setting(
        100,
        "WebSockets that one user may have open, or one address before anybody has signed in.",
        env="CHUK_LIMIT_SOCKETS",
        check=at_least_one,
    )
    turns_per_socket: int = setting(4, "Turns at once on one WebSocket.", check=at_least_one)
    message_max_bytes: int = setting(
        28_000_000, "Largest chat message, images included.", check=at_least_one
    )
    image_max_count: int = setting(10, "Images in one message.", check=at_least_one)
    image_max_bytes: int = setting(
        20_000_000, "Images of one message together.", check=at_least_one
    )
    resume_grace: float = setting(
        60.0,
        "How long a turn goes on that nobody listens to any more, for its client to come back; "
        "0: it stops at once.",
        env="CHUK_RESUME_GRACE",
        check=validate.Range(min=0, max=600),
    )
    resume_keep: float = setting(
        300.0, "How long an answer can be read again after its end.", check=validate.Range(min=0)
    )
    stream_max_bytes: int = setting(
        1_000_000, "Of one answer kept for reading again; a longer one is not.", check=at_least_one
    )
    stream_user_bytes: int = setting(
        8_000_000, "The same, of one user's answers together.", check=at_least_one
    )
    stream_total_bytes: int = setting(
        256_000_000, "The same, of all users together.", check=at_least_one
    )


@dataclass(frozen=True)
class Supabase:
    """Whose tokens are accepted, and who keeps the books.

    Without a URL: the embedded issuer. Without the service role key: SQLite in the data folder.
    """

    url: str = setting(
        "",
        "Project URL; set: its users' tokens are accepted.",
        env="SUPABASE_URL",
        check=is_url_or_empty,
    )
    jwt_secret: str = setting(
        "", "Legacy shared secret for HS256 tokens.", env="SUPABASE_JWT_SECRET", secret=True
    )
    service_role_key: str = setting(
        "", "Set: its database keeps the books.", env="SUPABASE_SERVICE_ROLE_KEY", secret=True
    )
    database_url: str = setting(
        "",
        "Address of its Postgres, only for `chuk migrate`.",
        env="SUPABASE_DB_URL",
        secret=True,
    )
    timeout: float = setting(10.0, "For one call of the database; seconds.", check=positive)


@dataclass(frozen=True)
class Redis:
    """What several processes share. Without the URL: each is alone."""

    url: str = setting(
        "",
        "Set: limits, streams and background jobs are shared by all processes.",
        env="REDIS_URL",
        check=is_redis_url_or_empty,
        secret=True,
    )
    stream_key: str = setting(
        "",
        "32 bytes in base64, the same for all processes, that seal what Redis keeps of answers; "
        "empty: made once, in the data folder.",
        env="CHUK_STREAM_KEY",
        check=is_stream_key_or_empty,
        secret=True,
    )
    timeout: float = setting(0.5, "For one call; seconds.", check=positive)
    leader_lease: float = setting(
        10.0,
        "Seconds after which another process does the background jobs of one that died.",
        check=positive,
    )
    stream_lease: float = setting(
        6.0,
        "Seconds without a sign of life after which others begin to hold a process for dead, and "
        "end its answers.",
        check=positive,
    )
    pictures: bool = setting(
        True,
        "Whether it holds each picture for an hour; needed where machines have a data folder each.",
    )


@dataclass(frozen=True)
class Settings:
    """Every setting, by section. Made by `load`; never changed afterwards."""

    server: Server = Server()
    log: Log = Log()
    limits: Limits = Limits()
    prices: Prices = Prices()
    plan: Plan = Plan()
    credits: Credits = Credits()
    stripe: Stripe = Stripe()
    deletion: Deletion = Deletion()
    chat: Chat = Chat()
    upstream: Upstream = Upstream()
    local_model: LocalModel = LocalModel()
    routing: Routing = Routing()
    supabase: Supabase = Supabase()
    redis: Redis = Redis()
    metrics: Metrics = Metrics()
    telemetry: Telemetry = Telemetry()
    media: Media = Media()
    groq: Groq = Groq()
    fal: Fal = Fal()
    inworld: Inworld = Inworld()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def named(self, variable: str) -> str:
        """What an environment variable holds that the models file names; empty: it is not set."""
        return self.variables.get(variable, "").strip()
