"""Words that the tests of the Supabase stores share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from chuk.adapters.supabase.books import SupabaseBooks, open_supabase_books
from chuk.credits.ledger import Basis, HoldRequest, Operation, Outcome, UsageRecord
from chuk.credits.money import MicroEuro
from tests.fakes.supabase_project import FakeSupabaseProject

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
ADA = UUID("aaaaaaaa-0000-4000-8000-000000000001")
BOB = UUID("bbbbbbbb-0000-4000-8000-000000000002")


def books_of(project: FakeSupabaseProject, *, timeout: float = 20.0) -> SupabaseBooks:
    """The books in a project; the time stands still, and an account has three free messages."""
    return open_supabase_books(
        url=project.url,
        service_role_key=project.service_role_key,
        timeout=timeout,
        free_messages=3,
        clock=lambda: NOW,
    )


def hold_request(
    hold_id: str, at_most: int, at_least: int = 1, *, user: UUID = ADA, free: bool = False
) -> HoldRequest:
    """A chat turn that may cost so much."""
    return HoldRequest(
        id=hold_id,
        user_id=user,
        operation=Operation.CHAT,
        model_id="qwen/qwen3-32b",
        provider_slug="groq",
        at_most=MicroEuro(at_most),
        at_least=MicroEuro(at_least),
        allows_free_message=free,
        owner="a process",
        lease_until=NOW + timedelta(minutes=1),
    )


def usage(*, outcome: Outcome = Outcome.COMPLETED, basis: Basis = Basis.UPSTREAM) -> UsageRecord:
    """What a turn took."""
    return UsageRecord(
        model_id="qwen/qwen3-32b",
        provider_slug="groq",
        prompt_tokens=45,
        completion_tokens=128,
        total_tokens=173,
        cost_usd=Decimal("0.00042"),
        outcome=outcome,
        basis=basis,
        is_zdr=True,
        generation_id="gen-1",
        tags={"page": "chat"},
    )
