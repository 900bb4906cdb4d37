package telemetry

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/sidecar"
)

// Calls counts what happens to calls; it implements sidecar.Meter.
type Calls struct {
	calls    *prometheus.CounterVec
	steps    *prometheus.CounterVec
	routes   *prometheus.CounterVec
	systems  systems
	failover prometheus.Counter
	connect  prometheus.Histogram
	first    prometheus.Histogram
	profiles *prometheus.HistogramVec
}

var _ sidecar.Meter = (*Calls)(nil)

// opening are the buckets of how long the beginning of a call takes, in seconds.
var opening = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 2}

// NewCalls registers the metrics of calls.
func NewCalls(reg prometheus.Registerer) *Calls {
	c := &Calls{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "sidecar_calls_total", Help: "Calls that are over for us, by how they ended.",
		}, []string{"result"}),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "sidecar_steps_total", Help: "Steps of plans that were run, by kind and result.",
		}, []string{"step", "result"}),
		routes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "voicemail_routes_total", Help: "Calls that were routed to voicemail systems, by how that ended.",
		}, []string{"result"}),
		systems: systems{attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "voicemail_attempts_total", Help: "Servers of voicemail systems that were offered a call, by the system's name and how that ended.",
		}, []string{"name", "result"})},
		failover: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "voicemail_failovers_total", Help: "Times that a call went on to another server after one had failed.",
		}),
		connect: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "sidecar_connect_seconds", Help: "Time from FreeSWITCH's connection for a call to its answer to connect.", Buckets: opening,
		}),
		first: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "sidecar_first_command_seconds", Help: "Time from that answer to our first command on the wire: until then only the dialplan's guard answers for the call.", Buckets: opening,
		}),
		profiles: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "sidecar_profile_seconds", Help: "Time a call waited for its profile, by how the look-up ended.",
			Buckets: []float64{.00005, .0001, .0005, .001, .005, .01, .025, .05, .1, .15, .25},
		}, []string{"result"}),
	}
	reg.MustRegister(c.calls, c.steps, c.routes, c.systems.attempts, c.failover, c.connect, c.first, c.profiles)
	return c
}

// Opened is esl.ServerOptions.Opened.
func (c *Calls) Opened(o esl.Opening) {
	c.connect.Observe(o.Connect.Seconds())
	c.first.Observe(o.Command.Seconds())
}

// Profile implements sidecar.Meter.
func (c *Calls) Profile(result string, took time.Duration) {
	c.profiles.WithLabelValues(result).Observe(took.Seconds())
}

// Step implements sidecar.Meter.
func (c *Calls) Step(s call.StepRecord) {
	c.steps.WithLabelValues(string(s.Kind), string(s.Result)).Inc()
	if s.Kind != call.StepMailbox {
		return
	}
	c.routes.WithLabelValues(string(s.Result)).Inc()
	for i, a := range s.Attempts {
		fqdn, _, _ := strings.Cut(a.Target, " ")
		c.systems.count(fqdn, string(a.Result))
		if i > 0 && a.Target != s.Attempts[i-1].Target { // our own switch may have been asked twice for one
			c.failover.Inc()
		}
	}
}

// maxSystems bounds the voicemail systems that are counted by their names; all further ones are "others". Tenants may name any number.
const maxSystems = 200

// systems counts attempts by voicemail system.
type systems struct {
	attempts *prometheus.CounterVec
	mu       sync.Mutex
	known    map[string]bool
}

func (s *systems) count(fqdn, result string) {
	s.mu.Lock()
	if s.known == nil {
		s.known = make(map[string]bool)
	}
	switch {
	case s.known[fqdn]:
	case len(s.known) < maxSystems:
		s.known[fqdn] = true
	default:
		fqdn = "others"
	}
	s.mu.Unlock()
	s.attempts.WithLabelValues(fqdn, result).Inc()
}

// Over implements sidecar.Meter.
func (c *Calls) Over(e sidecar.Ending) { c.calls.WithLabelValues(string(e)).Inc() }

// CollectServer registers the metrics of the Event Socket server and of the sidecar behind it.
func CollectServer(reg prometheus.Registerer, server func() esl.ServerStats, counts *sidecar.Counts) {
	s := &snapshots{}
	s.gauge("sidecar_active_calls", "Calls under our control now.", func() float64 { return float64(server().Active) })
	s.counter("sidecar_panics_total", "Panics in the treatment of a call that were caught; FreeSWITCH went on with the call.", func() uint64 { return server().Panics })
	s.counter("sidecar_broken_total", "Calls that went out of our hands by a fault; FreeSWITCH went on with them.", func() uint64 { return uint64(counts.Broken.Load()) })
	s.add(prometheus.CounterValue, "sidecar_connections_total", "Connections of FreeSWITCH's socket application, by what became of them.", []string{"result"},
		func(emit func(float64, ...string)) {
			stats := server()
			emit(float64(stats.Accepted), "accepted")
			emit(float64(stats.Refused), "refused_address")
			emit(float64(stats.Full), "too_many_calls")
			emit(float64(stats.CallerGone), "no_call")
		})
	s.add(prometheus.CounterValue, "sidecar_tokens_total", "Tokens of the proxy, by whether they were good. A refused one makes the call count as not screened.", []string{"result"},
		func(emit func(float64, ...string)) {
			emit(float64(counts.Screened.Load()), "accepted")
			emit(float64(counts.TokensRefused.Load()), "refused")
		})
	reg.MustRegister(s)
}

// LinkSource is the link to one FreeSWITCH; *fsw.Node.
type LinkSource interface {
	Name() string
	Stats() esl.LinkStats
}

// CollectLinks registers the metrics of the links to FreeSWITCH.
func CollectLinks(reg prometheus.Registerer, links []LinkSource) {
	s := &snapshots{}
	add := func(kind prometheus.ValueType, name, help string, read func(esl.LinkStats) float64) {
		s.add(kind, "link_"+name, help, []string{"node"}, func(emit func(float64, ...string)) {
			for _, l := range links {
				emit(read(l.Stats()), l.Name())
			}
		})
	}
	add(prometheus.GaugeValue, "up", "1 while the Event Socket link to a FreeSWITCH is attached, else 0.", func(s esl.LinkStats) float64 { return yes(s.Up) })
	add(prometheus.CounterValue, "attempts_total", "Connections tried.", func(s esl.LinkStats) float64 { return float64(s.Attempts) })
	add(prometheus.CounterValue, "connects_total", "Connections that were attached; one more each time is a reconnect.", func(s esl.LinkStats) float64 { return float64(s.Connects) })
	add(prometheus.CounterValue, "events_total", "Events that came.", func(s esl.LinkStats) float64 { return float64(s.Events) })
	add(prometheus.CounterValue, "events_lost_total", "Events that found no room; the link looks at FreeSWITCH again after such a loss.", func(s esl.LinkStats) float64 { return float64(s.Lost) })
	add(prometheus.GaugeValue, "idle_seconds", "Time since anything came on the link; FreeSWITCH's heartbeat comes every 20 s.", func(s esl.LinkStats) float64 { return s.Idle.Seconds() })
	add(prometheus.GaugeValue, "event_lag_seconds", "Age of the last event when it was handed out, by FreeSWITCH's clock.", func(s esl.LinkStats) float64 { return s.Lag.Seconds() })
	reg.MustRegister(s)
}
