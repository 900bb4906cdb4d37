-- +goose Up
-- Files on FreeSWITCH's disk in which a person is heard or named. Times are nanoseconds since 1970 in UTC; unwanted 0 = in use.
CREATE TABLE voice_files (
    node     TEXT NOT NULL,
    file     TEXT NOT NULL,
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    made     BIGINT NOT NULL,
    unwanted BIGINT NOT NULL DEFAULT 0,
    due      BIGINT NOT NULL DEFAULT 0,
    tries    BIGINT NOT NULL DEFAULT 0,
    note     TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (node, file, name)
);
CREATE INDEX voice_files_name ON voice_files (name);
CREATE INDEX voice_files_made ON voice_files (made);

-- +goose Down
DROP TABLE voice_files;
