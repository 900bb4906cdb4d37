-- +goose Up
-- Who serves calls with this store. seen is milliseconds since 1970 in UTC, by the database's clock.
CREATE TABLE sidecars (
    instance TEXT COLLATE "C" PRIMARY KEY,
    home     TEXT NOT NULL,
    seen     BIGINT NOT NULL
);

-- +goose Down
DROP TABLE sidecars;
