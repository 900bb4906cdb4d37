package telemetry

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// namespace begins the name of every metric.
const namespace = "signalbox"

// Registry holds the metrics of one process.
type Registry = prometheus.Registry

// NewRegistry makes a registry with what is known of the process itself. role is that of the process.
func NewRegistry(role string) *Registry {
	reg := prometheus.NewPedanticRegistry()
	version, revision := Build()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of the program and the role of the process as labels.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go_version": runtime.Version(), "role": role},
	})
	build.Set(1)
	reg.MustRegister(
		build,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{Namespace: namespace}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: "process_goroutines", Help: "Goroutines; a call has a handful."},
			func() float64 { return float64(runtime.NumGoroutine()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: "process_heap_bytes", Help: "Memory of live and not yet collected objects."},
			heapBytes),
	)
	return reg
}

func heapBytes() float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64())
}

// Build is the version and the revision of the program, as far as the compiler was told.
func Build() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return info.Main.Version, revision
}
