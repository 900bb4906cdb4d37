package app

import (
	"github.com/signalbox/signalbox/internal/edge"
	"github.com/signalbox/signalbox/internal/otlp"
	"github.com/signalbox/signalbox/internal/telemetry"
	"github.com/signalbox/signalbox/sipproxy"
)

// openTracing opens the export of spans, if the configuration wants any.
func (a *App) openTracing() (err error) {
	t := a.config.Tracing
	if t.URL == "" {
		return nil
	}
	version, _ := telemetry.Build()
	a.spans, err = otlp.New(otlp.Options{
		URL: t.URL, Token: t.Token.Reveal(), CAFile: t.CAFile, Sample: t.Sample, Version: version, Logger: a.log,
		Resource: []otlp.Attribute{
			otlp.Text("service.name", t.Service), otlp.Text("service.version", version), otlp.Text("service.instance.id", a.instance),
			otlp.Text("signalbox.role", string(a.role)),
		},
	})
	if err == nil {
		telemetry.CollectSpans(a.metrics, a.spans.Stats)
	}
	return err
}

// observer is told of the proxy's requests; nil when nobody traces.
func (a *App) observer() func(sipproxy.Transaction) {
	if a.spans == nil {
		return nil
	}
	return telemetry.ProxySpans(a.spans)
}

// labels make the verdict a part of the call's span; nil when nobody traces.
func (a *App) labels() func(edge.Outcome, string, float64) []sipproxy.HeaderField {
	if a.spans == nil {
		return nil
	}
	return func(outcome edge.Outcome, reason string, likelihood float64) []sipproxy.HeaderField {
		return telemetry.Labels(string(outcome), reason, likelihood)
	}
}
