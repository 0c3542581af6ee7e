"""Every setting there is: one field each, in the section of the file where it stands.

The schema that checks values, the documented file and the tests are all made from these
fields, so there is no second list to keep in step.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from marshmallow import validate

from chuk.settings.declaration import setting
from chuk.settings.values import is_network, is_origin, is_url, is_url_or_empty

_positive = validate.Range(min=0, min_inclusive=False)
_at_least_one = validate.Range(min=1)
_not_empty = validate.Length(min=1)


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
    app_url: str = setting(
        "",
        "Where Stripe sends people back to; empty: CHUK_PUBLIC_URL.",
        env="CHUK_APP_URL",
        check=is_url_or_empty,
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
        30.0, "Seconds a request's body may take to arrive.", check=_positive
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

    chat: int = setting(60, "Chat messages.", env="CHUK_LIMIT_CHAT", check=_at_least_one)
    audio: int = setting(30, "Transcriptions.", env="CHUK_LIMIT_AUDIO", check=_at_least_one)
    image: int = setting(10, "Images.", env="CHUK_LIMIT_IMAGE", check=_at_least_one)
    file: int = setting(30, "File conversions.", env="CHUK_LIMIT_FILE", check=_at_least_one)
    speech: int = setting(30, "Speech.", env="CHUK_LIMIT_SPEECH", check=_at_least_one)
    other: int = setting(120, "Everything else.", env="CHUK_LIMIT_OTHER", check=_at_least_one)
    address: int = setting(
        60,
        "Unauthenticated requests and failed authentication.",
        env="CHUK_LIMIT_ADDRESS",
        check=_at_least_one,
    )


@dataclass(frozen=True)
class Prices:
    """From upstream's dollars to the user's euros."""

    usd_to_eur: Decimal = setting(
        Decimal("0.92"), "Euros for one dollar.", env="CHUK_USD_TO_EUR", check=_positive
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

    name: str = setting("pro", "What clients are told as the current plan.", check=_not_empty)
    price: Decimal = setting(
        Decimal("20"), "A month; for showing: Stripe's price is what is paid.", check=_positive
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
        check=_positive,
    )
    reconcile_interval: float = setting(15.0, "Between looks for orphaned holds.", check=_positive)
    reconcile_attempts: int = setting(
        10,
        "Questions to upstream about one hold, before its delivered part is settled.",
        check=_at_least_one,
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
    timeout: float = setting(10.0, "For one call; seconds.", check=_positive)
    promotion_codes: bool = setting(False, "Whether the checkout takes promotion codes.")
    automatic_tax: bool = setting(False, "Whether Stripe works out the tax.")
    reconcile_interval: float = setting(
        3600.0, "Seconds between comparisons of every subscription with Stripe's.", check=_positive
    )


@dataclass(frozen=True)
class Deletion:
    """How accounts are erased. Times are seconds."""

    interval: float = setting(5.0, "Between looks for deletions that are due.", check=_positive)
    first_retry: float = setting(5.0, "Before a failed step is tried again.", check=_positive)
    longest_retry: float = setting(3600.0, "The waits double up to this.", check=_positive)
    lease: float = setting(
        60.0,
        "A deletion whose process died is taken over after this; no attempt lasts longer.",
        check=_positive,
    )


@dataclass(frozen=True)
class Chat:
    """The life of a turn and of a WebSocket. Times are seconds."""

    ping_interval: float = setting(15.0, "Between comment pings on SSE.", check=_positive)
    silence_interval: float = setting(
        20.0, "Upstream's silence after which a meta event goes out.", check=_positive
    )
    stall_timeout: float = setting(
        30.0, "A client that reads nothing for this long is cut.", check=_positive
    )
    socket_ping_interval: float = setting(30.0, "Between WebSocket pings.", check=_positive)
    socket_idle_timeout: float = setting(
        600.0, "A WebSocket with nothing going on is closed after this.", check=_positive
    )
    turns_per_socket: int = setting(4, "Turns at once on one WebSocket.", check=_at_least_one)
    message_max_bytes: int = setting(
        28_000_000, "Largest chat message, images included.", check=_at_least_one
    )
    image_max_count: int = setting(10, "Images in one message.", check=_at_least_one)
    image_max_bytes: int = setting(
        20_000_000, "Images of one message together.", check=_at_least_one
    )


@dataclass(frozen=True)
class Upstream:
    """Where answers come from. Times are seconds."""

    openrouter_api_key: str = setting(
        "", "Set: models come from OpenRouter.", env="OPENROUTER_API_KEY", secret=True
    )
    openrouter_base_url: str = setting(
        "https://openrouter.ai/api/v1",
        "Base URL of its API.",
        env="OPENROUTER_BASE_URL",
        check=is_url,
    )
    blocked_providers: tuple[str, ...] = setting(
        ("chutes", "alibaba", "friendli", "wandb", "crusoe", "ncompass"),
        "Providers that are never listed and never used.",
        env="CHUK_BLOCKED_PROVIDERS",
    )
    models_file: Path = setting(
        Path("config/models.toml"), "Which models are offered, and under which names."
    )
    catalog_refresh: float = setting(600.0, "Between refreshes of the model list.", check=_positive)
    connect_timeout: float = setting(10.0, "To connect.", check=_positive)
    first_byte_timeout: float = setting(120.0, "To the first byte of an answer.", check=_positive)
    read_timeout: float = setting(60.0, "Between two reads of an answer.", check=_positive)
    connections: int = setting(10_000, "Connections to upstream at once.", check=_at_least_one)


@dataclass(frozen=True)
class LocalModel:
    """The model that answers without OpenRouter's key."""

    path: str = setting(
        "", "Another GGUF file instead of the embedded model.", env="LOCAL_MODEL_PATH"
    )
    url: str = setting(
        "",
        "Base URL of an OpenAI-compatible server of one's own (llama.cpp, vLLM, Ollama), "
        "ending before /chat/completions.",
        env="LOCAL_MODEL_URL",
        check=is_url_or_empty,
    )
    api_key: str = setting(
        "", "Bearer key for that server.", env="LOCAL_MODEL_API_KEY", secret=True
    )
    name: str = setting("", "The model's name at that server.", env="LOCAL_MODEL_NAME")
    context_length: int = setting(
        8192, "Tokens of context for each conversation.", check=validate.Range(min=256)
    )
    threads: int = setting(
        0, "Threads of the embedded model; 0: one per core.", check=validate.Range(min=0)
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
    timeout: float = setting(10.0, "For one call of the database; seconds.", check=_positive)


@dataclass(frozen=True)
class Media:
    """Files, audio, images and speech: limits and prices. Times are seconds, sizes bytes.

    Embedded parts charge nothing; these prices are for the services.
    """

    file_max_bytes: int = setting(10_000_000, "Largest file to convert.", check=_at_least_one)
    audio_max_bytes: int = setting(25_000_000, "Largest recording.", check=_at_least_one)
    audio_max_seconds: int = setting(1_500, "Longest recording.", check=_at_least_one)
    workers: int = setting(2, "Conversions and other heavy work at once.", check=_at_least_one)
    queue: int = setting(64, "Jobs that may wait; a further one is refused.", check=_at_least_one)
    upload_timeout: float = setting(120.0, "For a file or a recording to arrive.", check=_positive)
    convert_timeout: float = setting(60.0, "For one conversion.", check=_positive)
    transcribe_timeout: float = setting(55.0, "For one transcription.", check=_positive)
    image_timeout: float = setting(120.0, "For one image.", check=_positive)
    image_keep: float = setting(
        86_400.0, "How long an image is kept; an hour at least.", check=validate.Range(min=3_600)
    )
    speech_enabled: bool = setting(True, "Whether texts are spoken.")
    speech_timeout: float = setting(
        30.0, "To the first sound of a text, and between two.", check=_positive
    )
    conversion_price: Decimal = setting(
        Decimal("0"), "Euros for one file.", check=validate.Range(min=0)
    )
    transcription_price: Decimal = setting(
        Decimal("0.0000103"), "Euros for a started second.", check=validate.Range(min=0)
    )
    speech_price: Decimal = setting(
        Decimal("0.0000046"), "Euros for a character.", check=validate.Range(min=0)
    )
    image_price: Decimal = setting(
        Decimal("0.05"),
        "Euros for 2^20 pixels; an image's price is rounded up to the cent.",
        check=validate.Range(min=0),
    )


@dataclass(frozen=True)
class Groq:
    """Speech recognition. Without the key: the embedded recogniser."""

    api_key: str = setting("", "Set: Groq transcribes.", env="GROQ_API_KEY", secret=True)
    base_url: str = setting(
        "https://api.groq.com", "Base URL of its API.", env="GROQ_BASE_URL", check=is_url
    )
    model: str = setting("whisper-large-v3-turbo", "The model that listens.", check=_not_empty)


@dataclass(frozen=True)
class Fal:
    """Image generation. Without the key: the embedded renderer."""

    key: str = setting("", "Set: fal draws.", env="FAL_KEY", secret=True)
    queue_url: str = setting(
        "https://queue.fal.run", "Base URL of its queue.", env="FAL_QUEUE_URL", check=is_url
    )
    model: str = setting("fal-ai/z-image/turbo", "The model that draws.", check=_not_empty)


@dataclass(frozen=True)
class Inworld:
    """Speech. Without the key: the embedded voice."""

    api_key: str = setting("", "Set: Inworld speaks.", env="INWORLD_API_KEY", secret=True)
    base_url: str = setting(
        "https://api.inworld.ai", "Base URL of its API.", env="INWORLD_BASE_URL", check=is_url
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
    supabase: Supabase = Supabase()
    media: Media = Media()
    groq: Groq = Groq()
    fal: Fal = Fal()
    inworld: Inworld = Inworld()
