package telemetry

import "github.com/prometheus/client_golang/prometheus"

// snapshots is a collector of metrics that somebody else counts: each is read when the registry is scraped.
type snapshots struct{ metrics []snapshot }

type snapshot struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(emit func(value float64, labels ...string))
}

func (s *snapshots) add(kind prometheus.ValueType, name, help string, labels []string, read func(emit func(float64, ...string))) {
	s.metrics = append(s.metrics, snapshot{prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil), kind, read})
}

func (s *snapshots) counter(name, help string, read func() uint64) {
	s.add(prometheus.CounterValue, name, help, nil, func(emit func(float64, ...string)) { emit(float64(read())) })
}

func (s *snapshots) gauge(name, help string, read func() float64) {
	s.add(prometheus.GaugeValue, name, help, nil, func(emit func(float64, ...string)) { emit(read()) })
}

// Describe implements prometheus.Collector.
func (s *snapshots) Describe(out chan<- *prometheus.Desc) {
	for _, m := range s.metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (s *snapshots) Collect(out chan<- prometheus.Metric) {
	for _, m := range s.metrics {
		m.read(func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
		})
	}
}
