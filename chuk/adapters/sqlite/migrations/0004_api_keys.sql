-- Personal API keys, and what is paid through them. They go with their owner's purse.

CREATE TABLE api_keys (
    -- The 16 bytes of a UUID, as everywhere below.
    id BLOB PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES purses (user_id) ON DELETE CASCADE,
    -- SHA-256 of the key, which itself is kept nowhere.
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    last_four TEXT NOT NULL,
    -- Words with spaces between them.
    scopes TEXT NOT NULL,
    monthly_budget INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_user ON api_keys (user_id);

ALTER TABLE open_holds ADD COLUMN api_key_id BLOB;
ALTER TABLE usage_logs ADD COLUMN api_key_id BLOB;

CREATE INDEX open_holds_by_api_key ON open_holds (api_key_id, amount)
    WHERE api_key_id IS NOT NULL;
CREATE INDEX usage_logs_by_api_key ON usage_logs (api_key_id, created_at, charged)
    WHERE api_key_id IS NOT NULL;
