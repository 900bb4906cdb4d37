-- +goose Up
-- Conferences that were announced. Times are nanoseconds since 1970 in UTC.
CREATE TABLE schedules (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    account TEXT NOT NULL,
    number  TEXT NOT NULL REFERENCES numbers (key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    until   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    entry   TEXT NOT NULL,
    PRIMARY KEY (tenant, key),
    FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;
CREATE INDEX schedules_account ON schedules (tenant, account, key);
CREATE INDEX schedules_number ON schedules (number, until);

-- Contacts that were removed, so that who follows an address book hears of it. version is the revision of the removal.
CREATE TABLE contact_tombstones (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    account TEXT NOT NULL,
    version INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE INDEX contact_tombstones_version ON contact_tombstones (tenant, account, version, key);
CREATE INDEX contact_tombstones_removed ON contact_tombstones (removed);
CREATE INDEX contacts_version ON contacts (tenant, account, version, key);

-- +goose Down
DROP INDEX contacts_version;
DROP TABLE contact_tombstones;
DROP TABLE schedules;
