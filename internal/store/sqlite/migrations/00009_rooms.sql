-- +goose Up
-- Conferences. Times are nanoseconds since 1970 in UTC; seen is milliseconds by the database's clock.
CREATE TABLE rooms (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    account    TEXT NOT NULL,
    node       TEXT NOT NULL,
    opened     INTEGER NOT NULL,
    closed     INTEGER NOT NULL DEFAULT 0,
    room       TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX rooms_open ON rooms (tenant, account) WHERE closed = 0;
CREATE INDEX rooms_opened ON rooms (tenant, account, opened, id);
CREATE INDEX rooms_closed ON rooms (closed);

CREATE TABLE room_participants (
    room        TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    id          TEXT NOT NULL,
    uuid        TEXT NOT NULL,
    entered     INTEGER NOT NULL,
    participant TEXT NOT NULL,
    PRIMARY KEY (room, id)
) WITHOUT ROWID;
CREATE INDEX room_participants_uuid ON room_participants (room, uuid);

CREATE TABLE room_bars (
    room   TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    number TEXT NOT NULL,
    PRIMARY KEY (room, number)
) WITHOUT ROWID;

-- Which sidecar speaks and decides in the rooms of a node.
CREATE TABLE room_keepers (
    node  TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    seen  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE room_access (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  TEXT NOT NULL,
    account TEXT NOT NULL,
    at      INTEGER NOT NULL,
    access  TEXT NOT NULL
);
CREATE INDEX room_access_account ON room_access (tenant, account, id);

CREATE TABLE room_pins (
    tenant  TEXT NOT NULL,
    account TEXT NOT NULL,
    caller  TEXT NOT NULL,
    wrong   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (tenant, account, caller)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE room_pins;
DROP TABLE room_access;
DROP TABLE room_keepers;
DROP TABLE room_bars;
DROP TABLE room_participants;
DROP TABLE rooms;
