-- +goose Up
-- Messages to people, until they are sent and some time after. Times are nanoseconds since 1970 in UTC; body is JSON.
CREATE TABLE outbox (
    tenant  TEXT NOT NULL,
    id      TEXT NOT NULL,
    account TEXT NOT NULL,
    about   TEXT NOT NULL,
    address TEXT NOT NULL,
    state   TEXT NOT NULL,
    tries   INTEGER NOT NULL,
    due     INTEGER NOT NULL,
    owner   TEXT NOT NULL,
    leased  INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    note    TEXT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX outbox_account ON outbox (tenant, account, about, id);
CREATE INDEX outbox_due ON outbox (due) WHERE state = 'waiting';
CREATE INDEX outbox_updated ON outbox (updated) WHERE state <> 'waiting';

-- +goose Down
DROP TABLE outbox;
