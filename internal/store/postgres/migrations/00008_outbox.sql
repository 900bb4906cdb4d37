-- +goose Up
-- Messages to people, until they are sent and some time after. Times are nanoseconds since 1970 in UTC; body is JSON.
CREATE TABLE outbox (
    tenant  TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    about   TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    state   TEXT NOT NULL,
    tries   BIGINT NOT NULL,
    due     BIGINT NOT NULL,
    owner   TEXT NOT NULL,
    leased  BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
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
