-- +goose Up
-- Rows of every kind belong to tenants, and are kept whole in one column as JSON, beside the columns by which others refer to them.
DROP INDEX pilot_systems_fqdn;
DROP INDEX numbers_account;
DROP INDEX numbers_pilot;
ALTER TABLE accounts RENAME TO old_accounts;
ALTER TABLE voicemail_systems RENAME TO old_voicemail_systems;
ALTER TABLE pilots RENAME TO old_pilots;
ALTER TABLE pilot_systems RENAME TO old_pilot_systems;
ALTER TABLE numbers RENAME TO old_numbers;
ALTER TABLE devices RENAME TO old_devices;

-- No profile of a tenant has a version under least.
CREATE TABLE tenants (
    tenant TEXT PRIMARY KEY,
    least  INTEGER NOT NULL
) WITHOUT ROWID;

-- Times are nanoseconds since 1970 in UTC.
CREATE TABLE accounts (
    tenant        TEXT NOT NULL,
    key           TEXT NOT NULL,
    version       INTEGER NOT NULL,
    rules_version INTEGER NOT NULL DEFAULT 0,
    updated       INTEGER NOT NULL,
    entry         TEXT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;

CREATE TABLE voicemail_systems (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    entry   TEXT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;

CREATE TABLE pilots (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    entry   TEXT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;

-- The system may be the operator's, so fqdn is no foreign key. The pilot of a number may be as well.
CREATE TABLE pilot_systems (
    tenant TEXT NOT NULL,
    pilot  TEXT NOT NULL,
    fqdn   TEXT NOT NULL,
    PRIMARY KEY (tenant, pilot, fqdn),
    FOREIGN KEY (tenant, pilot) REFERENCES pilots (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX pilot_systems_fqdn ON pilot_systems (fqdn);

-- A number is one tenant's alone: a call comes without a tenant.
CREATE TABLE numbers (
    key     TEXT PRIMARY KEY,
    tenant  TEXT NOT NULL,
    account TEXT NOT NULL,
    pilot   TEXT,
    class   TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    entry   TEXT NOT NULL,
    FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, key) DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX numbers_tenant ON numbers (tenant, key);
CREATE INDEX numbers_account ON numbers (tenant, account, key);
CREATE INDEX numbers_pilot ON numbers (pilot, class, tenant) WHERE pilot IS NOT NULL;

CREATE TABLE contacts (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    account TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    entry   TEXT NOT NULL,
    PRIMARY KEY (tenant, key),
    FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX contacts_account ON contacts (tenant, account, key);

CREATE TABLE contact_numbers (
    tenant  TEXT NOT NULL,
    account TEXT NOT NULL,
    number  TEXT NOT NULL,
    contact TEXT NOT NULL,
    PRIMARY KEY (tenant, account, number, contact),
    FOREIGN KEY (tenant, contact) REFERENCES contacts (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX contact_numbers_contact ON contact_numbers (tenant, contact);

CREATE TABLE rules (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    account TEXT NOT NULL,
    number  TEXT REFERENCES numbers (key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    entry   TEXT NOT NULL,
    PRIMARY KEY (tenant, key),
    FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX rules_account ON rules (tenant, account, key);
CREATE INDEX rules_number ON rules (number) WHERE number IS NOT NULL;

-- What the newest revisions changed.
CREATE TABLE change_log (
    revision INTEGER NOT NULL,
    tenant   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    key      TEXT NOT NULL,
    PRIMARY KEY (revision, tenant, kind, key)
) WITHOUT ROWID;

INSERT INTO tenants SELECT 'operator', 0 WHERE EXISTS (SELECT 1 FROM old_accounts) OR EXISTS (SELECT 1 FROM old_voicemail_systems);
INSERT INTO accounts (tenant, key, version, updated, entry)
    SELECT 'operator', id, version, CAST(strftime('%s', updated_at) AS INTEGER) * 1000000000, json_object('id', id, 'name', name) FROM old_accounts;
INSERT INTO voicemail_systems (tenant, key, version, updated, entry)
    SELECT 'operator', fqdn, version, CAST(strftime('%s', updated_at) AS INTEGER) * 1000000000,
        json_object('fqdn', fqdn, 'transport', transport, 'profile', profile) FROM old_voicemail_systems;
INSERT INTO pilots (tenant, key, version, updated, entry)
    SELECT 'operator', p.number, p.version, CAST(strftime('%s', p.updated_at) AS INTEGER) * 1000000000,
        json_object('number', p.number, 'systems', json((SELECT json_group_array(json_object('fqdn', s.fqdn, 'priority', s.priority))
            FROM (SELECT fqdn, priority FROM old_pilot_systems WHERE pilot = p.number ORDER BY position) s))) FROM old_pilots p;
INSERT INTO pilot_systems (tenant, pilot, fqdn) SELECT 'operator', pilot, fqdn FROM old_pilot_systems;
INSERT INTO numbers (key, tenant, account, pilot, class, version, updated, entry)
    SELECT n.number, 'operator', n.account, n.pilot, '', n.version, CAST(strftime('%s', n.updated_at) AS INTEGER) * 1000000000,
        json_object('number', n.number, 'account', n.account, 'no_answer', (n.no_answer_ms / 1000.0) || 's',
            'devices', json((SELECT json_group_array(json_object('kind', d.kind, 'profile', d.profile, 'user', d.user, 'host', d.host, 'port', d.port, 'transport', d.transport))
                FROM (SELECT * FROM old_devices WHERE number = n.number ORDER BY position) d)),
            'voicemail', json(CASE WHEN n.pilot IS NULL THEN NULL ELSE json_object('pilot', n.pilot,
                'conditions', json(CASE n.conditions WHEN '' THEN '[]' ELSE '["' || replace(n.conditions, ' ', '","') || '"]' END)) END))
    FROM old_numbers n;

DROP TABLE old_devices;
DROP TABLE old_numbers;
DROP TABLE old_pilot_systems;
DROP TABLE old_pilots;
DROP TABLE old_voicemail_systems;
DROP TABLE old_accounts;

-- +goose Down
-- The operator's rows are kept, with the fields that the older program knows.
DROP TABLE change_log;
DROP TABLE rules;
DROP TABLE contact_numbers;
DROP TABLE contacts;
DROP INDEX pilot_systems_fqdn;
DROP INDEX numbers_tenant;
DROP INDEX numbers_account;
DROP INDEX numbers_pilot;
ALTER TABLE accounts RENAME TO new_accounts;
ALTER TABLE voicemail_systems RENAME TO new_voicemail_systems;
ALTER TABLE pilots RENAME TO new_pilots;
ALTER TABLE pilot_systems RENAME TO new_pilot_systems;
ALTER TABLE numbers RENAME TO new_numbers;

CREATE TABLE accounts (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE voicemail_systems (
    fqdn       TEXT PRIMARY KEY,
    transport  TEXT NOT NULL CHECK (transport IN ('udp', 'tcp', 'tls')),
    profile    TEXT NOT NULL,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE pilots (
    number     TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;

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

INSERT INTO accounts SELECT key, coalesce(entry ->> 'name', ''), version, strftime('%Y-%m-%dT%H:%M:%SZ', updated / 1000000000, 'unixepoch')
    FROM new_accounts WHERE tenant = 'operator';
INSERT INTO voicemail_systems SELECT key, entry ->> 'transport', entry ->> 'profile', version, strftime('%Y-%m-%dT%H:%M:%SZ', updated / 1000000000, 'unixepoch')
    FROM new_voicemail_systems WHERE tenant = 'operator';
INSERT INTO pilots SELECT key, version, strftime('%Y-%m-%dT%H:%M:%SZ', updated / 1000000000, 'unixepoch') FROM new_pilots WHERE tenant = 'operator';
INSERT INTO pilot_systems SELECT p.key, s.key, s.value ->> 'fqdn', coalesce(s.value ->> 'priority', 0)
    FROM new_pilots p, json_each(p.entry, '$.systems') s WHERE p.tenant = 'operator';
-- A duration is written as 20s, 1m5.5s or 3m0s.
INSERT INTO numbers SELECT n.key, n.account,
        CAST(round(CASE instr(d, 'm') WHEN 0 THEN CAST(d AS REAL) * 1000
            ELSE CAST(d AS INTEGER) * 60000 + CAST(substr(d, instr(d, 'm') + 1) AS REAL) * 1000 END) AS INTEGER),
        n.pilot, coalesce((SELECT group_concat(c.value, ' ') FROM json_each(n.entry, '$.voicemail.conditions') c), ''),
        n.version, strftime('%Y-%m-%dT%H:%M:%SZ', n.updated / 1000000000, 'unixepoch')
    FROM (SELECT *, entry ->> 'no_answer' AS d FROM new_numbers WHERE tenant = 'operator') n;
INSERT INTO devices SELECT n.key, d.key, coalesce(d.value ->> 'kind', 'registered'), d.value ->> 'profile', d.value ->> 'user', d.value ->> 'host',
        coalesce(d.value ->> 'port', 0), coalesce(d.value ->> 'transport', '')
    FROM new_numbers n, json_each(n.entry, '$.devices') d WHERE n.tenant = 'operator';

DROP TABLE new_numbers;
DROP TABLE new_pilot_systems;
DROP TABLE new_pilots;
DROP TABLE new_voicemail_systems;
DROP TABLE new_accounts;
DROP TABLE tenants;
