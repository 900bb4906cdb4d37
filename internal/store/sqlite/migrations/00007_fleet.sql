-- +goose Up
-- Who serves calls with this store. seen is milliseconds since 1970 in UTC, by the database's clock.
CREATE TABLE sidecars (
    instance TEXT PRIMARY KEY,
    home     TEXT NOT NULL,
    seen     INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE sidecars;
