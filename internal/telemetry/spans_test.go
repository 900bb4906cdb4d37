package telemetry

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/otlp"
	"github.com/signalbox/signalbox/internal/otlp/otlptest"
	"github.com/signalbox/signalbox/sipproxy"
)

func invite(callID string) sipproxy.Transaction {
	now := time.Now()
	return sipproxy.Transaction{
		Method: "INVITE", CallID: callID, Initial: true, Peer: "carrier", Transport: "udp", Source: netip.MustParseAddrPort("192.0.2.7:5060"), Code: 200,
		Began: now.Add(-time.Second), Ended: now, Labels: Labels("deliver", "possible-number", 0.1),
		Branches: []sipproxy.Branch{
			{Hop: "fs1", Addr: netip.MustParseAddrPort("127.0.0.1:5080"), Transport: "udp", Began: now.Add(-time.Second), Ended: now.Add(-time.Second / 2), Failure: "silent"},
			{Hop: "fs2", Addr: netip.MustParseAddrPort("127.0.0.2:5080"), Transport: "udp", Began: now.Add(-time.Second / 2), Ended: now, Code: 200},
		},
	}
}

// Whatever somebody writes for a method names no span, and a request that only looks like the call's first does not take its place.
func TestSpansOfStrangeRequests(t *testing.T) {
	c := otlptest.New()
	t.Cleanup(c.Close)
	e, err := otlp.New(otlp.Options{URL: c.Endpoint(), Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	told := ProxySpans(e)
	first := invite("1@h")
	told(first)
	strange := invite("1@h")
	strange.Method, strange.Branches, strange.Code = "X"+strings.Repeat("Y", 900), nil, 405
	told(strange)
	leg := invite("2@switch")
	leg.Kind, leg.Peer, leg.Caller, leg.Branches, leg.Code = sipproxy.Node, "fs1", "1@h", nil, 503
	told(leg)
	options := invite("3@h")
	options.Method, options.Branches = "OPTIONS", nil
	told(options)
	over, stop := context.WithCancel(t.Context())
	stop()
	if err := e.Run(over); err != nil { // sends what is left
		t.Fatal(err)
	}
	var got []string
	root := ""
	for _, s := range c.Spans() {
		if root == "" {
			root = s.ID
		}
		below := "top"
		if s.Parent == root {
			below = "below the INVITE"
		} else if s.Parent != "" {
			below = "elsewhere"
		}
		got = append(got, s.Name+" "+below+" "+s.Error)
	}
	want := []string{"INVITE request top ", "INVITE branch below the INVITE silent", "INVITE branch below the INVITE ", "SIP request top ", "INVITE request below the INVITE 503", "OPTIONS request top "}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || len(c.Problems()) != 0 {
		t.Errorf("got\n%s\nwant\n%s\nproblems %q", strings.Join(got, "\n"), strings.Join(want, "\n"), c.Problems())
	}
}

// BenchmarkProxySpans is what a call's INVITE pays on the proxy's path when somebody traces: the first and one further hop.
func BenchmarkProxySpans(b *testing.B) {
	e, err := otlp.New(otlp.Options{URL: "http://127.0.0.1:1", Sample: 1}) // the queue is full soon: what is dropped is made all the same
	if err != nil {
		b.Fatal(err)
	}
	told, call := ProxySpans(e), invite("1@h")
	b.ReportAllocs()
	for b.Loop() {
		told(call)
	}
}
