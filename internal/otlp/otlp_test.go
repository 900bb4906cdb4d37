package otlp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/otlp"
	"github.com/signalbox/signalbox/internal/otlp/otlptest"
)

// exporter runs one until stop.
func exporter(t *testing.T, o otlp.Options) (e *otlp.Exporter, stop func()) {
	t.Helper()
	if o.Sample == 0 {
		o.Sample = 1
	}
	e, err := otlp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return e, stop
}

func collector(t *testing.T) *otlptest.Collector {
	t.Helper()
	c := otlptest.New()
	t.Cleanup(c.Close)
	return c
}

func span(callID, name string) otlp.Span {
	trace := otlp.TraceOf(callID)
	return otlp.Span{Trace: trace, ID: otlp.SpanOf(trace, name), Name: name, Kind: otlp.Server, Start: time.Now().Add(-time.Second), End: time.Now()}
}

// eventually waits for a fact.
func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !fact(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestCollectorUnderstandsASpan(t *testing.T) {
	c := collector(t)
	e, stop := exporter(t, otlp.Options{URL: c.Endpoint(), Token: "secret", Version: "1.2", Resource: []otlp.Attribute{otlp.Text("service.name", "box")}})
	s := span("1@h", "INVITE request")
	s.Parent, s.Error = otlp.RootOf(s.Trace), "503"
	s.Attributes = []otlp.Attribute{
		otlp.Text("sip.call_id", "1@h\xff\x00\"<>"), otlp.Int("sip.response.status_code", 503), otlp.Text("empty", ""), otlp.Text("long", strings.Repeat("x", 9999)),
	}
	e.Export(s)
	stop()
	got := c.Spans()
	if len(got) != 1 || len(c.Problems()) != 0 {
		t.Fatalf("%+v, problems %q", got, c.Problems())
	}
	g := got[0]
	if g.Trace != fmt.Sprintf("%x", s.Trace) || g.ID != fmt.Sprintf("%x", s.ID) || g.Parent != fmt.Sprintf("%x", s.Parent) || g.Name != s.Name || g.Kind != 2 ||
		!g.Start.Equal(s.Start) || !g.End.Equal(s.End) || g.Error != "503" || g.Resource["service.name"] != "box" {
		t.Errorf("%+v", g)
	}
	if a := g.Attributes; a["sip.response.status_code"] != "503" || a["sip.call_id"] != "1@h�\x00\"<>" || len(a["long"]) != 256 || len(a) != 3 {
		t.Errorf("attributes %q", a)
	}
	if _, auth := c.Requests(); len(auth) != 1 || auth[0] != "Bearer secret" {
		t.Errorf("authorization %q", auth)
	}
	if n := e.Stats(); n != (otlp.Stats{Exported: 1}) {
		t.Errorf("%+v", n)
	}
}

func TestSpansOutliveACollectorThatIsBusy(t *testing.T) {
	c := collector(t)
	c.Answer(503, 429)
	e, stop := exporter(t, otlp.Options{URL: c.Endpoint()})
	for i := range 600 {
		e.Export(span(fmt.Sprint(i), "x"))
	}
	eventually(t, "the first 512 are taken at the third try", func() bool { return e.Stats().Exported >= 512 })
	stop()
	if n := e.Stats(); n.Exported != 600 || n.Dropped+n.Failed != 0 || len(c.Spans()) != 600 {
		t.Errorf("%+v, the collector has %d", n, len(c.Spans()))
	}
}

func TestSpansThatNobodyTakesAreCounted(t *testing.T) {
	c := collector(t)
	c.Answer(400)
	e, stop := exporter(t, otlp.Options{URL: c.Endpoint()})
	e.Export(span("1", "x"))
	eventually(t, "the refused span is counted", func() bool { return e.Stats().Failed == 1 })
	if n, _ := c.Requests(); n != 1 {
		t.Errorf("a refused request was made %d times", n)
	}
	stop()

	// Nobody is there: the queue fills, and nobody waits.
	dead, stopDead := exporter(t, otlp.Options{URL: "http://127.0.0.1:1/v1/traces", Queue: 100})
	began := time.Now()
	for i := range 5000 {
		dead.Export(span(fmt.Sprint(i), "x"))
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("5000 spans took %s", took)
	}
	if n := dead.Stats().Dropped; n == 0 {
		t.Error("nothing was dropped")
	}
	stopDead()
	if n := dead.Stats(); n.Dropped+n.Failed != 5000 || n.Exported != 0 {
		t.Errorf("%+v, want every span counted", n)
	}
}

func TestSampleIsTheSameForAllOfACall(t *testing.T) {
	tenth, err := otlp.New(otlp.Options{URL: "http://x", Sample: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	none, err := otlp.New(otlp.Options{URL: "http://x"})
	if err != nil {
		t.Fatal(err)
	}
	wanted := 0
	for i := range 10000 {
		id := otlp.TraceOf(fmt.Sprint(i))
		if tenth.Wants(id) {
			wanted++
		}
		if none.Wants(id) {
			t.Fatal("a share of nothing wants a call")
		}
	}
	if wanted < 900 || wanted > 1100 {
		t.Errorf("%d of 10000 calls are in a sample of a tenth", wanted)
	}
}
