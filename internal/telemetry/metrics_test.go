package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/edge"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/hep"
	"github.com/signalbox/signalbox/internal/otlp"
	"github.com/signalbox/signalbox/internal/provision"
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

type spoolStub struct{}

func (spoolStub) CountSpooled(context.Context, string) (int, error) { return 3, nil }

func (spoolStub) CountOutgoing(context.Context) (int, error) { return 3, nil }

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
	CollectSpans(reg, func() otlp.Stats { return otlp.Stats{Exported: 1} })
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
	c.Step(call.StepRecord{Kind: call.StepRing, Result: call.NoAnswer})
	c.Step(call.StepRecord{Kind: call.StepMailbox, Result: call.Answered, Attempts: []call.Attempt{
		{Target: "vms-west.example.net 192.0.2.1:5060/udp", Result: call.Unreachable}, {Target: "vms-west.example.net 192.0.2.1:5060/udp", Result: call.Unreachable},
		{Target: "vms-mid.example.net", Result: call.VoicemailDown}, {Target: "vms-east.example.net 192.0.2.2:5060/udp", Result: call.Answered},
	}})
	NewDirectory(reg)
	CollectDirectory(reg, func() int { return 1 })
	a := NewAPI(reg)
	a.Request("/pilots/{pilot}", "PUT", 200, time.Millisecond)
	a.Refused("token_rate")
	p := NewProvision(reg)
	p.Finished("voicemail", "done", time.Millisecond)
	p.Failed("mailbox")
	p.Webhook("taken")
	p.Mailbox("put", "ok")
	p.Reconciled(provision.Reconciliation{})
	NewMessages(reg, spoolStub{}).Tried("webhook", "sent")
	NewDeliveries(reg, spoolStub{}).Ended("delivered")
	rooms := NewRooms(reg)
	rooms.Opened("host")
	rooms.Closed("everybody left")
	rooms.Entered("in")
	rooms.Fetched("joined")
	rooms.Dropped("event")
	rooms.Announced(2, time.Second)
	l := NewLamps(reg)
	l.Notified("taken")
	l.Told("told")
	c.Over(sidecar.NotOurs)
	CollectServer(reg, func() esl.ServerStats { return esl.ServerStats{Active: 2} }, &sidecar.Counts{})
	CollectLinks(reg, []LinkSource{linkStub{"fs1"}, linkStub{"fs2"}})
	r := NewRecords(reg, recordsStub{})
	if r.Open(t.Context(), call.Record{}) != nil || r.Close(t.Context(), call.Record{}) == nil {
		t.Error("the store's answers do not come through")
	}
	CollectLedger(reg, ledgerStub{})
	NewReads(reg).Took(time.Millisecond, nil)
	CollectCache(reg, func() store.CacheStats { return store.CacheStats{Hits: 1} })
	targets := resolve.NewHealth(resolve.HealthOptions{})
	targets.Failed(resolve.Target{Name: "vm.example.net", Addr: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: "udp"}, time.Now())
	CollectResolver(reg, func() *resolve.Resolver { return resolverWithAName(t, targets) }, targets)
	return reg
}

// resolverWithAName has been asked for a name in vain, so that there is something to say of it.
func resolverWithAName(t *testing.T, targets *resolve.Health) *resolve.Resolver {
	t.Helper()
	r, err := resolve.New(resolve.Options{Servers: []string{"127.0.0.1:1"}, Timeout: 10 * time.Millisecond, Health: targets})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lookup(t.Context(), "vm.example.net", "udp"); err == nil {
		t.Error("a name was found where nobody answers")
	}
	return r
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
		"action", "class", "direction", "go_version", "hop", "kind", "method", "name", "node", "operation", "reason", "result", "revision", "role", "route", "sender", "service", "stage", "state", "status", "step", "transport", "version",
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
		"signalbox_voicemail_attempts_total": `
			# HELP signalbox_voicemail_attempts_total Servers of voicemail systems that were offered a call, by the system's name and how that ended.
			# TYPE signalbox_voicemail_attempts_total counter
			signalbox_voicemail_attempts_total{name="vms-east.example.net",result="answered"} 1
			signalbox_voicemail_attempts_total{name="vms-mid.example.net",result="voicemail-down"} 1
			signalbox_voicemail_attempts_total{name="vms-west.example.net",result="unreachable"} 2
		`,
		"signalbox_voicemail_failovers_total": `
			# HELP signalbox_voicemail_failovers_total Times that a call went on to another server after one had failed.
			# TYPE signalbox_voicemail_failovers_total counter
			signalbox_voicemail_failovers_total 2
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

// A tenant who names one voicemail system after the other does not fill the memory of who scrapes.
func TestNamesOfVoicemailSystemsAreBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := NewCalls(reg)
	for i := range 3 * maxSystems {
		c.Step(call.StepRecord{Kind: call.StepMailbox, Attempts: []call.Attempt{{Target: fmt.Sprintf("vm-%d.example.net", i), Result: call.Unreachable}}})
	}
	if n, err := testutil.GatherAndCount(reg, "signalbox_voicemail_attempts_total"); err != nil || n != maxSystems+1 {
		t.Errorf("%d systems are counted by name, %v; want %d and the others", n, err, maxSystems)
	}
}
