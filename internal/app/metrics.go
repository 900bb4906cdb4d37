package app

import (
	"time"

	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/telemetry"
)

// measure registers the metrics of everything that is open and counts for itself. What is counted call by call registers itself
// where it is made.
func (a *App) measure() {
	if a.server != nil {
		telemetry.CollectServer(a.metrics, a.server.Stats, a.sidecar.Counts())
		telemetry.CollectLedger(a.metrics, a.ledger)
		telemetry.CollectExport(a.metrics, a.export.Stats)
		telemetry.CollectCache(a.metrics, a.profiles.Stats)
		telemetry.CollectResolver(a.metrics, a.resolved)
		var links []telemetry.LinkSource
		for _, n := range a.nodes {
			links = append(links, n)
		}
		telemetry.CollectLinks(a.metrics, links)
	}
	if a.proxy != nil {
		telemetry.CollectProxy(a.metrics, a.proxy)
		if a.hep != nil {
			telemetry.CollectHEP(a.metrics, a.hep.Stats)
		}
	}
}

// resolved are the counts of the resolver that is used now.
func (a *App) resolved() resolve.Stats { return a.currentResolver().Stats(time.Now()) }
