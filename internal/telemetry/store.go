package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

type behind = store.Records // embedded under a name that is none of its methods

// Records measures writes of call records on their way to a store.
type Records struct {
	behind
	seconds *prometheus.HistogramVec
}

// NewRecords registers the metrics of writing call records and puts itself in front of a store.
func NewRecords(reg prometheus.Registerer, s store.Records) *Records {
	r := &Records{s, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "store_write_seconds", Help: "Time of one write of a call record, by operation and whether the store took it.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2},
	}, []string{"operation", "result"})}
	reg.MustRegister(r.seconds)
	return r
}

func (r *Records) measure(operation string, write func() error) error {
	began := time.Now()
	err := write()
	result := "ok"
	if err != nil {
		result = "error"
	}
	r.seconds.WithLabelValues(operation, result).Observe(time.Since(began).Seconds())
	return err
}

// Open implements store.Records.
func (r *Records) Open(ctx context.Context, rec call.Record) error {
	return r.measure("open", func() error { return r.behind.Open(ctx, rec) })
}

// Update implements store.Records.
func (r *Records) Update(ctx context.Context, rec call.Record) error {
	return r.measure("update", func() error { return r.behind.Update(ctx, rec) })
}

// Close implements store.Records.
func (r *Records) Close(ctx context.Context, rec call.Record) error {
	return r.measure("close", func() error { return r.behind.Close(ctx, rec) })
}

// LedgerSource is what waits to be written; *sidecar.Ledger.
type LedgerSource interface {
	Waiting() int
	Spooled() int64
	Dropped() int64
	Lost() int64
}

// CollectLedger registers the metrics of the ledger.
func CollectLedger(reg prometheus.Registerer, l LedgerSource) {
	s := &snapshots{}
	s.gauge("ledger_waiting_records", "Call records in memory that wait to be written to the store.", func() float64 { return float64(l.Waiting()) })
	s.gauge("ledger_spooled_records", "Ends of calls that wait in the spool file because the store took none.", func() float64 { return float64(l.Spooled()) })
	s.counter("ledger_dropped_states_total", "States of open call records that found no room while the store took none; their ends are not among them.", func() uint64 { return uint64(l.Dropped()) })
	s.counter("ledger_lost_records_total", "Ends of calls that found no room, neither in memory nor on the disk.", func() uint64 { return uint64(l.Lost()) })
	reg.MustRegister(s)
}

// Reads measures reads of profiles.
type Reads struct{ seconds *prometheus.HistogramVec }

// NewReads registers the metric of reading profiles.
func NewReads(reg prometheus.Registerer) *Reads {
	r := &Reads{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "profile_read_seconds", Help: "Time of one read of a profile from the store, by whether it answered.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .15, .5, 1, 5},
	}, []string{"result"})}
	reg.MustRegister(r.seconds)
	return r
}

// Took counts one read.
func (r *Reads) Took(d time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	r.seconds.WithLabelValues(result).Observe(d.Seconds())
}

// CollectCache registers the metrics of the cache of profiles.
func CollectCache(reg prometheus.Registerer, stats func() store.CacheStats) {
	s := &snapshots{}
	s.add(prometheus.CounterValue, "profile_cache_total", "Profiles asked for, by where the answer came from.", []string{"result"}, func(emit func(float64, ...string)) {
		c := stats()
		for result, n := range map[string]uint64{"hit": c.Hits, "negative": c.Negative, "miss": c.Misses, "stale": c.Stale, "unavailable": c.Unavailable, "warmed": c.Warmed} {
			emit(float64(n), result)
		}
	})
	reg.MustRegister(s)
}
