package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox/signalbox/internal/api"
	"github.com/signalbox/signalbox/internal/provision"
)

// API counts requests of integrators; it implements api.Meter.
type API struct {
	seconds *prometheus.HistogramVec
	refused *prometheus.CounterVec
}

var _ api.Meter = (*API)(nil)

// NewAPI registers the metrics of the API.
func NewAPI(reg prometheus.Registerer) *API {
	a := &API{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "api_request_seconds", Help: "Time of one request of the API, by route, method and the first digit of the status.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 2.5, 10},
		}, []string{"method", "route", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "api_refused_total", Help: "Requests of the API that were refused before a route answered, or for their token, by reason.",
		}, []string{"reason"}),
	}
	reg.MustRegister(a.seconds, a.refused)
	return a
}

// Request implements api.Meter.
func (a *API) Request(route, method string, status int, took time.Duration) {
	a.seconds.WithLabelValues(method, route, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
}

// Refused implements api.Meter.
func (a *API) Refused(reason string) { a.refused.WithLabelValues(reason).Inc() }

// Provision counts provisioning requests; it implements provision.Meter.
type Provision struct {
	seconds   *prometheus.HistogramVec
	failures  *prometheus.CounterVec
	webhooks  *prometheus.CounterVec
	mailboxes *prometheus.CounterVec
	differ    *prometheus.GaugeVec
}

var _ provision.Meter = (*Provision)(nil)

// NewProvision registers the metrics of provisioning requests.
func NewProvision(reg prometheus.Registerer) *Provision {
	p := &Provision{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "provision_seconds", Help: "Time from the arrival of a provisioning request to its end, by service and how that ended.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300},
		}, []string{"result", "service"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "provision_failures_total", Help: "Provisioning requests that failed, by the step that failed.",
		}, []string{"step"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "provision_webhooks_total", Help: "Tries to tell a tenant that its request is finished, by result.",
		}, []string{"result"}),
		mailboxes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "provision_mailbox_requests_total", Help: "Requests to voicemail systems about their mailboxes, by operation and result.",
		}, []string{"operation", "result"}),
		differ: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "reconcile_differences", Help: "Differences between profiles and mailboxes at the last look, by kind.",
		}, []string{"kind"}),
	}
	reg.MustRegister(p.seconds, p.failures, p.webhooks, p.mailboxes, p.differ)
	return p
}

// Finished implements provision.Meter.
func (p *Provision) Finished(service, result string, took time.Duration) {
	p.seconds.WithLabelValues(result, service).Observe(took.Seconds())
}

// Failed implements provision.Meter.
func (p *Provision) Failed(step string) { p.failures.WithLabelValues(step).Inc() }

// Webhook implements provision.Meter.
func (p *Provision) Webhook(result string) { p.webhooks.WithLabelValues(result).Inc() }

// Mailbox implements provision.Meter.
func (p *Provision) Mailbox(operation, result string) {
	p.mailboxes.WithLabelValues(operation, result).Inc()
}

// Reconciled takes over what the last reconciliation found.
func (p *Provision) Reconciled(r provision.Reconciliation) {
	for _, kind := range provision.DifferenceKinds {
		p.differ.WithLabelValues(string(kind)).Set(float64(r.Differences[kind]))
	}
	p.differ.WithLabelValues("not-looked").Set(float64(len(r.NotLooked)))
}
