-- +goose Up
-- Keys are compared by their bytes, as everywhere else. Times are nanoseconds since 1970 in UTC.
CREATE TABLE revision (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL
);
INSERT INTO revision (id, revision) VALUES (1, 0);

-- No profile of a tenant has a version under least.
CREATE TABLE tenants (
    tenant TEXT COLLATE "C" PRIMARY KEY,
    least  BIGINT NOT NULL
);

CREATE TABLE accounts (
    tenant        TEXT COLLATE "C" NOT NULL,
    key           TEXT COLLATE "C" NOT NULL,
    version       BIGINT NOT NULL,
    rules_version BIGINT NOT NULL DEFAULT 0,
    updated       BIGINT NOT NULL,
    entry         JSONB NOT NULL,
    PRIMARY KEY (tenant, key)
);

CREATE TABLE voicemail_systems (
    tenant  TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    entry   JSONB NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX voicemail_systems_key ON voicemail_systems (key);

CREATE TABLE pilots (
    tenant  TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    entry   JSONB NOT NULL,
    PRIMARY KEY (tenant, key)
);

-- The system may be the operator's, so fqdn is no foreign key. The pilot of a number may be as well.
CREATE TABLE pilot_systems (
    tenant TEXT COLLATE "C" NOT NULL,
    pilot  TEXT COLLATE "C" NOT NULL,
    fqdn   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, pilot, fqdn),
    FOREIGN KEY (tenant, pilot) REFERENCES pilots (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX pilot_systems_fqdn ON pilot_systems (fqdn);

-- A number is one tenant's alone: a call comes without a tenant.
CREATE TABLE numbers (
    key     TEXT COLLATE "C" PRIMARY KEY,
    tenant  TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    pilot   TEXT COLLATE "C",
    class   TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    entry   JSONB NOT NULL,
    FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, key) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX numbers_tenant ON numbers (tenant, key);
CREATE INDEX numbers_account ON numbers (tenant, account, key);
CREATE INDEX numbers_pilot ON numbers (pilot, class, tenant) WHERE pilot IS NOT NULL;

CREATE TABLE contacts (
    tenant  TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    entry   JSONB NOT NULL,
    PRIMARY KEY (tenant, key),
    FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX contacts_account ON contacts (tenant, account, key);

CREATE TABLE contact_numbers (
    tenant  TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    number  TEXT COLLATE "C" NOT NULL,
    contact TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, account, number, contact),
    FOREIGN KEY (tenant, contact) REFERENCES contacts (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX contact_numbers_contact ON contact_numbers (tenant, contact);

CREATE TABLE rules (
    tenant  TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    number  TEXT COLLATE "C" REFERENCES numbers (key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    version BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    entry   JSONB NOT NULL,
    PRIMARY KEY (tenant, key),
    FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX rules_account ON rules (tenant, account, key);
CREATE INDEX rules_number ON rules (number) WHERE number IS NOT NULL;

-- What the newest revisions changed.
CREATE TABLE change_log (
    revision BIGINT NOT NULL,
    tenant   TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    key      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (revision, tenant, kind, key)
);

-- record is the whole of it in JSON, which may have what jsonb refuses, such as \u0000 in the name that a caller gives.
CREATE TABLE call_records (
    id      TEXT COLLATE "C" PRIMARY KEY,
    owner   TEXT NOT NULL,
    uuid    TEXT NOT NULL,
    node    TEXT NOT NULL,
    number  TEXT NOT NULL,
    started BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    ended   BIGINT,
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
DROP TABLE change_log;
DROP TABLE rules;
DROP TABLE contact_numbers;
DROP TABLE contacts;
DROP TABLE numbers;
DROP TABLE pilot_systems;
DROP TABLE pilots;
DROP TABLE voicemail_systems;
DROP TABLE accounts;
DROP TABLE tenants;
DROP TABLE revision;
