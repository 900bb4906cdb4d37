-- +goose Up
-- Voicemail systems that are reached by TLS.
CREATE TABLE voicemail_systems_new (
    fqdn       TEXT PRIMARY KEY,
    transport  TEXT NOT NULL CHECK (transport IN ('udp', 'tcp', 'tls')),
    profile    TEXT NOT NULL,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO voicemail_systems_new SELECT fqdn, transport, profile, version, updated_at FROM voicemail_systems;
-- Nothing may refer to a table that is dropped.
CREATE TABLE pilot_systems_kept AS SELECT * FROM pilot_systems;
DELETE FROM pilot_systems;
DROP TABLE voicemail_systems;
ALTER TABLE voicemail_systems_new RENAME TO voicemail_systems;
INSERT INTO pilot_systems SELECT * FROM pilot_systems_kept;
DROP TABLE pilot_systems_kept;

-- +goose Down
-- A system that is reached by TLS cannot be kept; TCP is the nearest.
CREATE TABLE voicemail_systems_old (
    fqdn       TEXT PRIMARY KEY,
    transport  TEXT NOT NULL CHECK (transport IN ('udp', 'tcp')),
    profile    TEXT NOT NULL,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO voicemail_systems_old SELECT fqdn, CASE transport WHEN 'tls' THEN 'tcp' ELSE transport END, profile, version, updated_at FROM voicemail_systems;
-- Nothing may refer to a table that is dropped.
CREATE TABLE pilot_systems_kept AS SELECT * FROM pilot_systems;
DELETE FROM pilot_systems;
DROP TABLE voicemail_systems;
ALTER TABLE voicemail_systems_old RENAME TO voicemail_systems;
INSERT INTO pilot_systems SELECT * FROM pilot_systems_kept;
DROP TABLE pilot_systems_kept;
