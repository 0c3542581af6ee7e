"""Configuration: frozen, typed, validated once.

A value comes from the environment, else from a credential that the service manager hands over, else
from a `.env` file in the working directory, else from the configuration file (`config/chuk.toml`,
or the files that `CHUK_CONFIG` names, the last one first), else from the default that `sections`
declares. Nobody else reads the environment or those files.
"""

from chuk.settings.declaration import Setting
from chuk.settings.errors import SettingsError
from chuk.settings.loading import DEFAULT_FILE, describe, load
from chuk.settings.media import Fal, Groq, Inworld, Media
from chuk.settings.sections import (
    Chat,
    Credits,
    Deletion,
    Limits,
    Log,
    Plan,
    Prices,
    Redis,
    Server,
    Settings,
    Stripe,
    Supabase,
)
from chuk.settings.service_manager import ServiceManager, service_manager
from chuk.settings.upstream import LocalModel, Routing, Upstream
from chuk.settings.watching import Metrics, Telemetry

__all__ = [
    "DEFAULT_FILE",
    "Chat",
    "Credits",
    "Deletion",
    "Fal",
    "Groq",
    "Inworld",
    "Limits",
    "LocalModel",
    "Log",
    "Media",
    "Metrics",
    "Plan",
    "Prices",
    "Redis",
    "Routing",
    "Server",
    "ServiceManager",
    "Setting",
    "Settings",
    "SettingsError",
    "Stripe",
    "Supabase",
    "Telemetry",
    "Upstream",
    "describe",
    "load",
    "service_manager",
]
