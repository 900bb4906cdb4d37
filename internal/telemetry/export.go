package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox/signalbox/internal/export"
)

// CollectExport registers the metrics of giving call records to others.
func CollectExport(reg prometheus.Registerer, stats func() export.Stats) {
	s := &snapshots{}
	s.add(prometheus.CounterValue, "export_file_lines_total", "Call records for the file of JSON lines, by whether the file took them.", []string{"result"},
		func(emit func(float64, ...string)) {
			c := stats()
			emit(float64(c.Written), "written")
			emit(float64(c.Unwritten), "failed")
		})
	s.add(prometheus.CounterValue, "export_records_total", "Call records to be posted, by what became of them: spooled is how all begin.", []string{"result"},
		func(emit func(float64, ...string)) {
			c := stats()
			emit(float64(c.Spooled), "spooled")
			emit(float64(c.Delivered), "delivered")
			emit(float64(c.Refused), "refused")
			emit(float64(c.Dropped), "dropped")
		})
	s.gauge("export_spool_records", "Call records that wait to be posted.", func() float64 { return float64(stats().SpoolRecords) })
	s.gauge("export_spool_bytes", "Bytes of call records that wait to be posted.", func() float64 { return float64(stats().SpoolBytes) })
	s.gauge("export_spool_limit_bytes", "Bytes that may wait to be posted; 0 when nothing is posted.", func() float64 { return float64(stats().SpoolMax) })
	reg.MustRegister(s)
}

// Posts counts requests to the receiver of call records.
type Posts struct{ seconds *prometheus.HistogramVec }

// NewPosts registers the metric.
func NewPosts(reg prometheus.Registerer) *Posts {
	p := &Posts{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "export_request_seconds", Help: "Time of one request to the receiver of call records, by how it ended; failed ones are tried again.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"result"})}
	reg.MustRegister(p.seconds)
	return p
}

// Posted is export.Options.Posted.
func (p *Posts) Posted(result string, took time.Duration) {
	p.seconds.WithLabelValues(result).Observe(took.Seconds())
}
