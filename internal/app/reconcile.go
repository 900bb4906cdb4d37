package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
)

// Reconcile compares profiles, mailboxes and the directories of the nodes with an event_socket; opt.KnowsPhone is set here.
func Reconcile(ctx context.Context, c *config.Config, s store.Store, opt provision.ReconcileOptions, log *zap.Logger) (provision.Reconciliation, error) {
	systems, err := MailboxSystems(c)
	if err != nil {
		return provision.Reconciliation{}, err
	}
	p, err := provision.New(provision.Options{
		Rows: s, Profiles: s, Requests: s, Mailboxes: s, Systems: systems, Retention: c.Voicemail.Retention, Logger: log,
	})
	if err != nil {
		return provision.Reconciliation{}, err
	}
	return reconcileBy(ctx, c, p, opt)
}

func reconcileBy(ctx context.Context, c *config.Config, p *provision.Provisioner, opt provision.ReconcileOptions) (provision.Reconciliation, error) {
	dir := directories{ctx: ctx, nodes: c.Nodes}
	defer dir.close()
	if dir.any() {
		opt.KnowsPhone = dir.knows
	}
	return p.Reconcile(ctx, opt)
}

// directories asks the nodes for phones, over connections of its own. It is used by one goroutine.
type directories struct {
	ctx   context.Context // of the whole reconciliation
	nodes []config.Node
	conns []*esl.Conn
}

func (d *directories) any() bool {
	for _, n := range d.nodes {
		if n.EventSocket.Addr != "" {
			return true
		}
	}
	return false
}

// knows reports whether one of the nodes has a user.
func (d *directories) knows(ctx context.Context, user, host string) (bool, error) {
	if d.conns == nil {
		if err := d.dial(); err != nil {
			return false, err
		}
	}
	for _, conn := range d.conns {
		if known, err := fsw.UserExists(ctx, conn, user, host); known || err != nil {
			return known, err
		}
	}
	return false, nil
}

func (d *directories) dial() error {
	for _, n := range d.nodes {
		if n.EventSocket.Addr == "" {
			continue
		}
		conn, err := esl.Dial(d.ctx, esl.DialOptions{Addr: n.EventSocket.Addr, User: n.EventSocket.User, Password: esl.Secret(n.EventSocket.Password.Reveal())})
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		d.conns = append(d.conns, conn)
	}
	return nil
}

func (d *directories) close() {
	for _, conn := range d.conns {
		_ = conn.Close()
	}
}

// reconcile looks for differences every voicemail.reconcile_every and tells the operator, until ctx ends. It repairs nothing.
func (a *App) reconcile(ctx context.Context) {
	if a.config.Voicemail.ReconcileEvery == 0 {
		return
	}
	again := time.NewTicker(a.config.Voicemail.ReconcileEvery)
	defer again.Stop()
	for {
		found, err := reconcileBy(ctx, a.config, a.provision, provision.ReconcileOptions{})
		switch {
		case errors.Is(err, context.Canceled) || ctx.Err() != nil:
			return
		case err != nil:
			a.log.Warn("profiles and mailboxes could not be compared", zap.Error(err))
		case found.Left() > 0 || len(found.NotLooked) > 0:
			a.log.Warn("profiles and mailboxes disagree: signalbox provision reconcile says where",
				zap.Int("differences", found.Left()), zap.Strings("not_looked", found.NotLooked))
			fallthrough
		default:
			a.provisionMeter.Reconciled(found)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}
