package sipproxy

import "context"

type screenFunc func(*Invite) Decision

func (f screenFunc) Screen(_ context.Context, inv *Invite) Decision { return f(inv) }

type routeFunc func(*Invite) []Hop

func (f routeFunc) Route(_ context.Context, inv *Invite) []Hop { return f(inv) }
