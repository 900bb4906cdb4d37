-- +goose Up
-- How a number is found by what others call it: phone (user@host as it registers, profile is its Sofia profile) or mailbox (the name
-- of its mailbox, where that is not the number).
CREATE TABLE number_names (
    kind    TEXT NOT NULL CHECK (kind IN ('phone', 'mailbox')),
    name    TEXT NOT NULL,
    number  TEXT NOT NULL REFERENCES numbers (key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    profile TEXT NOT NULL,
    PRIMARY KEY (kind, name, number)
) WITHOUT ROWID;
CREATE INDEX number_names_number ON number_names (number);

-- Messages of a number at a system.
CREATE TABLE waiting (
    number         TEXT NOT NULL REFERENCES numbers (key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    system         TEXT NOT NULL,
    unheard        INTEGER NOT NULL,
    heard          INTEGER NOT NULL,
    urgent_unheard INTEGER NOT NULL,
    urgent_heard   INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    PRIMARY KEY (number, system)
) WITHOUT ROWID;

-- When what a phone's lamp shows changed last.
CREATE TABLE lamps (
    phone   TEXT PRIMARY KEY,
    profile TEXT NOT NULL,
    changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX lamps_changed ON lamps (changed);

CREATE TABLE spool (
    id      TEXT PRIMARY KEY,
    node    TEXT NOT NULL,
    next    INTEGER NOT NULL,
    owner   TEXT NOT NULL,
    claimed INTEGER NOT NULL,
    message TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX spool_next ON spool (node, next);

INSERT INTO number_names (kind, name, number, profile)
    SELECT 'phone', (d.value ->> 'user') || '@' || lower(d.value ->> 'host'), n.key, min(coalesce(d.value ->> 'profile', 'internal'))
    FROM numbers n, json_each(n.entry, '$.devices') d WHERE coalesce(d.value ->> 'kind', 'registered') = 'registered' GROUP BY 2, 3;
INSERT INTO number_names (kind, name, number, profile)
    SELECT 'mailbox', n.entry ->> '$.voicemail.mailbox', n.key, '' FROM numbers n WHERE coalesce(n.entry ->> '$.voicemail.mailbox', '') <> '';

-- +goose Down
DROP TABLE spool;
DROP TABLE lamps;
DROP TABLE waiting;
DROP TABLE number_names;
