package app_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
)

// Two FreeSWITCHes behind one address: a record on the wrong node would have the wrong one asked whether the call lives.
func TestACallBelongsToTheSwitchThatHandedItOver(t *testing.T) {
	t.Parallel()
	r := &rig{config: settings(t), carrier: agent(t, "carrier", carrierIP, lab.Behaviour{}), phone: fswtest.Agent(t, "phone", lab.Refuses(486))}
	r.config.Sidecar.Listen = free(t)
	var benches []*fswtest.Bench
	r.config.Nodes = nil
	for _, name := range []string{"fs1", "fs2"} {
		b := fswtest.New(t, fswtest.Options{Socket: r.config.Sidecar.Listen})
		n := config.Node{Name: name, EventSocket: config.EventSocket{Addr: b.Switch.EventSocketAddr().String(), Password: fswtest.Password}}
		n.SIP.AddrPort = b.Switch.ExternalAddr()
		r.config.Nodes, benches = append(r.config.Nodes, n), append(benches, b)
	}
	r.Bench = benches[0]
	r.provision(t)
	core, logged := observer.New(zap.InfoLevel)
	r.app, r.stop = start(t, app.Options{Config: r.config, Role: app.Sidecar, Logger: zap.New(core)})
	eventually(t, "both links are up", func() bool { return logged.FilterMessage("freeswitch link is up").Len() == 2 })
	for i, b := range benches {
		b.Status(b.Call(r.carrier, served), 486)
		eventually(t, "the record", func() bool { return len(r.records(t)) == i+1 })
		if got, want := r.records(t)[0].Node, r.config.Nodes[i].Name; got != want {
			t.Errorf("the call of %s is on record as one of %s", want, got)
		}
	}
}

// Without links the address is all there is.
func TestWithoutALinkTheAddressNamesTheSwitch(t *testing.T) {
	t.Parallel()
	r := &rig{config: settings(t), carrier: agent(t, "carrier", carrierIP, lab.Behaviour{}), phone: fswtest.Agent(t, "phone", lab.Refuses(486))}
	r.config.Sidecar.Listen = free(t)
	r.Bench = fswtest.New(t, fswtest.Options{Socket: r.config.Sidecar.Listen})
	here := config.Node{Name: "here"}
	here.SIP.AddrPort = r.Switch.ExternalAddr()
	there := config.Node{Name: "there"}
	if err := there.SIP.UnmarshalText([]byte("192.0.2.1:5080")); err != nil {
		t.Fatal(err)
	}
	r.config.Nodes = []config.Node{there, here}
	r.config.Store.SQLite = filepath.Join(t.TempDir(), "signalbox.db")
	r.provision(t)
	r.app, r.stop = start(t, app.Options{Config: r.config, Role: app.Sidecar})
	r.Status(r.Call(r.carrier, served), 486)
	eventually(t, "the record", func() bool { return len(r.records(t)) == 1 })
	if got := r.records(t)[0].Node; got != "here" {
		t.Errorf("the call is on record as one of %q", got)
	}
}

// eventually waits for a fact that nothing announces.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(fswtest.Patience); time.Now().Before(end); <-tick.C {
		if is() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
