"""Holds, their ends, what Stripe says, and deletions."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from chuk.accounts.deletion import Deletions
from chuk.billing.inbox import Inbox
from chuk.clock import utc_now
from chuk.credits.reconcile import Reconciler
from chuk.credits.service import Credits
from chuk.metrics.families import counter, gauge, word_counter


def holds(credit_service: Credits) -> Iterator[Metric]:
    """What is set aside, and what the books have yet to be told."""
    facts = credit_service.facts
    yield gauge("chuk_holds_open", "Holds of this process that are not ended.", facts.open)
    yield gauge(
        "chuk_oldest_hold_age_seconds",
        "Of the oldest of them; 0: there is none.",
        facts.oldest_open,
    )
    yield counter(
        "chuk_unsettled", "Ends that could not be written at once.", credit_service.unsettled
    )
    yield gauge(
        "chuk_settlements_waiting",
        "Ends that are known, but that the books have not taken yet.",
        facts.waiting,
    )
    yield gauge(
        "chuk_oldest_settlement_age_seconds",
        "How long the oldest of them has waited; 0: there is none.",
        facts.oldest_waiting,
    )


def orphans(reconciler: Reconciler) -> Iterator[Metric]:
    """Holds of processes that died, as the leader sees them."""
    total = reconciler.total
    yield word_counter(
        "chuk_orphans",
        "Holds of dead processes, by what a look has done with them.",
        ("result",),
        [
            (("settled",), total.settled),
            (("released",), total.released),
            (("deferred",), total.deferred),
            (("failed",), total.failed),
        ],
    )
    now = utc_now()
    oldest = min(reconciler.left.values(), default=now)
    yield gauge("chuk_orphans_left", "Those that are not ended yet.", len(reconciler.left))
    yield gauge(
        "chuk_oldest_orphan_age_seconds",
        "Of the oldest of them; 0: there is none.",
        (now - oldest).total_seconds(),
    )
    failed = reconciler.failed_looks
    yield word_counter(
        "chuk_reconcile_looks",
        "Looks for orphans.",
        ("result",),
        [(("ok",), reconciler.looks - failed), (("failed",), failed)],
    )


def webhooks(inbox: Inbox) -> Iterator[Metric]:
    """What Stripe says."""
    now = utc_now()
    yield counter("chuk_webhooks_received", "Events that came here.", inbox.received)
    yield counter("chuk_webhook_failures", "Events that could not be applied.", inbox.failed)
    last = inbox.last_received
    yield gauge(
        "chuk_webhook_last_received_timestamp_seconds",
        "When the latest event came here; nothing before the first.",
        None if last is None else last.timestamp(),
    )
    oldest = inbox.oldest_pending or now
    yield gauge(
        "chuk_webhooks_pending", "Events not applied, by the leader's latest look.", inbox.pending
    )
    yield gauge(
        "chuk_oldest_webhook_age_seconds",
        "Since Stripe made the oldest of them; 0: there is none.",
        (now - oldest).total_seconds(),
    )


def deletions(erasing: Deletions) -> Iterator[Metric]:
    """The erasing of accounts."""
    yield word_counter(
        "chuk_deletion_failures",
        "Attempts at a step of a deletion that failed.",
        ("step",),
        [((step,), count) for step, count in sorted(erasing.failures.items())],
    )
