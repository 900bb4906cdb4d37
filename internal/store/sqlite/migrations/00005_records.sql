-- +goose Up
-- Whose number was called, when it was called. Before there were tenants all were the operator's.
ALTER TABLE call_records ADD COLUMN tenant TEXT NOT NULL DEFAULT 'operator';
CREATE INDEX call_records_tenant ON call_records (tenant, started, id) WHERE ended IS NOT NULL;

-- +goose Down
DROP INDEX call_records_tenant;
ALTER TABLE call_records DROP COLUMN tenant;
