package sipproxy

import (
	"context"
	"time"
)

// Drain ends what only this process knows of, before it stops: requests to which no hop has said anything yet. It returns when there is none,
// or ctx ends, with how many were left. Everything else the next proxy on the same addresses can go on with (see the package comment).
// From the call of Drain on, new calls by UDP are left to it: they are not answered, because they are sent again. By other transports they
// are not, so they are taken to the end. Then the listeners of connections are closed, and those that peers have opened are half-closed,
// behind all that waits on them: a peer that sees it closes too, and opens a new one for what it says next. For a peer that does not, Drain
// waits for half a second. Requests inside dialogs are served until Run ends.
func (p *Proxy) Drain(ctx context.Context) (left int) {
	p.leaving.Store(true)
	if left = p.untilHeard(ctx, func() bool { return false }); left > 0 {
		return left
	}
	for _, l := range p.lis {
		if l.ln != nil {
			_ = l.ln.Close()
		}
	}
	p.conns.part()
	parting, cancel := context.WithTimeout(ctx, partingTime)
	defer cancel()
	p.untilHeard(parting, p.conns.busy)
	return p.untilHeard(ctx, func() bool { return false })
}

// partingTime is how long Drain waits for peers to close their connections.
const partingTime = 500 * time.Millisecond

// untilHeard waits until a hop has said something to every request and nothing else is busy, and gives how many requests are left.
func (p *Proxy) untilHeard(ctx context.Context, busy func() bool) (left int) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if left = int(p.n.unheard.Load()); left == 0 && !busy() {
			return 0
		}
		select {
		case <-again.C:
		case <-p.stop:
			return left
		case <-ctx.Done():
			return left
		}
	}
}

// leavesToNext says whether a request is for the next proxy: a new call that will be sent again, when this one is leaving.
func (p *Proxy) leavesToNext(pk *packet) bool {
	if !p.leaving.Load() || pk.msg.method != "INVITE" || pk.lis.network != "udp" {
		return false
	}
	to, err := parseAddress(pk.msg.get("to"))
	return err == nil && to.Tag() == ""
}

// heard notes that a hop has said something, or that the request was answered by us.
func (ex *exchange) heard() {
	if ex.unheard {
		ex.unheard = false
		ex.shard.p.n.unheard.Add(-1)
	}
}
