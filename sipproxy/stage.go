package sipproxy

import "time"

// Stage is a part of the way of a trunk's call through the proxy.
type Stage string

// The stages, in the order a call meets them.
const (
	// StageScreen is the Screener: from its call to its decision, or to the end of Options.ScreenTimeout.
	StageScreen Stage = "screen"
	// StageRoute is the Router.
	StageRoute Stage = "route"
	// StageHop is one hop: from the INVITE to its first answer, whichever. A hop that says nothing has none.
	StageHop Stage = "hop"
)

// begins notes when a stage of a trunk's call begins, if anybody is to be told.
func (ex *exchange) begins() {
	if ex.shard.p.opt.StageTook != nil {
		ex.since = time.Now()
	}
}

// ends tells how long the stage took that began last; a stage ends once.
func (ex *exchange) ends(stage Stage) {
	if ex.since.IsZero() {
		return
	}
	ex.shard.p.opt.StageTook(stage, time.Since(ex.since))
	ex.since = time.Time{}
}
