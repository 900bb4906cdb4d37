-- +goose Up
CREATE TABLE revision (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
);
INSERT INTO revision (id, revision) VALUES (1, 0);

CREATE TABLE accounts (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE voicemail_systems (
    fqdn       TEXT PRIMARY KEY,
    transport  TEXT NOT NULL CHECK (transport IN ('udp', 'tcp')),
    profile    TEXT NOT NULL,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE pilots (
    number     TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

-- The only place where a pilot meets the name of a system.
CREATE TABLE pilot_systems (
    pilot    TEXT NOT NULL REFERENCES pilots (number) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    position INTEGER NOT NULL,
    fqdn     TEXT NOT NULL REFERENCES voicemail_systems (fqdn) DEFERRABLE INITIALLY DEFERRED,
    priority INTEGER NOT NULL,
    PRIMARY KEY (pilot, position),
    UNIQUE (pilot, fqdn)
) WITHOUT ROWID;
CREATE INDEX pilot_systems_fqdn ON pilot_systems (fqdn);

CREATE TABLE numbers (
    number          TEXT PRIMARY KEY,
    account         TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    no_answer_ms    INTEGER NOT NULL,
    pilot           TEXT REFERENCES pilots (number) DEFERRABLE INITIALLY DEFERRED,
    conditions      TEXT NOT NULL DEFAULT '',
    version         INTEGER NOT NULL,
    updated_at      TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX numbers_account ON numbers (account);
CREATE INDEX numbers_pilot ON numbers (pilot);

CREATE TABLE devices (
    number    TEXT NOT NULL REFERENCES numbers (number) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    position  INTEGER NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('registered', 'uri')),
    profile   TEXT NOT NULL,
    user      TEXT NOT NULL,
    host      TEXT NOT NULL,
    port      INTEGER NOT NULL,
    transport TEXT NOT NULL,
    PRIMARY KEY (number, position)
) WITHOUT ROWID;

-- Times are nanoseconds since 1970 in UTC; record is the whole of it in JSON.
CREATE TABLE call_records (
    id      TEXT PRIMARY KEY,
    owner   TEXT NOT NULL,
    uuid    TEXT NOT NULL,
    node    TEXT NOT NULL,
    number  TEXT NOT NULL,
    started INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    ended   INTEGER,
    result  TEXT NOT NULL,
    record  TEXT NOT NULL
);
CREATE INDEX call_records_started ON call_records (started);
CREATE INDEX call_records_open ON call_records (node, started) WHERE ended IS NULL;
CREATE INDEX call_records_ended ON call_records (ended) WHERE ended IS NOT NULL;
CREATE INDEX call_records_uuid ON call_records (uuid);
CREATE INDEX call_records_number ON call_records (number, started);

-- +goose Down
DROP TABLE call_records;
DROP TABLE devices;
DROP TABLE numbers;
DROP TABLE pilot_systems;
DROP TABLE pilots;
DROP TABLE voicemail_systems;
DROP TABLE accounts;
DROP TABLE revision;
