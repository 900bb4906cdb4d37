package sipproxy

import "context"

type screenFunc func(*Invite) Decision

func (f screenFunc) Screen(_ context.Context, inv *Invite) Decision { return f(inv) }

type routeFunc func(*Invite) []Hop

func (f routeFunc) Route(_ context.Context, inv *Invite) []Hop { return f(inv) }

// atOnce is a Screener and Router that is called on the path of the call.
type atOnce struct {
	Screener
	Router
}

func (atOnce) Immediate() {}
