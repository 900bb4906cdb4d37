package sipproxy

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Summary is what a voicemail system says of a mailbox: a NOTIFY with the event message-summary (RFC 3842), sent without a
// subscription. Everything in it but Source is what its sender wrote.
type Summary struct {
	Source    netip.AddrPort
	Transport string
	CallID    string
	To        Address // of the Request-URI
	From      Address
	Body      []byte // application/simple-message-summary, at most maxSummary bytes
	Time      time.Time
}

// Summaries takes the summaries of voicemail systems, which need not be peers.
type Summaries interface {
	// Known reports whether a voicemail system may send from an address. It is asked for each message of whoever is no peer,
	// from several goroutines at once, and must not block.
	Known(addr netip.Addr) bool
	// Take keeps a summary and says how its NOTIFY is answered, 200 to 699. It is called on a goroutine of its own, with a context that
	// ends after Options.ScreenTimeout. A summary that is sent again comes again.
	Take(ctx context.Context, s Summary) int
}

// maxSummary bounds the body of a summary.
const maxSummary = 8192

// notifies says whether an address that is no peer's may send summaries.
func (p *Proxy) notifies(addr netip.Addr) bool {
	return p.opt.Summaries != nil && p.opt.Summaries.Known(addr)
}

// summary takes a request that is a summary, and reports whether it was one. Whether its sender may send it is answered here too: a
// summary is addressed to us, and goes no further.
func (s *shard) summary(pk *packet) bool {
	p, m := s.p, pk.msg
	if p.opt.Summaries == nil || m.method != "NOTIFY" || pk.peer != nil && (pk.peer.Kind == Node || pk.peer.Kind == Device) || pk.code != 0 {
		return false
	}
	if name, _, _ := strings.Cut(m.get("event"), ";"); !strings.EqualFold(strings.TrimSpace(name), "message-summary") {
		return false
	}
	if to, err := parseAddress(m.get("to")); err != nil || to.Tag() != "" {
		return false // of a subscription, and it is not ours
	}
	if !p.opt.Summaries.Known(pk.src.Addr()) {
		p.n.summariesRefused.Add(1)
		s.reply(pk, 403, "", nil)
		return true
	}
	if len(m.body) > maxSummary {
		s.reply(pk, 513, "", nil)
		return true
	}
	sum := Summary{Source: pk.src, Transport: pk.lis.network, CallID: m.get("call-id"), To: parseURI(m.uri), Body: m.body, Time: pk.at}
	sum.From, _ = parseAddress(m.get("from"))
	ok := p.spawn(p.summaries, func() {
		code := 500
		func() {
			defer func() {
				if r := recover(); r != nil {
					p.panicked("summaries", r)
				}
			}()
			ctx, cancel := p.callContext()
			defer cancel()
			code = p.opt.Summaries.Take(ctx, sum)
		}()
		if code < 200 || code > 699 {
			code = 500
		}
		p.log.Debug("summary answered", zap.String("call_id", sum.CallID), zap.Stringer("source", sum.Source), zap.Int("code", code))
		if code/100 == 2 {
			p.n.summariesTaken.Add(1)
		} else {
			p.n.summariesRefused.Add(1)
		}
		s.post(&event{packet: pk, summed: code})
	})
	if !ok {
		p.n.overload.Add(1)
		s.reply(pk, 503, "", retryAfter)
	}
	return true
}
