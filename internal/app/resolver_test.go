package app

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
)

// A target that failed is named by /readyz with its breaker, and what is known of it outlives a reload of the DNS settings. Names
// that lead to our own listeners are refused even where loopback is allowed.
func TestTargetsAreReportedAndOurOwnListenersAreNone(t *testing.T) {
	dns, err := resolvetest.Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dns.Close() })
	c := config.Default()
	c.Store.SQLite = filepath.Join(t.TempDir(), "signalbox.db")
	c.Sidecar.Listen, c.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0"
	c.Proxy.Listen = []config.Listen{{Network: "udp", Addr: "127.0.0.1:0"}}
	c.Nodes = []config.Node{{Name: "fs1", SIP: config.Place{AddrPort: netip.MustParseAddrPort("127.0.0.1:1")}}}
	c.DNS.Servers, c.DNS.AllowLoopback = []string{dns.Addr()}, true
	a, err := New(Options{Config: &c, Role: All})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.close() })
	names := func(port uint16) error {
		return dns.Set("_sip._udp.vm.example.net", fmt.Sprintf("1 IN SRV 1 1 %d a.example.net.", port))
	}
	if err := dns.Set("a.example.net", "1 IN A 127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if err := names(5091); err != nil {
		t.Fatal(err)
	}
	look := func() ([]resolve.Target, error) {
		return a.currentResolver().Lookup(t.Context(), "vm.example.net", "udp")
	}
	targets, err := look()
	if err != nil || len(targets) != 1 {
		t.Fatalf("%v, %v", targets, err)
	}
	a.currentResolver().Failed(targets[0], time.Now())
	again := c
	again.DNS.Timeout = time.Second
	if err := a.Reload(&again); err != nil {
		t.Fatal(err)
	}
	err = targetsTrouble(a.targets.States(), time.Now())
	if err == nil || !strings.Contains(err.Error(), "vm.example.net at 127.0.0.1:5091/udp (open, failures: 1, tried again in 30s)") {
		t.Errorf("/readyz says %v", err)
	}
	for _, port := range []uint16{a.SIPAddrs()[0].Port(), netip.MustParseAddrPort(a.EventSocketAddr().String()).Port(), netip.MustParseAddrPort(a.HTTPAddr().String()).Port()} {
		again.DNS.Timeout += time.Millisecond // a new cache
		if err := a.Reload(&again); err != nil {
			t.Fatal(err)
		}
		if err := names(port); err != nil {
			t.Fatal(err)
		}
		if got, err := look(); err == nil || !strings.Contains(err.Error(), "this machine itself") {
			t.Errorf("a name leads to our own port %d: %v, %v", port, got, err)
		}
	}
}
