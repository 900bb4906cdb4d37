package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Spool is where messages wait to be delivered; a store.Spool.
type Spool interface {
	CountSpooled(ctx context.Context, node string) (int, error)
}

// Deliveries counts messages that were taken here.
type Deliveries struct{ ended *prometheus.CounterVec }

// NewDeliveries registers the metrics of messages that were taken here.
func NewDeliveries(reg prometheus.Registerer, spool Spool) *Deliveries {
	d := &Deliveries{ended: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "voicemail_deliveries_total", Help: "Attempts to deliver messages that were taken here, by how they ended.",
	}, []string{"result"})}
	s := &snapshots{}
	s.gauge("voicemail_spooled_messages", "Messages that were taken here and wait to be delivered; -1 while the store is silent.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n, err := spool.CountSpooled(ctx, "")
		if err != nil {
			return -1
		}
		return float64(n)
	})
	reg.MustRegister(d.ended, s)
	return d
}

// Ended is delivery.Options.Result.
func (d *Deliveries) Ended(result string) { d.ended.WithLabelValues(result).Inc() }
