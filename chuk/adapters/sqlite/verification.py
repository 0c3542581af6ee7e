"""Proves every balance, open hold and usage row from the entries."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from uuid import UUID

from chuk.credits.ledger import Difference

_BALANCES = """
WITH entered AS (
    SELECT user_id, sum(available_change) AS available, sum(held_change) AS held,
        sum(free_used_change) AS free_used
    FROM ledger_entries GROUP BY user_id
), granted AS (
    SELECT user_id, epoch, sum(available_change) AS amount
    FROM ledger_entries WHERE kind = 'grant' GROUP BY user_id, epoch
)
SELECT purses.user_id, purses.available, coalesce(entered.available, 0),
    purses.held, coalesce(entered.held, 0), purses.free_used, coalesce(entered.free_used, 0),
    purses.allocated, coalesce(granted.amount, 0)
FROM purses LEFT JOIN entered USING (user_id) LEFT JOIN granted USING (user_id, epoch)
UNION ALL
SELECT user_id, 0, available, 0, held, 0, free_used, 0, 0
FROM entered WHERE user_id NOT IN (SELECT user_id FROM purses)
"""

# A hold that is not there is written as -1.
_HOLDS = """
WITH unresolved AS (
    SELECT user_id, about AS id, held_change AS amount, free_used_change AS is_free_message
    FROM ledger_entries
    WHERE kind = 'hold' AND NOT EXISTS (
        SELECT 1 FROM ledger_entries AS ends
        WHERE ends.reference IN ('settle:' || ledger_entries.about,
            'release:' || ledger_entries.about)
    )
)
SELECT unresolved.user_id, id, coalesce(open_holds.amount, -1), unresolved.amount
FROM unresolved LEFT JOIN open_holds USING (id)
WHERE (open_holds.user_id, open_holds.amount, open_holds.is_free_message)
    IS NOT (unresolved.user_id, unresolved.amount, unresolved.is_free_message)
UNION ALL
SELECT user_id, id, amount, -1 FROM open_holds WHERE id NOT IN (SELECT id FROM unresolved)
"""

_USAGE = """
WITH ends AS (
    SELECT user_id, about AS id, -held_change AS held, -held_change - available_change AS charged
    FROM ledger_entries WHERE kind IN ('settle', 'release')
), wrong AS (
    SELECT user_id FROM (
        SELECT user_id, id, held, charged FROM ends
        EXCEPT SELECT user_id, id, held, charged FROM usage_logs
    )
    UNION SELECT user_id FROM (
        SELECT user_id, id, held, charged FROM usage_logs
        EXCEPT SELECT user_id, id, held, charged FROM ends
    )
    UNION SELECT user_id FROM usage_logs GROUP BY user_id, id HAVING count(*) > 1
)
SELECT user_id,
    (SELECT coalesce(sum(charged), 0) FROM usage_logs WHERE user_id = wrong.user_id),
    (SELECT coalesce(sum(charged), 0) FROM ends WHERE user_id = wrong.user_id)
FROM wrong
"""


def verify(connection: sqlite3.Connection) -> Sequence[Difference]:
    """`LedgerStore.verify`."""
    differences: list[Difference] = []
    for user_id, *figures in connection.execute(_BALANCES):
        for what, recorded, computed in zip(
            ("available", "held", "free_used", "allocated"),
            figures[::2],
            figures[1::2],
            strict=True,
        ):
            if recorded != computed:
                differences.append(Difference(UUID(bytes=user_id), what, recorded, computed))
    for user_id, hold_id, recorded, computed in connection.execute(_HOLDS):
        differences.append(Difference(UUID(bytes=user_id), f"hold:{hold_id}", recorded, computed))
    for user_id, recorded, computed in connection.execute(_USAGE):
        differences.append(Difference(UUID(bytes=user_id), "usage", recorded, computed))
    return differences
