-- Who is whom at Stripe, what was last known of it, and the inbox of its events.

CREATE TABLE customers (
    customer_id TEXT PRIMARY KEY,
    user_id BLOB NOT NULL,
    -- Deleted at Stripe. The row stays, so that an erasure knows which events were about this user.
    is_gone INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX customers_by_user ON customers (user_id) WHERE NOT is_gone;

CREATE TABLE subscriptions (
    user_id BLOB PRIMARY KEY,
    id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    status TEXT NOT NULL,
    current_period_start INTEGER,
    current_period_end INTEGER,
    cancel_at_period_end INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE stripe_events (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    customer_id TEXT,
    object_id TEXT,
    created_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    applied_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- The name of a type, never a message.
    error TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX stripe_events_pending ON stripe_events (received_at) WHERE applied_at IS NULL;
CREATE INDEX stripe_events_by_customer ON stripe_events (customer_id);
