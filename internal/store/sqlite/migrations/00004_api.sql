-- +goose Up
-- The tokens of the API, provisioning requests, and mailboxes at voicemail systems that are told of theirs. Times are nanoseconds
-- since 1970 in UTC, 0 = none; lists are JSON, hashes SHA-256 in hex.
CREATE TABLE tokens (
    id      TEXT PRIMARY KEY,
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    hash    TEXT NOT NULL,
    scopes  TEXT NOT NULL,
    numbers TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER NOT NULL,
    used    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tokens_tenant ON tokens (tenant, id);

CREATE TABLE requests (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    account    TEXT NOT NULL,
    hash       TEXT NOT NULL,
    body       TEXT NOT NULL,
    progress   TEXT NOT NULL,
    unfinished INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    due        INTEGER NOT NULL,
    owner      TEXT NOT NULL,
    leased     INTEGER NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX requests_account ON requests (tenant, account, seq);
CREATE INDEX requests_newest ON requests (tenant, seq);
CREATE INDEX requests_due ON requests (due) WHERE due > 0;
CREATE INDEX requests_old ON requests (updated) WHERE unfinished = 0;

CREATE TABLE mailboxes (
    fqdn         TEXT NOT NULL,
    id           TEXT NOT NULL,
    tenant       TEXT NOT NULL,
    account      TEXT NOT NULL,
    number       TEXT NOT NULL,
    class        TEXT NOT NULL,
    state        TEXT NOT NULL,
    retain_until INTEGER NOT NULL,
    due          INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    PRIMARY KEY (fqdn, id)
) WITHOUT ROWID;
CREATE INDEX mailboxes_account ON mailboxes (tenant, account, fqdn, id);
CREATE INDEX mailboxes_due ON mailboxes (due) WHERE due > 0;

-- +goose Down
DROP TABLE mailboxes;
DROP TABLE requests;
DROP TABLE tokens;
