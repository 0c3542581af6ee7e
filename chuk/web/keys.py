"""The typed names under which things hang on a request or on the application."""

from __future__ import annotations

from aiohttp import web

from chuk.accounts.bearers import Bearers
from chuk.accounts.locks import LockedAccounts
from chuk.accounts.principal import Principal
from chuk.errors import Unauthorized
from chuk.presence import Presence
from chuk.settings import Settings
from chuk.web.addresses import ClientAddresses
from chuk.web.connections import Connections
from chuk.web.limits import Decision, RateLimits
from chuk.web.open_sockets import OpenSockets

SETTINGS = web.AppKey("settings", Settings)
VERIFIER = web.AppKey("verifier", Bearers)
RATE_LIMITS = web.AppKey("rate_limits", RateLimits)
ADDRESSES = web.AppKey("addresses", ClientAddresses)
CONNECTIONS = web.AppKey("connections", Connections)
LOCKED_ACCOUNTS = web.AppKey("locked_accounts", LockedAccounts)
PRESENCE = web.AppKey("presence", Presence)
SOCKETS = web.AppKey("sockets", OpenSockets)

REQUEST_ID = web.RequestKey("request_id", str)
PRINCIPAL = web.RequestKey("principal", Principal)
AUTH_FAILURE = web.RequestKey("auth_failure", Unauthorized)
RATE_DECISION = web.RequestKey("rate_decision", Decision)
PREPARED = web.RequestKey("prepared", web.StreamResponse)
"""The response whose headers are already on the wire; errors after that go inside it."""
