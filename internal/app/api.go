package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox/signalbox/internal/api"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/telemetry"
	"github.com/signalbox/signalbox/internal/treat"
	"github.com/signalbox/signalbox/internal/webhook"
)

// PlanOf makes the plan of a call as the sidecar does, from the same rows by the same function; nothing is called.
// Conferences are nil where rooms are not looked at.
func PlanOf(ctx context.Context, c *config.Config, profiles sidecar.Profiles, d sidecar.Directory, conferences sidecar.Conferences, a call.Arrival) (call.Plan, error) {
	settings := TreatSettings(c)
	around := sidecar.Around{Profiles: profiles, Directory: d, Access: accessNumbers(c), Conferences: conferences}
	profile, from, err := around.Subscriber(ctx, &a, c.Region)
	if err != nil {
		return call.Plan{}, err
	}
	world := around.Look(ctx, a, profile, from, c.Region, settings)
	return treat.Plan(a, profile, world, settings), nil
}

// openAPI makes what does provisioning requests, and the API in front of it.
func (a *App) openAPI() error {
	c := a.config
	if c.API.Listen == "" && len(c.Voicemail.Mailboxes) == 0 {
		return nil
	}
	systems, err := MailboxSystems(c)
	if err != nil {
		return err
	}
	hooks := map[string]webhook.Options{}
	for _, h := range c.API.Webhooks {
		hook := webhook.Options{URL: h.URL, Secrets: [][]byte{[]byte(h.Secret.Reveal())}, CAFile: h.CAFile, UserAgent: userAgent()}
		if old := h.Old.Reveal(); old != "" {
			hook.Secrets = append(hook.Secrets, []byte(old))
		}
		hooks[h.Tenant] = hook
	}
	a.provisionMeter = telemetry.NewProvision(a.metrics)
	a.provision, err = provision.New(provision.Options{
		Rows: a.store, Profiles: a.store, Requests: a.store, Mailboxes: a.store, Systems: systems, DefaultPilot: c.API.DefaultPilot,
		Retention: c.Voicemail.Retention, Hooks: hooks, Instance: a.instance, Exclusive: c.Store.Postgres.DSN == "",
		ClearLamp: a.clearLamp, Phones: a.store, Names: a.store, Meter: a.provisionMeter, Logger: a.log,
	})
	if err != nil {
		return fmt.Errorf("api.webhooks: %w", err)
	}
	if c.API.Listen == "" {
		return nil
	}
	cert, err := readPair("api", c.API.Cert, c.API.Key)
	if err != nil {
		return err
	}
	var certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	if cert != nil {
		a.apiCert.Store(cert)
		certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.apiCert.Load(), nil }
	}
	listener, err := net.Listen("tcp", c.API.Listen)
	if err != nil {
		return fmt.Errorf("api.listen: %w (is the port taken? \"\" switches the API off)", err)
	}
	a.undo = append(a.undo, listener.Close)
	opt := api.Options{
		Listener: listener, Certificate: certificate, Rows: a.store, Tokens: a.store, Records: a.store, Book: a.store, Requests: a.provision,
		Explain: a.explain, Counts: a.countsOf, Region: c.Region, Rate: c.API.Rate, Meter: telemetry.NewAPI(a.metrics), Logger: a.log,
	}
	if len(a.nodes) > 0 {
		opt.Rooms, opt.RoomRows, opt.Contacts = a.rooms, a.store, a.store
	}
	if a.messages != nil {
		opt.Messages = a.messages
	}
	a.api = api.New(opt)
	return nil
}

// readPair reads what tls_cert and tls_key of a section name; nil without them.
func readPair(section, cert, key string) (*tls.Certificate, error) {
	if cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s.tls_cert and tls_key: %w", section, err)
	}
	return &pair, nil
}

// runAPI runs the API while new calls are taken. That it fails ends no call: it is said, and the rest goes on.
func (a *App) runAPI(group *errgroup.Group, ctx context.Context) {
	if a.provision != nil {
		group.Go(func() error { return a.provision.Run(ctx) })
		group.Go(func() error {
			a.reconcile(ctx)
			return nil
		})
	}
	if a.api != nil {
		group.Go(func() error {
			if err := a.api.Run(ctx); err != nil {
				a.log.Error("the API is not answered any more", zap.Error(err))
			}
			return nil
		})
	}
}

// explain plans a call by the settings that count now.
func (a *App) explain(ctx context.Context, arrival call.Arrival) (call.Plan, error) {
	a.mu.Lock()
	c := a.config
	a.mu.Unlock()
	return PlanOf(ctx, c, a.profiles, a.newDirectory(), a.conferences(), arrival)
}

// countsOf are a number's messages at all its voicemail systems together.
func (a *App) countsOf(ctx context.Context, number string) (api.Counts, error) {
	waiting, err := a.store.WaitingOf(ctx, tel.Number(number))
	if err != nil {
		return api.Counts{}, err
	}
	out := api.Counts{Number: number}
	var sum store.Counts
	var newest time.Time
	for _, w := range waiting {
		sum.Add(w.Counts)
		if w.At.After(newest) {
			newest, out.From, out.Updated = w.At, w.System, w.At.UTC().Format(time.RFC3339)
		}
	}
	out.New, out.Old, out.UrgentNew, out.UrgentOld = sum.New, sum.Old, sum.UrgentNew, sum.UrgentOld
	return out, nil
}

// clearLamp puts the message lamp of a number out.
func (a *App) clearLamp(ctx context.Context, _, number string) error {
	waiting, err := a.store.WaitingOf(ctx, tel.Number(number))
	if err != nil {
		return err
	}
	for _, w := range waiting {
		w.Counts, w.At = store.Counts{}, time.Now()
		if err := a.store.SetWaiting(ctx, w); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	a.keeper.Changed()
	return nil
}
