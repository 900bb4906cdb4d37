-- +goose Up
-- The tokens of the API, provisioning requests, and mailboxes at voicemail systems that are told of theirs. Times are nanoseconds
-- since 1970 in UTC, 0 = none; lists are JSON, hashes SHA-256 in hex.
CREATE TABLE tokens (
    id      TEXT COLLATE "C" PRIMARY KEY,
    tenant  TEXT COLLATE "C" NOT NULL,
    name    TEXT NOT NULL,
    hash    TEXT NOT NULL,
    scopes  TEXT NOT NULL,
    numbers TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    revoked BIGINT NOT NULL,
    used    BIGINT NOT NULL
);
CREATE INDEX tokens_tenant ON tokens (tenant, id);

CREATE TABLE requests (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    account    TEXT COLLATE "C" NOT NULL,
    hash       TEXT NOT NULL,
    body       TEXT NOT NULL,
    progress   TEXT NOT NULL,
    unfinished BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    created    BIGINT NOT NULL,
    updated    BIGINT NOT NULL,
    due        BIGINT NOT NULL,
    owner      TEXT NOT NULL,
    leased     BIGINT NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX requests_account ON requests (tenant, account, seq);
CREATE INDEX requests_newest ON requests (tenant, seq);
CREATE INDEX requests_due ON requests (due) WHERE due > 0;
CREATE INDEX requests_old ON requests (updated) WHERE unfinished = 0;

CREATE TABLE mailboxes (
    fqdn         TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    tenant       TEXT COLLATE "C" NOT NULL,
    account      TEXT COLLATE "C" NOT NULL,
    number       TEXT COLLATE "C" NOT NULL,
    class        TEXT NOT NULL,
    state        TEXT NOT NULL,
    retain_until BIGINT NOT NULL,
    due          BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    updated      BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (fqdn, id)
);
CREATE INDEX mailboxes_account ON mailboxes (tenant, account, fqdn, id);
CREATE INDEX mailboxes_due ON mailboxes (due) WHERE due > 0;

-- +goose Down
DROP TABLE mailboxes;
DROP TABLE requests;
DROP TABLE tokens;
