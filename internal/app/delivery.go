package app

import (
	"fmt"
	"os"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/delivery"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/telemetry"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/recorder"
)

// openDelivery makes what keeps messages that no voicemail system took, when the configuration has a folder for them.
func (a *App) openDelivery() error {
	s := a.config.Voicemail.Spool
	if s.Dir == "" {
		return nil
	}
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return fmt.Errorf("voicemail.spool.dir: %s is no folder: make it, and let FreeSWITCH write to it", s.Dir)
	}
	var nodes []delivery.Node
	for _, n := range a.nodes {
		nodes = append(nodes, n)
	}
	a.delivery = delivery.New(delivery.Options{
		Dir: s.Dir, MaxMessages: s.MaxMessages, KeepFor: s.KeepFor, Silence: s.Silence, Instance: a.instance,
		Store: a.store, Profile: a.profiles.Profile, Nodes: nodes, Record: a.ledger.Keep, Logger: a.log,
		Settings: func() mailbox.Settings {
			a.mu.Lock()
			defer a.mu.Unlock()
			return TreatSettings(a.config).Mailbox
		},
		Resolver: func() mailbox.Resolver {
			a.mu.Lock()
			defer a.mu.Unlock()
			return sidecarSettings(a.config, a.resolver, a.checker).Resolver
		},
		Result: telemetry.NewDeliveries(a.metrics, a.store).Ended,
	})
	a.sidecar.Reload(a.sidecarSettings(a.config, a.resolver, a.checker))
	return nil
}

// sidecarSettings are those of a configuration, with what keeps messages.
func (a *App) sidecarSettings(c *config.Config, r *resolve.Resolver, t *token.Checker) sidecar.Settings {
	s := sidecarSettings(c, r, t)
	s.Spool = a.spool()
	return s
}

// spool is what keeps messages; nil = nothing does.
func (a *App) spool() recorder.Keeper {
	if a.delivery == nil {
		return nil
	}
	return a.delivery
}
