package telemetry

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/edge"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/hep"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/sipproxy"
)

type proxyStub struct{}

func (proxyStub) Stats() sipproxy.Stats { return sipproxy.Stats{Calls: 3, Pending: 2} }
func (proxyStub) Methods() []sipproxy.MethodCount {
	return []sipproxy.MethodCount{{Method: "INVITE", Transport: "udp", Requests: 3, Answers: [7]uint64{2: 1, 6: 2}}}
}
func (proxyStub) Hops() []sipproxy.HopCount {
	return []sipproxy.HopCount{{Name: "fs1", Sent: 3, Failed: 1}}
}
func (proxyStub) Health() []sipproxy.HopHealth { return []sipproxy.HopHealth{{Name: "fs1", Up: true}} }

type linkStub struct{ name string }

func (l linkStub) Name() string { return l.name }
func (linkStub) Stats() esl.LinkStats {
	return esl.LinkStats{Up: true, Events: 7, Idle: 1500 * time.Millisecond}
}

type ledgerStub struct{}

func (ledgerStub) Waiting() int   { return 4 }
func (ledgerStub) Dropped() int64 { return 5 }
func (ledgerStub) Spooled() int64 { return 6 }
func (ledgerStub) Lost() int64    { return 7 }

// recordsStub takes openings and nothing else.
type recordsStub struct{ behind }

func (recordsStub) Open(context.Context, call.Record) error  { return nil }
func (recordsStub) Close(context.Context, call.Record) error { return errors.New("disk full") }

// everything is a registry with every metric there is, each with a value.
func everything(t *testing.T) *Registry {
	t.Helper()
	reg := NewRegistry("all")
	CollectProxy(reg, proxyStub{})
	CollectExport(reg, func() export.Stats { return export.Stats{Delivered: 1, SpoolBytes: 5} })
	NewPosts(reg).Posted("delivered", time.Millisecond)
	CollectHEP(reg, func() hep.Stats { return hep.Stats{Sent: 1} })
	stages := NewStages(reg)
	stages.Took(sipproxy.StageHop, time.Millisecond)
	s := NewScreening(reg)
	for _, reason := range []string{screen.ReasonDenied, ""} {
		s.Judged(edge.Refused, reason, time.Millisecond)
	}
	c := NewCalls(reg)
	c.Opened(esl.Opening{Connect: time.Millisecond, Command: time.Millisecond})
	c.Profile("found", time.Millisecond)
	c.Step(call.StepRing, call.NoAnswer)
	c.Over(sidecar.NotOurs)
	CollectServer(reg, func() esl.ServerStats { return esl.ServerStats{Active: 2} }, &sidecar.Counts{})
	CollectLinks(reg, []LinkSource{linkStub{"fs1"}, linkStub{"fs2"}})
	r := NewRecords(reg, recordsStub{})
	if r.Open(t.Context(), call.Record{}) != nil || r.Close(t.Context(), call.Record{}) == nil {
		t.Error("the store's answers do not come through")
	}
	CollectLedger(reg, ledgerStub{})
	CollectCache(reg, func() store.CacheStats { return store.CacheStats{Hits: 1} })
	CollectResolver(reg, func() resolve.Stats { return resolve.Stats{TargetsDown: 1} })
	return reg
}

func TestEveryMetricIsNamedAsPrometheusWantsIt(t *testing.T) {
	families, err := everything(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) < 50 {
		t.Errorf("only %d metrics", len(families))
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	labels := []string{
		"action", "class", "direction", "go_version", "hop", "method", "node", "operation", "reason", "result", "revision", "role", "stage", "step", "transport", "version",
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "signalbox_") {
			t.Errorf("%s is outside our namespace", f.GetName())
		}
		if !strings.HasSuffix(f.GetHelp(), ".") || len(f.GetHelp()) < 15 {
			t.Errorf("%s explains itself with %q", f.GetName(), f.GetHelp())
		}
		if n := len(f.GetMetric()); n > 40 {
			t.Errorf("%s has %d series", f.GetName(), n)
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(labels, l.GetName()) {
					t.Errorf("%s has the label %s: is it one of a short list of words, or the name of a configured node?", f.GetName(), l.GetName())
				}
			}
		}
	}
}

// documented are the metrics of docs/metrics.md with their types.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(signalbox_[a-z0-9_]+)(?:\\{([a-z_, ]+)\\})?` \\| ([a-z]+) \\|").FindAllStringSubmatch(string(text), -1) {
		out[m[1]] = m[3] + " " + m[2]
	}
	return out
}

func TestEveryMetricIsDocumentedAndTheReverse(t *testing.T) {
	families, err := everything(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	docs := documented(t)
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want := strings.ToLower(f.GetType().String()) + " " + strings.Join(labels, ", ")
		if got, ok := docs[f.GetName()]; !ok || got != want {
			t.Errorf("docs/metrics.md says %q of %s, want a line: | `%s{%s}` | %s | %s |", got, f.GetName(), f.GetName(), strings.Join(labels, ", "), strings.ToLower(f.GetType().String()), f.GetHelp())
		}
		delete(docs, f.GetName())
	}
	for name := range docs {
		t.Errorf("docs/metrics.md names %s, which there is not", name)
	}
}

func TestWhatIsCountedIsWhatIsScraped(t *testing.T) {
	for name, want := range map[string]string{
		"signalbox_proxy_responses_total": `
			# HELP signalbox_proxy_responses_total Final responses to requests of peers, by method, transport and class.
			# TYPE signalbox_proxy_responses_total counter
			signalbox_proxy_responses_total{class="2xx",method="INVITE",transport="udp"} 1
			signalbox_proxy_responses_total{class="6xx",method="INVITE",transport="udp"} 2
		`,
		"signalbox_link_idle_seconds": `
			# HELP signalbox_link_idle_seconds Time since anything came on the link; FreeSWITCH's heartbeat comes every 20 s.
			# TYPE signalbox_link_idle_seconds gauge
			signalbox_link_idle_seconds{node="fs1"} 1.5
			signalbox_link_idle_seconds{node="fs2"} 1.5
		`,
		"signalbox_screening_verdicts_total": `
			# HELP signalbox_screening_verdicts_total Verdicts on callers, by what was done about the call and by the strongest reason.
			# TYPE signalbox_screening_verdicts_total counter
			signalbox_screening_verdicts_total{action="refuse",reason="deny-list"} 1
			signalbox_screening_verdicts_total{action="refuse",reason="none"} 1
		`,
	} {
		if err := testutil.GatherAndCompare(everything(t), strings.NewReader(want), name); err != nil {
			t.Error(err)
		}
	}
}
