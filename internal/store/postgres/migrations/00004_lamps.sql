-- +goose Up
-- How a number is found by what others call it: phone (user@host as it registers, profile is its Sofia profile) or mailbox (the name
-- of its mailbox, where that is not the number).
CREATE TABLE number_names (
    kind    TEXT COLLATE "C" NOT NULL CHECK (kind IN ('phone', 'mailbox')),
    name    TEXT COLLATE "C" NOT NULL,
    number  TEXT COLLATE "C" NOT NULL REFERENCES numbers (key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    profile TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, name, number)
);
CREATE INDEX number_names_number ON number_names (number);

-- Messages of a number at a system.
CREATE TABLE waiting (
    number         TEXT COLLATE "C" NOT NULL REFERENCES numbers (key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    system         TEXT COLLATE "C" NOT NULL,
    unheard        BIGINT NOT NULL,
    heard          BIGINT NOT NULL,
    urgent_unheard BIGINT NOT NULL,
    urgent_heard   BIGINT NOT NULL,
    at             BIGINT NOT NULL,
    PRIMARY KEY (number, system)
);

-- When what a phone's lamp shows changed last.
CREATE TABLE lamps (
    phone   TEXT COLLATE "C" PRIMARY KEY,
    profile TEXT COLLATE "C" NOT NULL,
    changed BIGINT NOT NULL
);
CREATE INDEX lamps_changed ON lamps (changed);

CREATE TABLE spool (
    id      TEXT COLLATE "C" PRIMARY KEY,
    node    TEXT COLLATE "C" NOT NULL,
    next    BIGINT NOT NULL,
    owner   TEXT COLLATE "C" NOT NULL,
    claimed BIGINT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX spool_next ON spool (node, next);

INSERT INTO number_names (kind, name, number, profile)
    SELECT 'phone', (d ->> 'user') || '@' || lower(d ->> 'host'), n.key, min(coalesce(d ->> 'profile', 'internal'))
    FROM numbers n, jsonb_array_elements(CASE jsonb_typeof(n.entry -> 'devices') WHEN 'array' THEN n.entry -> 'devices' ELSE '[]' END) d
    WHERE coalesce(d ->> 'kind', 'registered') = 'registered' GROUP BY 2, 3;
INSERT INTO number_names (kind, name, number, profile)
    SELECT 'mailbox', n.entry -> 'voicemail' ->> 'mailbox', n.key, '' FROM numbers n WHERE coalesce(n.entry -> 'voicemail' ->> 'mailbox', '') <> '';

-- +goose Down
DROP TABLE spool;
DROP TABLE lamps;
DROP TABLE waiting;
DROP TABLE number_names;
