package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/otlp"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/sipproxy"
)

// Spans are named as OpenSIPS names its own, "{method} {target}": "INVITE request" is a request that was taken, "INVITE branch" a hop
// that was asked for it, "INVITE local" one that FreeSWITCH made for a call. Attributes with a name of OpenSIPS or of
// OpenTelemetry mean the same as theirs.

// methods are those that a span is named after; what else somebody writes is no name.
var methods = map[string]bool{
	"INVITE": true, "BYE": true, "REGISTER": true, "OPTIONS": true, "SUBSCRIBE": true, "NOTIFY": true, "REFER": true, "INFO": true,
	"UPDATE": true, "PRACK": true, "MESSAGE": true, "PUBLISH": true,
}

func spanName(method, target string) string {
	if !methods[method] {
		method = "SIP"
	}
	return method + " " + target
}

// ProxySpans makes spans of what a proxy did: one for each request, and below it one for each hop that was asked.
func ProxySpans(e *otlp.Exporter) func(sipproxy.Transaction) {
	return func(t sipproxy.Transaction) {
		trace := otlp.TraceOf(cmp.Or(t.Caller, t.CallID))
		if !e.Wants(trace) {
			return
		}
		id, parent := otlp.RootOf(trace), otlp.SpanID{}
		if first := t.Method == "INVITE" && t.Initial && t.Caller == ""; !first {
			id = otlp.SpanOf(trace, t.CallID, t.Method, t.Began.String())
			if !t.Initial || t.Caller != "" {
				parent = otlp.RootOf(trace)
			}
		}
		attributes := append(message(t.Method, t.CallID, t.Transport, t.Source, t.Code),
			otlp.Text("signalbox.peer.kind", t.Kind.String()))
		if t.Kind == sipproxy.Trunk {
			attributes = append(attributes, otlp.Text("signalbox.trunk", t.Peer))
		} else {
			attributes = append(attributes, otlp.Text("signalbox.peer", t.Peer))
		}
		for _, l := range t.Labels {
			attributes = append(attributes, otlp.Text(l.Name, l.Value))
		}
		e.Export(otlp.Span{
			Trace: trace, ID: id, Parent: parent, Name: spanName(t.Method, "request"), Kind: otlp.Server, Start: t.Began, End: t.Ended,
			Attributes: attributes, Error: failed(t.Code, "no answer"),
		})
		for i, b := range t.Branches {
			e.Export(otlp.Span{
				Trace: trace, ID: otlp.SpanOf(trace, string(id[:]), strconv.Itoa(i)), Parent: id, Name: spanName(t.Method, "branch"), Kind: otlp.Client,
				Start: b.Began, End: b.Ended, Error: failed(b.Code, b.Failure),
				Attributes: append(message(t.Method, t.CallID, b.Transport, b.Addr, b.Code),
					otlp.Text("signalbox.hop", b.Hop), otlp.Text("error.type", b.Failure)),
			})
		}
	}
}

// message are the attributes that a request and a branch have in common.
func message(method, callID, transport string, peer netip.AddrPort, code int) []otlp.Attribute {
	out := []otlp.Attribute{
		otlp.Text("network.protocol.name", "sip"), otlp.Text("network.protocol.version", "2.0"), otlp.Text("network.transport", transport),
		otlp.Text("sip.request.method", method), otlp.Text("sip.call_id", callID), otlp.Int("sip.response.status_code", code),
	}
	if peer.IsValid() {
		out = append(out, otlp.Text("network.peer.address", peer.Addr().String()), otlp.Int("network.peer.port", int(peer.Port())))
	}
	return out
}

// failed says what was wrong about an answer: that there was none, or that somebody's server is at fault. A refusal is an answer
// like another.
func failed(code int, why string) string {
	switch {
	case code == 0:
		return why
	case code >= 500 && code < 600:
		return strconv.Itoa(code)
	}
	return ""
}

// Labels are what a Screener decided, as attributes of the call's span.
func Labels(action, reason string, likelihood float64) []sipproxy.HeaderField {
	out := []sipproxy.HeaderField{{Name: "signalbox.verdict.action", Value: action}}
	if reason != "" {
		out = append(out, sipproxy.HeaderField{Name: "signalbox.verdict.reason", Value: reason},
			sipproxy.HeaderField{Name: "signalbox.verdict.likelihood", Value: fmt.Sprintf("%.2f", likelihood)})
	}
	return out
}

// tracedRecords makes spans of call records when they are closed.
type tracedRecords struct {
	behind
	spans *otlp.Exporter
}

// TraceRecords puts an exporter of spans in front of a store: a call is told when it is over, by whoever sees its end. nil = nobody is told.
func TraceRecords(s store.Records, e *otlp.Exporter) store.Records {
	if e == nil {
		return s
	}
	return &tracedRecords{s, e}
}

// Close implements store.Records.
func (r *tracedRecords) Close(ctx context.Context, rec call.Record) error {
	err := r.behind.Close(ctx, rec)
	if err == nil { // else it comes again
		recordSpans(r.spans, rec)
	}
	return err
}

// recordSpans are the call, the steps of its plan, and the INVITEs that FreeSWITCH made for them. Their identifiers follow from the
// record's, so that a record which is closed twice is told once.
func recordSpans(e *otlp.Exporter, rec call.Record) {
	a := rec.Arrival
	trace := otlp.TraceOf(cmp.Or(a.CallID, rec.ID))
	if !e.Wants(trace) {
		return
	}
	id := otlp.SpanOf(trace, rec.ID)
	span := otlp.Span{
		Trace: trace, ID: id, Name: "call", Kind: otlp.Internal, Start: rec.Started, End: latest(rec.Ended, rec.Updated),
		Attributes: []otlp.Attribute{
			otlp.Text("sip.call_id", a.CallID), otlp.Text("signalbox.record", rec.ID), otlp.Text("signalbox.uuid", rec.UUID), otlp.Text("signalbox.node", rec.Node),
			otlp.Text("signalbox.trunk", a.Trunk), otlp.Text("signalbox.result", string(rec.Result)), otlp.Text("signalbox.cause", rec.Cause),
		},
	}
	if a.Evidence == call.EvidenceToken { // it came through a proxy, which tells of its INVITE
		span.Parent = otlp.RootOf(trace)
	}
	if v := a.Verdict; v.Screened() {
		reason := ""
		if len(v.Reasons) > 0 {
			reason = v.Reasons[0].Name
		}
		for _, l := range Labels(string(v.Action), reason, v.Likelihood) {
			span.Attributes = append(span.Attributes, otlp.Text(l.Name, l.Value))
		}
	}
	if rec.Result == call.Broken {
		span.Error = rec.Note
	}
	e.Export(span)
	for i, s := range rec.Steps {
		step := otlp.SpanOf(trace, rec.ID, strconv.Itoa(i))
		e.Export(otlp.Span{
			Trace: trace, ID: step, Parent: id, Name: string(s.Kind), Kind: otlp.Internal, Start: s.Started, End: latest(s.Ended, s.Started),
			Attributes: []otlp.Attribute{otlp.Text("sip.call_id", a.CallID), otlp.Text("signalbox.result", string(s.Result))},
		})
		for j, x := range s.Attempts {
			attempt := otlp.Span{
				Trace: trace, ID: otlp.SpanOf(trace, rec.ID, strconv.Itoa(i), strconv.Itoa(j)), Parent: step, Name: spanName("INVITE", "local"), Kind: otlp.Client,
				Start: x.Started, End: latest(x.Ended, x.Started),
				Attributes: []otlp.Attribute{
					otlp.Text("sip.request.method", "INVITE"), otlp.Int("sip.response.status_code", x.SIPStatus),
					otlp.Text("signalbox.result", string(x.Result)), otlp.Text("signalbox.disposition", x.Disposition),
				},
				Error: failed(cmp.Or(x.SIPStatus, 200), ""),
			}
			if s.Kind == call.StepMailbox { // a system's name; phones are named by their numbers
				attempt.Attributes = append(attempt.Attributes, otlp.Text("signalbox.target", x.Target))
			}
			e.Export(attempt)
		}
	}
}

// latest keeps a span that was never ended from ending before it began.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// CollectSpans registers the metrics of the export of spans.
func CollectSpans(reg prometheus.Registerer, stats func() otlp.Stats) {
	s := &snapshots{}
	s.add(prometheus.CounterValue, "tracing_spans_total", "Spans for the OpenTelemetry collector, by what became of them.", []string{"result"}, func(emit func(float64, ...string)) {
		n := stats()
		for result, v := range map[string]uint64{"exported": n.Exported, "queue_full": n.Dropped, "failed": n.Failed} {
			emit(float64(v), result)
		}
	})
	reg.MustRegister(s)
}
