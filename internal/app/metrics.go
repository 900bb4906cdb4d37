package app

import "github.com/signalbox/signalbox/internal/telemetry"

// measure registers the metrics of everything that is open and counts for itself. What is counted call by call registers itself
// where it is made.
func (a *App) measure() {
	if a.server != nil {
		telemetry.CollectServer(a.metrics, a.server.Stats, a.sidecar.Counts())
		telemetry.CollectLedger(a.metrics, a.ledger)
		telemetry.CollectExport(a.metrics, a.export.Stats)
		telemetry.CollectCache(a.metrics, a.profiles.Stats)
		var links []telemetry.LinkSource
		for _, n := range a.nodes {
			links = append(links, n)
		}
		telemetry.CollectLinks(a.metrics, links)
	}
	if a.targets != nil {
		telemetry.CollectResolver(a.metrics, a.currentResolver, a.targets)
	}
	if a.proxy != nil {
		telemetry.CollectProxy(a.metrics, a.proxy)
		if a.hep != nil {
			telemetry.CollectHEP(a.metrics, a.hep.Stats)
		}
	}
}
