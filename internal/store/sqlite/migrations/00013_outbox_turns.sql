-- +goose Up
-- Messages are sent tenant by tenant in turn: each tenant's oldest is found without a look at what others have waiting.
CREATE INDEX outbox_turn ON outbox (tenant, due, id) WHERE state = 'waiting';
DROP INDEX outbox_due;

-- +goose Down
CREATE INDEX outbox_due ON outbox (due) WHERE state = 'waiting';
DROP INDEX outbox_turn;
