package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox/signalbox/internal/directory"
)

// Directory measures look-ups of phones.
type Directory struct{ seconds *prometheus.HistogramVec }

// NewDirectory registers the metrics of the directory; every result is there from the beginning.
func NewDirectory(reg prometheus.Registerer) *Directory {
	d := &Directory{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "directory_lookup_seconds", Help: "Time of one look-up of FreeSWITCH in the directory, by how it ended.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .2, .5},
	}, []string{"result"})}
	for _, r := range directory.Results {
		d.seconds.WithLabelValues(string(r))
	}
	reg.MustRegister(d.seconds)
	return d
}

// Took is directory.Options.Took.
func (d *Directory) Took(r directory.Result, took time.Duration) {
	d.seconds.WithLabelValues(string(r)).Observe(took.Seconds())
}

// CollectDirectory registers how many phones are known without the store.
func CollectDirectory(reg prometheus.Registerer, kept func() int) {
	s := &snapshots{}
	s.gauge("directory_kept_phones", "Phones that are known while the store is silent.", func() float64 { return float64(kept()) })
	reg.MustRegister(s)
}
