package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox/signalbox/internal/resolve"
)

// maxNames bounds the series of one metric by name: names come from provisioning, not from callers, but there may be many.
const maxNames = 30

// CollectResolver registers the metrics of looking up names and of the targets behind them. current gives the resolver of now:
// a reload of the DNS settings begins a new one.
func CollectResolver(reg prometheus.Registerer, current func() *resolve.Resolver, targets *resolve.Health) {
	s := &snapshots{}
	stats := func() resolve.Stats { return current().Stats() }
	s.counter("resolver_lookups_total", "Look-ups of names, those answered from the cache included.", func() uint64 { return stats().Lookups })
	s.counter("resolver_cached_total", "Look-ups answered from the cache.", func() uint64 { return stats().Cached })
	s.counter("resolver_failures_total", "Look-ups that ended without a target.", func() uint64 { return stats().Failed })
	s.counter("resolver_stale_total", "Expired answers used because no DNS server answered.", func() uint64 { return stats().Stale })
	s.counter("resolver_refused_total", "Addresses left out because they are this machine's own.", func() uint64 { return stats().Refused })
	s.add(prometheus.GaugeValue, "resolver_name_up", "1 while a name that calls asked for in the last ten minutes leads to a target that takes calls, else 0.",
		[]string{"name"}, func(emit func(float64, ...string)) {
			for _, n := range current().Names(time.Now(), maxNames) {
				emit(yes(n.Up), n.Name)
			}
		})
	s.add(prometheus.GaugeValue, "resolver_targets", "Targets of names, by the state of their circuit breaker.", []string{"state"}, func(emit func(float64, ...string)) {
		count := map[resolve.State]float64{resolve.Closed: 0, resolve.HalfOpen: 0, resolve.Open: 0}
		for _, t := range targets.States() {
			count[t.State]++
		}
		for state, n := range count {
			emit(n, string(state))
		}
	})
	s.counter("resolver_breakers_opened_total", "Times that the circuit breaker of a target opened.", func() uint64 { return targets.Stats().Opened })
	s.add(prometheus.CounterValue, "resolver_probes_total", "OPTIONS sent to targets, by whether they were answered.", []string{"result"}, func(emit func(float64, ...string)) {
		h := targets.Stats()
		emit(float64(h.Answered), "answered")
		emit(float64(h.Missed), "missed")
	})
	reg.MustRegister(s)
}
