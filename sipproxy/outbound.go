package sipproxy

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Calls of a node to a domain that is no configured peer: a voicemail system that is reached by TLS. FreeSWITCH cannot check
// its certificate against the domain when it is told which address to use (measured), so the proxy resolves, checks and fails
// over. Which domains may be called is the Outbound's to say, for each call anew, by what the sidecar signed into TargetHeader.

// TargetHeader is the header by which an INVITE of a node asks to be sent to the domain of its Request-URI. It goes no further.
const TargetHeader = "X-Signalbox-Target"

// targetKey is how a message finds it.
const targetKey = "x-signalbox-target"

// AttemptsHeader tells the node which targets were tried and how each ended, on the final answer to an INVITE with a
// TargetHeader: "192.0.2.1:5061 certificate, 192.0.2.2:5061 200".
const AttemptsHeader = "X-Signalbox-Attempts"

// Outbound names the hops of a node's INVITE to a domain that is no configured peer.
type Outbound interface {
	// Targets gives the hops for a domain, best first, each with a TLSName; permit is the value of TargetHeader. An error that wraps
	// ErrNotPermitted is 403 for that call, any other, or no hop, 503. It is called like a Router.
	Targets(ctx context.Context, inv *Invite, permit string) ([]Hop, error)
	// Tried is told how a hop did: worked is false when it could not be reached, was silent, or answered 5xx. It must not block.
	Tried(hop Hop, worked bool)
}

// ErrNotPermitted means that a node may not call a domain.
var ErrNotPermitted = errors.New("sipproxy: not permitted")

// outside stands for a system that a node called by its domain. It may speak inside that dialog and no further.
var outsidePeer = &Peer{Name: "outside", Kind: outside}

// remoteToken writes a target into a user part, as flowToken does for a device: requests of the dialog that come later find it
// there, also after a restart.
func (p *Proxy) remoteToken(h Hop) string {
	b := []byte{remoteVersion, 0}
	addr, _ := h.Addr.MarshalBinary()
	b = append(b, byte(len(addr)))
	b = append(b, addr...)
	b = append(b, h.TLSName...)
	return base64.RawURLEncoding.EncodeToString(append(b, p.flowSum(b)...))
}

// remote reads such a token; nil when it is none of ours.
func (p *Proxy) remote(token string) *Hop {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 3+6+flowMAC || b[0] != remoteVersion {
		return nil
	}
	body, sum := b[:len(b)-flowMAC], b[len(b)-flowMAC:]
	n := 3 + int(body[2])
	if len(body) < n || !hmac.Equal(sum, p.flowSum(body)) {
		return nil
	}
	var addr netip.AddrPort
	if addr.UnmarshalBinary(body[3:n]) != nil {
		return nil
	}
	return &Hop{Addr: addr, Transport: "tls", TLSName: string(body[n:]), Name: string(body[n:]), outside: true}
}

// remotes are the addresses of systems that nodes called in the last day: they may connect, because some open a connection of
// their own for a BYE. Bounded; the oldest go first.
type remotes struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time
}

const (
	maxRemotes = 4096
	remoteTime = 24 * time.Hour
)

func (r *remotes) add(a netip.Addr, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = make(map[netip.Addr]time.Time)
	}
	if _, known := r.until[a]; !known && len(r.until) >= maxRemotes {
		oldest := a
		for b, t := range r.until {
			if oldest == a || t.Before(r.until[oldest]) {
				oldest = b
			}
		}
		delete(r.until, oldest)
	}
	r.until[a] = now.Add(remoteTime)
}

func (r *remotes) has(a netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until[a])
}

// judgeOutside decides about a request of a called system: it must belong to a dialog that this proxy record-routed to it.
func judgeOutside(req *message, t *table, to *Hop, src netip.AddrPort, self func(string, uint16) bool) fate {
	mine := to != nil && to.Addr.Addr() == src.Addr()
	if tag, _ := parseAddress(req.get("to")); !mine || tag.Tag() == "" && req.method != "ACK" {
		if req.method == "ACK" {
			return fate{absorb: true, why: "ack from outside"}
		}
		return answer(403, "not in a dialog of ours")
	}
	next := nextURI(req)
	addr, peer := t.target(next, Node)
	if peer == nil || self(addr.Addr().String(), addr.Port()) {
		if req.method == "ACK" {
			return fate{absorb: true, why: "ack to nowhere"}
		}
		return answer(403, "remote target is no node")
	}
	return fate{to: addr, peer: peer, network: wants(next, peer)}
}

// beginOutside asks the Outbound for hops.
func (ex *exchange) beginOutside(permit string) {
	s, p := ex.shard, ex.shard.p
	inv, err := newInvite(ex.req, ex.pk.size)
	if err != nil {
		ex.final(response(ex.req, 400, "", nil))
		return
	}
	inv.Peer, inv.Source, inv.Transport, inv.Time = *ex.pk.peer, ex.pk.src, ex.pk.lis.network, ex.pk.at
	ex.inv, ex.screened, ex.outside = inv, true, &attempts{}
	ok := p.spawn(p.routes, func() {
		ctx, cancel := p.callContext()
		defer cancel()
		var hops []Hop
		var err error
		func() {
			defer func() {
				if r := recover(); r != nil {
					p.panicked("outbound", r)
				}
			}()
			hops, err = p.opt.Outbound.Targets(ctx, inv, permit)
		}()
		if err != nil {
			p.log.Warn("a node's call to a domain fails", zap.String("call_id", inv.CallID), zap.String("domain", inv.Called.Host), zap.Error(err))
			hops = nil
		}
		for i := range hops {
			hops[i].outside = true
		}
		s.post(&event{ex: ex, hops: hops, routed: true, refused: errors.Is(err, ErrNotPermitted)})
	})
	if !ok {
		p.n.overload.Add(1)
		ex.final(response(ex.req, 503, "", retryAfter))
		return
	}
	s.after(&ex.wait, p.opt.ScreenTimeout+p.opt.ScreenTimeout/10, ex, outsideDue)
}

// tried notes how a hop ended: with an answer, in silence, or not reached at all. The Outbound is told of those that it named.
func (ex *exchange) tried(l *leg, res *message) {
	code, what := l.outcome(res)
	if code != 0 {
		ex.told(code, "")
	} else {
		ex.told(0, what)
	}
	if ex.outside == nil {
		return
	}
	ex.outside.add(l.hop, what)
	worked := res != nil && res.code < 500 && !(res.code == 408 && l.abandoned)
	ex.shard.p.opt.Outbound.Tried(l.hop, worked)
	ex.shard.p.log.Info("target tried", zap.String("call_id", l.sent.get("call-id")), zap.String("domain", l.hop.TLSName), zap.Stringer("target", l.hop.Addr), zap.String("outcome", what))
}

// attempts are the hops outside that were tried, with what each came to.
type attempts struct {
	list    []string
	refused bool // the Outbound does not permit the call
}

// none answers a call for which there is no hop.
func (ex *exchange) none() *message {
	if ex.outside.refused {
		ex.shard.p.n.forbidden.Add(1)
		return response(ex.req, 403, "", nil)
	}
	ex.shard.p.n.unroutable.Add(1)
	return response(ex.req, 503, "Service Unavailable (no target of the domain is known)", nil)
}

const maxAttemptText = 400

func (a *attempts) add(h Hop, what string) {
	if a != nil {
		a.list = append(a.list, h.Addr.String()+" "+what)
	}
}

// text is fit for a header and for a reason phrase.
func (a *attempts) text() string {
	s := strings.Join(a.list, ", ")
	return s[:min(len(s), maxAttemptText)]
}

// report puts the attempts on the final answer. FreeSWITCH shows the phrase of a failure to the sidecar.
func (a *attempts) report(m *message) {
	if a == nil || len(a.list) == 0 || m.code < 200 {
		return
	}
	m.add(AttemptsHeader, a.text())
	if m.code >= 300 {
		m.phrase = fmt.Sprintf("%s (%s)", m.phrase, a.text())
	}
}
