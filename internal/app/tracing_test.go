package app_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/otlp/otlptest"
)

// One call is one trace at the collector, from the carrier's INVITE to the phone's, told by proxy and sidecar together.
func TestACallIsOneTrace(t *testing.T) {
	t.Parallel()
	collector := otlptest.New()
	t.Cleanup(collector.Close)
	r := newRig(t, app.All, func(c *config.Config) { c.Tracing.URL = collector.Endpoint() })
	c := r.call(served, caller)
	in := r.Incoming(r.phone, 1)
	in.Answer()
	r.Status(c, 200)
	c.Hangup()
	r.Ended(in)
	eventually(t, "the record is closed", func() bool { return len(r.records(t)) == 1 && !r.records(t)[0].Ended.IsZero() })
	if err := r.stop(); err != nil { // what is left is sent at the end
		t.Fatal(err)
	}
	if p := collector.Problems(); len(p) != 0 {
		t.Errorf("the collector complains: %q", p)
	}
	byID := map[string]otlptest.Span{}
	var root otlptest.Span
	for _, s := range collector.Spans() {
		if s.Attributes["sip.call_id"] == c.ID() && s.Name == "INVITE request" {
			root = s
		}
		byID[s.ID] = s
	}
	if root.ID == "" {
		t.Fatalf("no span of the call's INVITE: %+v", collector.Spans())
	}
	// path names the spans from the root down to one.
	path := func(s otlptest.Span) string {
		out := s.Name
		for s.Parent != "" {
			s = byID[s.Parent]
			out = s.Name + " > " + out
		}
		return out
	}
	var paths []string
	for _, s := range byID {
		if s.Trace == root.Trace {
			paths = append(paths, path(s))
		}
		for key, value := range s.Attributes {
			if strings.Contains(value, served) || strings.Contains(value, caller[1:]) {
				t.Errorf("%s of %s tells a number: %s", key, s.Name, value)
			}
		}
	}
	slices.Sort(paths)
	want := []string{
		"INVITE request", "INVITE request > BYE request", "INVITE request > BYE request > BYE branch", "INVITE request > INVITE branch", "INVITE request > call",
		"INVITE request > call > ring", "INVITE request > call > ring > INVITE local",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("the trace is\n%s\nwant\n%s", strings.Join(paths, "\n"), strings.Join(want, "\n"))
	}
	for key, value := range map[string]string{
		"sip.request.method": "INVITE", "sip.response.status_code": "200", "signalbox.trunk": "carrier", "signalbox.verdict.action": "deliver",
		"signalbox.verdict.reason": "possible-number", "network.transport": "udp", "network.peer.address": carrierIP.String(),
	} {
		if got := root.Attributes[key]; got != value {
			t.Errorf("%s of the INVITE is %q, want %q", key, got, value)
		}
	}
	for _, s := range byID {
		if s.Name == "call" && (s.Attributes["signalbox.result"] != "answered" || s.Attributes["signalbox.node"] != "fs1" || s.Resource["service.name"] != "signalbox") {
			t.Errorf("the call's span has %v of %v", s.Attributes, s.Resource)
		}
	}
}
