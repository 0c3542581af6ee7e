-- Accounts under deletion, and what stays of those that are erased.

CREATE TABLE deletions (
    id TEXT PRIMARY KEY,
    user_id BLOB NOT NULL UNIQUE,
    attempts INTEGER NOT NULL DEFAULT 0,
    requested_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE deletion_steps (
    deletion_id TEXT NOT NULL REFERENCES deletions (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (deletion_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE erased_accounts (
    -- SHA-256 of the salt and the user id.
    user_hash BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE erasure_salt (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    salt BLOB NOT NULL
) STRICT;

-- Usage of erased accounts, for the books; of no one in particular.
CREATE TABLE usage_sums (
    month TEXT NOT NULL,
    operation TEXT NOT NULL,
    model_id TEXT NOT NULL,
    requests INTEGER NOT NULL,
    total_tokens INTEGER NOT NULL,
    total_cost_usd TEXT NOT NULL,
    charged INTEGER NOT NULL,
    PRIMARY KEY (month, operation, model_id)
) STRICT, WITHOUT ROWID;

-- Entries go with their account, and in no other way.
DROP TRIGGER entries_stay;
CREATE TRIGGER entries_stay BEFORE DELETE ON ledger_entries
WHEN NOT EXISTS (SELECT 1 FROM deletions WHERE user_id = OLD.user_id) BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;
