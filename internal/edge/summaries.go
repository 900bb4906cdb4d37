package edge

import (
	"context"
	"net/netip"

	"github.com/signalbox/signalbox/internal/mwi"
	"github.com/signalbox/signalbox/sipproxy"
)

// Summaries hands message summaries of voicemail systems to whoever keeps them. It implements sipproxy.Summaries.
type Summaries struct{ Taker *mwi.Taker }

var _ sipproxy.Summaries = Summaries{}

// Known implements sipproxy.Summaries.
func (s Summaries) Known(addr netip.Addr) bool { return s.Taker.Known(addr) }

// Take implements sipproxy.Summaries.
func (s Summaries) Take(ctx context.Context, sum sipproxy.Summary) int {
	return s.Taker.Take(ctx, mwi.Notice{Source: sum.Source, User: sum.To.User, From: sum.From.Host, Body: sum.Body, Time: sum.Time})
}
