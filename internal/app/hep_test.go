package app_test

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
)

// Every message of the proxy reaches the collector under the Call-ID of the caller's leg, and the phone's leg, which does not pass
// the proxy here, brings it along.
func TestHomerGetsEveryLegUnderTheCallersCallID(t *testing.T) {
	t.Parallel()
	collector, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	r := newRig(t, app.All, func(c *config.Config) { c.HEP.Collector = "udp:" + collector.LocalAddr().String() })
	c := r.call(served, caller)
	in := r.Incoming(r.phone, 1)
	in.Answer()
	r.Status(c, 200)
	if got := in.Invite().Get("x-cid"); got != c.ID() {
		t.Errorf("the phone's INVITE has X-CID %q, want the caller's Call-ID %q", got, c.ID())
	}
	c.Hangup()
	r.Ended(in)
	seen := map[string]bool{}
	buf := make([]byte, 65536)
	for !seen["BYE"] || !seen["INVITE"] || !seen["SIP/2.0"] {
		if err := collector.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := collector.ReadFrom(buf)
		if err != nil {
			t.Fatalf("%v; so far %v", err, seen)
		}
		packet := buf[:n]
		if bytes.Contains(packet, []byte("OPTIONS sip:")) || bytes.Contains(packet, []byte("CSeq: 1 OPTIONS")) {
			continue // a probe of the node
		}
		if !bytes.HasPrefix(packet, []byte("HEP3")) || !bytes.Contains(packet, []byte{0, 0, 0, 0x11}) || !bytes.Contains(packet, []byte(c.ID())) {
			t.Fatalf("%q", packet)
		}
		for _, line := range strings.Split(string(packet), "\n") {
			for _, verb := range []string{"INVITE", "BYE", "SIP/2.0"} {
				if i := strings.Index(line, verb+" "); i >= 0 && (strings.Contains(line, "SIP/2.0")) {
					seen[verb] = true
				}
			}
		}
	}
}
