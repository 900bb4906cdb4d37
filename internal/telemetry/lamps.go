package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Lamps counts what voicemail systems say of mailboxes and what phones are told.
type Lamps struct{ notified, told *prometheus.CounterVec }

// NewLamps registers the metrics of message counts.
func NewLamps(reg prometheus.Registerer) *Lamps {
	l := &Lamps{
		notified: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "mwi_notify_total", Help: "Message-summary NOTIFYs of voicemail systems, by how they ended.",
		}, []string{"result"}),
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "mwi_lamps_total", Help: "Message lamps for a FreeSWITCH to tell its phones of, by what became of them.",
		}, []string{"result"}),
	}
	reg.MustRegister(l.notified, l.told)
	return l
}

// Notified is mwi.TakerOptions.Result.
func (l *Lamps) Notified(result string) { l.notified.WithLabelValues(result).Inc() }

// Told is mwi.KeeperOptions.Result.
func (l *Lamps) Told(result string) { l.told.WithLabelValues(result).Inc() }
