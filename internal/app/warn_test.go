package app_test

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
)

// warned are the keys that were warned of since the last look.
func warned(logged *observer.ObservedLogs) []string {
	var keys []string
	for _, e := range logged.TakeAll() {
		if key, ok := e.ContextMap()["key"].(string); ok && e.Level == zap.WarnLevel {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func TestServeWarnsOfWhatEverybodyKnowsAndOfNobodyWhoMayCall(t *testing.T) {
	t.Parallel()
	const password, secret, trunks = "nodes[0].event_socket.password", "token.keys[0].secret", "proxy.trunks"
	for _, tt := range []struct {
		role app.Role
		want []string
	}{
		{app.All, []string{password, trunks, secret}},
		{app.Proxy, []string{trunks, secret}},
		{app.Sidecar, []string{password, secret}},
	} {
		c := settings(t)
		c.Nodes[0].EventSocket = config.EventSocket{Addr: "127.0.0.1:1", Password: "change-me"}
		c.Proxy.Trunks = nil
		core, logged := observer.New(zap.InfoLevel)
		a, stop := start(t, app.Options{Config: c, Role: tt.role, Logger: zap.New(core)})
		if got := warned(logged); !slices.Equal(got, tt.want) {
			t.Errorf("%s: warned of %q, want %q", tt.role, got, tt.want)
		}
		good := copied(c, func(n *config.Config) {
			n.Nodes[0].EventSocket.Password = "mine"
			n.Proxy.Trunks = settings(t).Proxy.Trunks
			n.Token.Keys = []config.Key{{ID: "k1", Secret: "fedcba9876543210fedcba9876543210"}}
		})
		for _, reload := range []struct {
			config *config.Config
			want   []string
		}{{good, nil}, {c, tt.want}} {
			if err := a.Reload(reload.config); err != nil {
				t.Fatal(err)
			}
			if got := warned(logged); !slices.Equal(got, reload.want) {
				t.Errorf("%s: a reload warned of %q, want %q", tt.role, got, reload.want)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

// The store of a sidecar does not grow for ever.
func TestServeDeletesOldRecords(t *testing.T) {
	t.Parallel()
	r := &rig{config: settings(t)}
	r.config.Store.KeepRecords = 24 * time.Hour
	s, err := app.OpenStore(t.Context(), r.config)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for id, ended := range map[string]time.Time{"old": now.Add(-25 * time.Hour), "young": now.Add(-23 * time.Hour), "open": {}} {
		rec := call.Record{ID: id, Owner: "an earlier one", UUID: id, Node: "fs1", Started: now.Add(-48 * time.Hour), Updated: now.Add(-48 * time.Hour)}
		if err := s.Open(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		if rec.Ended = ended; !ended.IsZero() {
			if err := s.Close(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Shut(); err != nil {
		t.Fatal(err)
	}
	start(t, app.Options{Config: r.config, Role: app.Sidecar})
	eventually(t, "the old record is deleted", func() bool { return len(r.records(t)) < 3 })
	var left []string
	for _, rec := range r.records(t) {
		left = append(left, rec.ID)
	}
	slices.Sort(left)
	if !slices.Equal(left, []string{"open", "young"}) {
		t.Errorf("left are %q", left)
	}
}
