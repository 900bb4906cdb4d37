package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
)

// A FreeSWITCH and a carrier that are configured by their names alone: the DNS says where the calls go, and whose they are.
func TestNodesAndTrunksByName(t *testing.T) {
	t.Parallel()
	dns, err := resolvetest.Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dns.Close() })
	publish := func(name string, records ...string) {
		t.Helper()
		if err := dns.Set(name, records...); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, app.All, func(c *config.Config) {
		// The first target is nobody: the call fails over inside the transaction.
		publish("switch.pbx.example", `1 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.pool.pbx.example.`)
		publish("_sip._udp.pool.pbx.example", "1 IN SRV 1 1 9 dead.pbx.example.", fmt.Sprintf("1 IN SRV 2 1 %d live.pbx.example.", c.Nodes[0].SIP.Port()))
		publish("dead.pbx.example", "1 IN A 127.0.0.77")
		publish("live.pbx.example", "1 IN A 127.0.0.1")
		publish("sip.carrier.example", "1 IN A 127.0.0.66")
		if err := c.Nodes[0].SIP.UnmarshalText([]byte("switch.pbx.example")); err != nil {
			t.Fatal(err)
		}
		c.Proxy.Trunks[0].Prefixes = nil
		if err := c.Proxy.Trunks[0].Addr.UnmarshalText([]byte("SIP.carrier.example:5060")); err != nil {
			t.Fatal(err)
		}
		c.DNS.Servers, c.DNS.AllowLoopback = []string{dns.Addr()}, true
	})
	known := func(name string) func() bool {
		return func() bool { _, report := ready(t, r.app); return !strings.Contains(failing(report), name) }
	}
	eventually(t, "the names are known", known("names"))
	if m := r.Status(r.call(nobody, caller), 403); m.Status() != 403 {
		t.Errorf("a carrier to which no name leads got %d", m.Status())
	}
	publish("sip.carrier.example", "1 IN A "+carrierIP.String())
	eventually(t, "a call from where the name leads now", func() bool {
		m := r.Status(r.call(nobody, caller), 403, 486)
		return m.Status() == 486 && m.Phrase() == fswtest.Fallback
	})
	// The DNS is gone: what it said before counts on, and /readyz says so when it is asked in vain.
	dns.Fault("", resolvetest.ServFail)
	if m := r.Status(r.call(nobody, caller), 486); m.Phrase() != fswtest.Fallback {
		t.Errorf("without the DNS: %d %s", m.Status(), m.Phrase())
	}
}
