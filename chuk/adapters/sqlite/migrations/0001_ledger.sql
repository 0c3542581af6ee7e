-- The books. Money is integer micro-euros, time integer microseconds since 1970 (UTC), user ids
-- are the 16 bytes of the UUID, US dollars are decimals as text.

CREATE TABLE purses (
    user_id BLOB PRIMARY KEY,
    available INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    allocated INTEGER NOT NULL DEFAULT 0,
    period INTEGER,
    -- Counts lapses and renewals: a grant of an older epoch has lapsed.
    epoch INTEGER NOT NULL DEFAULT 0,
    free_total INTEGER NOT NULL,
    free_used INTEGER NOT NULL DEFAULT 0,
    daily_cap INTEGER,
    monthly_cap INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_entries (
    id INTEGER PRIMARY KEY,
    user_id BLOB NOT NULL,
    kind TEXT NOT NULL
        CHECK (kind IN ('grant', 'hold', 'settle', 'release', 'lapse', 'adjust')),
    reference TEXT NOT NULL UNIQUE,
    -- The hold's id, or the reference of the grant that is taken back or lapses alone.
    about TEXT,
    available_change INTEGER NOT NULL DEFAULT 0,
    held_change INTEGER NOT NULL DEFAULT 0,
    free_used_change INTEGER NOT NULL DEFAULT 0,
    -- Of a grant: its period, and the purse's epoch it belongs to (-1: it came too late).
    period INTEGER,
    epoch INTEGER,
    -- Of a take-back: how much was asked for.
    asked INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- The entries of holds are many, and found by the ids in their user's usage rows instead.
CREATE INDEX grants_by_user ON ledger_entries (user_id)
    WHERE kind IN ('grant', 'lapse', 'adjust');
CREATE INDEX take_backs_by_grant ON ledger_entries (about) WHERE kind = 'adjust';

-- The one way a balance moves.
CREATE TRIGGER an_entry_moves_the_balance AFTER INSERT ON ledger_entries BEGIN
    UPDATE purses SET
        available = available + NEW.available_change,
        held = held + NEW.held_change,
        free_used = free_used + NEW.free_used_change
    WHERE user_id = NEW.user_id;
    SELECT RAISE(ABORT, 'an entry without a purse') WHERE changes() = 0;
END;

CREATE TRIGGER entries_never_change BEFORE UPDATE ON ledger_entries BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER entries_stay BEFORE DELETE ON ledger_entries BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

-- A resolved hold lives on in its entries and its usage row.
CREATE TABLE open_holds (
    id TEXT PRIMARY KEY,
    user_id BLOB NOT NULL,
    amount INTEGER NOT NULL,
    is_free_message INTEGER NOT NULL,
    -- Whether what it gives back lapses at once: the credits it was taken from have lapsed.
    lapses INTEGER NOT NULL DEFAULT 0,
    operation TEXT NOT NULL,
    model_id TEXT NOT NULL,
    provider_slug TEXT NOT NULL,
    owner TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    opened_at INTEGER NOT NULL,
    generation_id TEXT,
    prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    cost INTEGER NOT NULL DEFAULT 0,
    cost_usd TEXT NOT NULL DEFAULT '0'
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_logs (
    -- The hold's id. Unique because the entry that resolves the hold is.
    id TEXT NOT NULL,
    user_id BLOB NOT NULL,
    operation TEXT NOT NULL,
    model_id TEXT NOT NULL,
    provider_slug TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    total_tokens INTEGER NOT NULL,
    total_cost_usd TEXT NOT NULL,
    held INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    is_free_message INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    basis TEXT NOT NULL,
    is_zdr INTEGER NOT NULL,
    generation_id TEXT,
    -- A flat JSON object; NULL for none.
    tags TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, created_at, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_logs_unknown ON usage_logs (created_at) WHERE basis = 'unknown';
