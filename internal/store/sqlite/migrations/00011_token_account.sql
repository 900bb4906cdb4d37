-- +goose Up
-- A token may reach one account alone.
ALTER TABLE tokens ADD COLUMN account TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE tokens DROP COLUMN account;
