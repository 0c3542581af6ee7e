"""The services that handlers reach through `request.config_dict`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from chuk.accounts.api_keys import ApiKeys
from chuk.accounts.deletion import Deletions
from chuk.api.health_check import HealthCheck
from chuk.billing.checkout import Checkout
from chuk.billing.inbox import Inbox
from chuk.billing.ports import EventReader
from chuk.billing.status import StatusDesk
from chuk.billing.subscriptions import Subscriptions
from chuk.catalog.service import Catalog
from chuk.chat.router import Router
from chuk.chat.streams import Streams
from chuk.chat.turn import Turns
from chuk.credits.ports import LedgerStore
from chuk.credits.quotes import Quotes
from chuk.credits.receipts import Receipts
from chuk.credits.service import Credits
from chuk.idempotency.service import Idempotency
from chuk.media.convert import Conversions
from chuk.media.draw import Drawing
from chuk.media.embed import EmbeddingService
from chuk.media.pictures import Pictures
from chuk.media.speak import Speech
from chuk.media.transcribe import Transcriptions

CATALOG = web.AppKey("catalog", Catalog)
ROUTER = web.AppKey("router", Router)
TURNS = web.AppKey("turns", Turns)
STREAMS = web.AppKey("streams", Streams)
IDEMPOTENCY = web.AppKey("idempotency", Idempotency)
HEALTH = web.AppKey("health", HealthCheck)
OPENAPI = web.AppKey("openapi", dict[str, Any])
STATUS = web.AppKey("status", StatusDesk)
DELETIONS = web.AppKey("deletions", Deletions)
LEDGER = web.AppKey("ledger", LedgerStore)
API_KEYS = web.AppKey("api_keys", ApiKeys)
CREDITS = web.AppKey("credits", Credits)
RECEIPTS = web.AppKey("receipts", Receipts)
QUOTES = web.AppKey("quotes", Quotes)
CHECKOUT = web.AppKey("checkout", Checkout)
SUBSCRIPTIONS = web.AppKey("subscriptions", Subscriptions)
INBOX = web.AppKey("inbox", Inbox)
CONVERSIONS = web.AppKey("conversions", Conversions)
SPEECH = web.AppKey("speech", Speech)
TRANSCRIPTIONS = web.AppKey("transcriptions", Transcriptions)
DRAWING = web.AppKey("drawing", Drawing)
PICTURES = web.AppKey("pictures", Pictures)
EVENT_READER: web.AppKey[EventReader] = web.AppKey("event_reader")
EMBEDDINGS: web.AppKey[EmbeddingService] = web.AppKey("embeddings")
