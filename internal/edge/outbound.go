package edge

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/sipproxy"
)

// Outbound lets FreeSWITCH call voicemail systems by TLS through the proxy: those, and only those, for which the sidecar signed a
// permit. It implements sipproxy.Outbound and is safe for concurrent use.
type Outbound struct {
	// Permits gives the checker in use of what the sidecar signed; nil = nothing is permitted.
	Permits func() *token.Checker
	// Resolver gives the resolver in use; what it learns of targets counts for the next call.
	Resolver func() *resolve.Resolver
}

var _ sipproxy.Outbound = (*Outbound)(nil)

// Targets implements sipproxy.Outbound.
func (o *Outbound) Targets(ctx context.Context, inv *sipproxy.Invite, permit string) ([]sipproxy.Hop, error) {
	domain := inv.Called.Host
	permits := o.Permits()
	if permits == nil {
		return nil, fmt.Errorf("%w: no token keys", sipproxy.ErrNotPermitted)
	}
	if err := permits.CheckPermit(permit, domain, time.Now()); err != nil {
		return nil, fmt.Errorf("%w: %w", sipproxy.ErrNotPermitted, err)
	}
	found, err := o.Resolver().Lookup(ctx, domain, "tls")
	if err != nil {
		return nil, err
	}
	var hops []sipproxy.Hop
	for _, t := range found {
		hops = append(hops, sipproxy.Hop{Addr: t.Addr, Transport: "tls", TLSName: domain, Name: domain})
	}
	return hops, nil
}

// Tried implements sipproxy.Outbound.
func (o *Outbound) Tried(hop sipproxy.Hop, worked bool) {
	t := resolve.Target{Name: hop.TLSName, Addr: hop.Addr, Transport: hop.Transport}
	if worked {
		o.Resolver().Worked(t, time.Now())
		return
	}
	o.Resolver().Failed(t, time.Now())
}
