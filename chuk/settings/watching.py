"""Settings of what is told of the server to those who watch it."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import validate

from chuk.settings.declaration import setting
from chuk.settings.values import is_url_or_empty


@dataclass(frozen=True)
class Metrics:
    """Numbers for Prometheus, at `/metrics` on a port of their own.

    It is for this machine, or for a network of one's own: it asks nobody who they are.
    """

    host: str = setting(
        "127.0.0.1",
        "Address to listen on.",
        env="CHUK_METRICS_HOST",
        check=validate.Length(min=1),
    )
    port: int = setting(
        0,
        "Port to listen on, by custom 9464; 0: nothing is told.",
        env="CHUK_METRICS_PORT",
        check=validate.Range(min=0, max=65535),
    )


@dataclass(frozen=True)
class Telemetry:
    """Traces and reports of failures, for a service outside. Nothing that anybody wrote is in them.

    Both need the extra `telemetry`, and are off until an address is set.
    """

    traces_url: str = setting(
        "",
        "Where traces go by OTLP over HTTP, as in http://127.0.0.1:4318/v1/traces.",
        env="CHUK_TRACES_URL",
        check=is_url_or_empty,
    )
    traces_authorization: str = setting(
        "",
        "What the Authorization header says there, as in Bearer key.",
        env="CHUK_TRACES_AUTHORIZATION",
        secret=True,
    )
    traces_share: float = setting(
        1.0,
        "Share of requests that are traced.",
        env="CHUK_TRACES_SHARE",
        check=validate.Range(min=0, max=1),
    )
    sentry_dsn: str = setting(
        "", "Where failures are reported.", env="SENTRY_DSN", check=is_url_or_empty, secret=True
    )
    environment: str = setting(
        "production",
        "What both are told that this server is.",
        env="CHUK_ENVIRONMENT",
        check=validate.Length(min=1, max=64),
    )
