/**
 * Schema 1. Migrations only go forward and never change once released: the store compares their text.
 * Times are Unix milliseconds; secrets are SHA-256.
 */

export const first = `
CREATE TABLE device (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  platform TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('enrolled', 'stock')),
  enabled INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  path TEXT,
  granted TEXT,
  quota_bytes INTEGER NOT NULL DEFAULT 0,
  rate_bps INTEGER NOT NULL DEFAULT 0,
  bearer_hash BLOB UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE device_key (
  public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
  device_id TEXT NOT NULL REFERENCES device (id) ON DELETE CASCADE,
  former_until INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX device_key_current ON device_key (device_id) WHERE former_until IS NULL;
CREATE INDEX device_key_device ON device_key (device_id);

CREATE TABLE address (
  address TEXT PRIMARY KEY,
  device_id TEXT REFERENCES device (id) ON DELETE SET NULL,
  position INTEGER NOT NULL,
  free_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX address_device ON address (device_id, position);

CREATE TABLE usage (
  device_id TEXT PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
  boot TEXT NOT NULL,
  boot_rx INTEGER NOT NULL,
  boot_tx INTEGER NOT NULL,
  past_rx INTEGER NOT NULL DEFAULT 0,
  past_tx INTEGER NOT NULL DEFAULT 0,
  last_seen_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE invite (
  id TEXT PRIMARY KEY,
  token_hash BLOB NOT NULL UNIQUE,
  name TEXT,
  path TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  uses_left INTEGER NOT NULL CHECK (uses_left >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE invite_use (
  invite_id TEXT NOT NULL REFERENCES invite (id) ON DELETE CASCADE,
  public_key BLOB NOT NULL,
  device_id TEXT REFERENCES device (id) ON DELETE SET NULL,
  PRIMARY KEY (invite_id, public_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX invite_use_device ON invite_use (device_id);

CREATE TABLE admin_key (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  role TEXT NOT NULL CHECK (role IN ('auditor', 'operator', 'owner')),
  key_hash BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);

CREATE TABLE revision (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  revision INTEGER NOT NULL,
  oldest INTEGER NOT NULL
) STRICT;
INSERT INTO revision (one, revision, oldest) VALUES (1, 0, 0);

CREATE TABLE change (
  revision INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL
) STRICT;
`;
