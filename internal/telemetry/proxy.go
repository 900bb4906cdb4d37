package telemetry

import (
	"cmp"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox/signalbox/internal/edge"
	"github.com/signalbox/signalbox/internal/hep"
	"github.com/signalbox/signalbox/sipproxy"
)

// ProxySource is what a SIP proxy has counted; *sipproxy.Proxy.
type ProxySource interface {
	Stats() sipproxy.Stats
	Methods() []sipproxy.MethodCount
	Hops() []sipproxy.HopCount
	Health() []sipproxy.HopHealth
}

// CollectProxy registers the metrics of a proxy.
func CollectProxy(reg prometheus.Registerer, p ProxySource) {
	s := &snapshots{}
	counter := func(name, help string, read func(sipproxy.Stats) uint64) {
		s.counter("proxy_"+name, help, func() uint64 { return read(p.Stats()) })
	}
	gauge := func(name, help string, read func(sipproxy.Stats) uint64) {
		s.gauge("proxy_"+name, help, func() float64 { return float64(read(p.Stats())) })
	}
	counter("calls_total", "Initial INVITEs of trunks that were taken.", func(s sipproxy.Stats) uint64 { return s.Calls })
	counter("cancelled_total", "Calls that the caller gave up.", func(s sipproxy.Stats) uint64 { return s.Cancelled })
	counter("screening_refused_total", "Calls that screening refused.", func(s sipproxy.Stats) uint64 { return s.ScreenRefused })
	counter("screening_skipped_total", "Calls delivered without a verdict: it was late, broke, or found no room.", func(s sipproxy.Stats) uint64 { return s.ScreenSkipped })
	counter("bad_decisions_total", "Header fields, refusals and hops of our own code that were not valid.", func(s sipproxy.Stats) uint64 { return s.BadDecisions })
	counter("failovers_total", "Calls sent on to a further hop.", func(s sipproxy.Stats) uint64 { return s.Failovers })
	counter("ghosts_total", "Answers that nobody waited for any more, acknowledged and hung up.", func(s sipproxy.Stats) uint64 { return s.Ghosts })
	counter("stateless_responses_total", "Responses without a transaction, sent on along their Via; some after a restart are normal.", func(s sipproxy.Stats) uint64 { return s.Stateless })
	counter("stripped_headers_total", "X-Signalbox headers from outside that were removed.", func(s sipproxy.Stats) uint64 { return s.Stripped })
	counter("tamed_headers_total", "Identity headers with escapes that FreeSWITCH would have decoded into its own messages.", func(s sipproxy.Stats) uint64 { return s.Tamed })
	counter("disclaimed_headers_total", "Claims of untrusted trunks to have verified a caller that were removed.", func(s sipproxy.Stats) uint64 { return s.Disclaimed })
	counter("panics_total", "Panics that were caught; the log has their stacks.", func(s sipproxy.Stats) uint64 { return s.Panics })
	counter("send_errors_total", "Messages that could not be written.", func(s sipproxy.Stats) uint64 { return s.SendErrors })
	counter("stranger_answers_total", "403 answers to senders that are no configured peer; the others got silence.", func(s sipproxy.Stats) uint64 { return s.Refused })
	gauge("pending_requests", "Requests being worked on.", func(s sipproxy.Stats) uint64 { return s.Pending })
	gauge("kept_requests", "Requests remembered, those already answered included.", func(s sipproxy.Stats) uint64 { return s.Kept })
	gauge("sent_requests", "Requests sent to hops and still remembered.", func(s sipproxy.Stats) uint64 { return s.Legs })
	counter("flows_gone_total", "Requests for a device whose connection is gone, answered 430.", func(s sipproxy.Stats) uint64 { return s.FlowsGone })
	counter("tls_failures_total", "TLS handshakes that failed, or showed a certificate for somebody else.", func(s sipproxy.Stats) uint64 { return s.TLSFailed })
	gauge("connections", "Open TCP, TLS and WebSocket connections, those of devices too.", func(s sipproxy.Stats) uint64 { return s.Connections })
	s.add(prometheus.CounterValue, "proxy_messages_total", "SIP messages of peers by direction.", []string{"direction"}, func(emit func(float64, ...string)) {
		stats := p.Stats()
		emit(float64(stats.MessagesIn), "in")
		emit(float64(stats.MessagesOut), "out")
	})
	s.add(prometheus.CounterValue, "proxy_rejected_total", "Messages that were dropped or answered by the gate, by reason.", []string{"reason"}, func(emit func(float64, ...string)) {
		stats := p.Stats()
		for reason, n := range map[string]uint64{
			"malformed": stats.Malformed, "stranger": stats.Strangers, "rate_limited": stats.RateLimited, "overload": stats.Overload, "banned": stats.Banned, "scanner": stats.Scanners,
			"forbidden": stats.Forbidden, "loop": stats.Loops, "stray": stats.Stray, "unroutable": stats.Unroutable,
		} {
			emit(float64(n), reason)
		}
	})
	collectTraffic(s, p)
	reg.MustRegister(s)
}

// CollectHEP registers the metrics of the export to Homer.
func CollectHEP(reg prometheus.Registerer, stats func() hep.Stats) {
	s := &snapshots{}
	s.add(prometheus.CounterValue, "hep_messages_total", "Copies of SIP messages for Homer, by what became of them.", []string{"result"}, func(emit func(float64, ...string)) {
		n := stats()
		for result, v := range map[string]uint64{"sent": n.Sent, "queue_full": n.Dropped, "over_rate": n.Limited, "too_long": n.TooLong, "failed": n.Failed} {
			emit(float64(v), result)
		}
	})
	reg.MustRegister(s)
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func collectTraffic(s *snapshots, p ProxySource) {
	s.add(prometheus.CounterValue, "proxy_requests_total", "Requests of peers by method and transport, those sent again included.", []string{"method", "transport"},
		func(emit func(float64, ...string)) {
			for _, m := range p.Methods() {
				emit(float64(m.Requests), m.Method, m.Transport)
			}
		})
	s.add(prometheus.CounterValue, "proxy_responses_total", "Final responses to requests of peers, by method, transport and class.", []string{"method", "transport", "class"},
		func(emit func(float64, ...string)) {
			for _, m := range p.Methods() {
				for class, n := range m.Answers {
					if n > 0 {
						emit(float64(n), m.Method, m.Transport, fmt.Sprintf("%dxx", class))
					}
				}
			}
		})
	hops := func(read func(sipproxy.HopCount) float64) func(emit func(float64, ...string)) {
		return func(emit func(float64, ...string)) {
			for _, h := range p.Hops() {
				emit(read(h), h.Name)
			}
		}
	}
	s.add(prometheus.CounterValue, "proxy_hop_invites_total", "INVITEs sent to a hop: a FreeSWITCH or a trunk by its configured name, all devices together, all voicemail systems called by their domain together.", []string{"hop"},
		hops(func(h sipproxy.HopCount) float64 { return float64(h.Sent) }))
	s.add(prometheus.CounterValue, "proxy_hop_failures_total", "INVITEs that a hop did not take: silence, 503, 408, or nobody there.", []string{"hop"},
		hops(func(h sipproxy.HopCount) float64 { return float64(h.Failed) }))
	s.add(prometheus.GaugeValue, "proxy_node_up", "1 while a FreeSWITCH answers the proxy's OPTIONS, 0 when it has missed some: calls go to others first.", []string{"node"},
		func(emit func(float64, ...string)) {
			up := map[string]bool{} // a node with a domain has several addresses
			for _, h := range p.Health() {
				up[h.Name] = up[h.Name] || h.Up
			}
			for name, is := range up {
				emit(yes(is), name)
			}
		})
}

// Screening counts verdicts.
type Screening struct {
	verdicts *prometheus.CounterVec
	seconds  prometheus.Histogram
}

// NewScreening registers the metrics of screening.
func NewScreening(reg prometheus.Registerer) *Screening {
	s := &Screening{
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "screening_verdicts_total", Help: "Verdicts on callers, by what was done about the call and by the strongest reason.",
		}, []string{"action", "reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "screening_seconds", Help: "Time to judge a caller.", Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .25, 1},
		}),
	}
	reg.MustRegister(s.verdicts, s.seconds)
	return s
}

// Judged counts a verdict; it is edge.Options.Judged.
func (s *Screening) Judged(outcome edge.Outcome, reason string, took time.Duration) {
	s.verdicts.WithLabelValues(string(outcome), cmp.Or(reason, "none")).Inc()
	s.seconds.Observe(took.Seconds())
}

// Stages are the times of the parts of a call's way through the proxy.
type Stages struct {
	seconds map[sipproxy.Stage]prometheus.Observer
}

// NewStages registers them.
func NewStages(reg prometheus.Registerer) *Stages {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "proxy_stage_seconds",
		Help:    "Time of one stage of a trunk's call: screen, route, and hop from an INVITE to the first answer of a FreeSWITCH.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1, 2.5},
	}, []string{"stage"})
	reg.MustRegister(h)
	s := &Stages{seconds: make(map[sipproxy.Stage]prometheus.Observer)}
	for _, stage := range []sipproxy.Stage{sipproxy.StageScreen, sipproxy.StageRoute, sipproxy.StageHop} {
		s.seconds[stage] = h.WithLabelValues(string(stage))
	}
	return s
}

// Took counts a stage; it is sipproxy.Options.StageTook.
func (s *Stages) Took(stage sipproxy.Stage, took time.Duration) {
	if o, ok := s.seconds[stage]; ok {
		o.Observe(took.Seconds())
	}
}
