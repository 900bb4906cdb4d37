package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"
)

const (
	hookTries = 20 // about nine hours
	hookPause = time.Second
	hookMax   = time.Hour
)

// Event is the body of a webhook.
type Event struct {
	Event   string `json:"event" enum:"provisioning.done,provisioning.failed"`
	Tenant  string `json:"tenant"`
	Request Status `json:"request"`
}

// tell tells the tenant of a finished request, once; when that is not taken, it is due again later.
func (j *job) tell(ctx context.Context) error {
	hook := j.s.tenantHook(j.row.Tenant)
	j.row.Due = time.Time{}
	if hook == nil {
		return j.save(context.WithoutCancel(ctx), 0)
	}
	status, err := statusOf(j.row)
	if err != nil {
		return err
	}
	event := Event{Event: "provisioning." + j.p.Status, Tenant: j.row.Tenant, Request: status}
	body, err := json.Marshal(event)
	if err != nil {
		return err
	}
	err = hook.Send(ctx, fmt.Sprintf("%s/%s/%d", j.row.Tenant, j.row.ID, j.p.Tries), body)
	switch j.p.Told++; {
	case err == nil:
		j.s.opt.Meter.Webhook("taken")
	case ctx.Err() != nil:
		j.p.Told--
		j.row.Due = time.Now()
	case j.p.Told >= hookTries:
		j.s.opt.Meter.Webhook("given_up")
		j.s.log.Error("webhook given up: the tenant does not know how its request ended", zap.String("tenant", j.row.Tenant), zap.String("request", j.row.ID), zap.Error(err))
	default:
		j.s.opt.Meter.Webhook("refused")
		pause := min(hookPause<<min(j.p.Told-1, 20), hookMax)
		j.row.Due = time.Now().Add(pause)
		j.s.log.Warn("webhook not taken", zap.String("tenant", j.row.Tenant), zap.String("request", j.row.ID), zap.Int("try", j.p.Told), zap.Duration("again_in", pause), zap.Error(err))
	}
	return j.save(context.WithoutCancel(ctx), 0)
}
