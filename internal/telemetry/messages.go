package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outbox counts the messages that wait; store.Outbox is one.
type Outbox interface {
	CountOutgoing(ctx context.Context) (int, error)
}

// Messages counts texts to people.
type Messages struct{ tries *prometheus.CounterVec }

// NewMessages registers the metrics of texts to people.
func NewMessages(reg prometheus.Registerer, outbox Outbox) *Messages {
	m := &Messages{tries: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "messages_total", Help: "Tries to send a text to somebody, by sender and how they ended.",
	}, []string{"result", "sender"})}
	s := &snapshots{}
	s.gauge("messages_waiting", "Texts to people that wait to be sent; -1 while the store is silent.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n, err := outbox.CountOutgoing(ctx)
		if err != nil {
			return -1
		}
		return float64(n)
	})
	reg.MustRegister(m.tries, s)
	return m
}

// Tried is message.Options.Result.
func (m *Messages) Tried(sender, result string) { m.tries.WithLabelValues(result, sender).Inc() }
