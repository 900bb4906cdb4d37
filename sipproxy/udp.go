package sipproxy

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// readUDP is the reader of one socket. What comes from a stranger costs a look at the prefixes and nothing else, but for a few a
// second that are answered 403.
func (p *Proxy) readUDP(l *listener) {
	buf := make([]byte, 65536)
	row := 0
	for {
		n, from, waited, err := l.udp.receive(buf)
		if row++; waited {
			row = 0
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case <-p.stop:
				return
			default:
			}
			p.log.Warn("udp read", zap.Error(err))
			continue
		}
		p.datagram(buf[:n], from, l, row > crowd)
	}
}

// crowd is how many datagrams without a pause mean that there is more to do than one processor should: from then on the shards'
// own goroutines handle them.
const crowd = 16

func (p *Proxy) datagram(raw []byte, src netip.AddrPort, l *listener, crowded bool) {
	t := p.table.Load()
	peer := t.match(src.Addr(), src.Port())
	if peer == nil && !t.knows(src.Addr()) && (l.devices || !p.notifies(src.Addr())) {
		if l.devices {
			p.deviceDatagram(raw, src, l, crowded)
		} else {
			p.stranger(raw, src, l)
		}
		return
	}
	if len(bytes.Trim(raw, "\r\n\x00")) == 0 {
		return // keep-alive
	}
	if peer == nil || peer.Kind == Trunk {
		from, rate := netip.AddrPortFrom(src.Addr(), 0), 0.0
		if peer != nil {
			from, rate = peer.source(src.Addr()), peer.MessagesPerSecond
		}
		if ok, _ := p.messages.takeAt(from, time.Now(), rate); !ok {
			p.n.rateLimited.Add(1)
			return
		}
	}
	p.handOver(raw, src, l, crowded)
}

// handOver has a message handled: here, or by its shard's goroutine when there are more to be read.
func (p *Proxy) handOver(raw []byte, src netip.AddrPort, l *listener, crowded bool) {
	pk, ok := p.read(raw, src, l, nil)
	if !ok {
		return
	}
	s := p.shardFor(pk.msg.get("call-id"))
	if !crowded && s.here(&pk) {
		return
	}
	if !s.offer(&event{packet: &pk}) {
		p.n.overload.Add(1)
	}
}

// deviceDatagram takes what comes to a listener for devices. Limits come before the parser; who is registered has a limit of his
// own and is never banned.
func (p *Proxy) deviceDatagram(raw []byte, src netip.AddrPort, l *listener, crowded bool) {
	now := time.Now()
	known := p.flows.has(flowKey{lis: l, addr: src}, now)
	if !known && p.bans.banned(src.Addr(), now) {
		p.n.banned.Add(1)
		return
	}
	if ok, _ := p.devices.take(sourceOf(src.Addr()), now); !ok {
		p.n.rateLimited.Add(1)
		return
	}
	if ok := known; !ok {
		if ok, _ = p.unknown.take(netip.Addr{}, now); !ok {
			p.n.rateLimited.Add(1)
			return
		}
	}
	if len(raw) >= 20 && raw[0] < 2 {
		if answer := stunAnswer(raw, src); answer != nil {
			_ = l.udp.send(answer, src)
			return
		}
	}
	if len(bytes.Trim(raw, "\r\n\x00")) == 0 {
		return // keep-alive
	}
	p.handOver(raw, src, l, crowded)
}

// offend counts an offence of whoever is no peer and not registered.
func (p *Proxy) offend(l *listener, c *conn, src netip.AddrPort, what string) {
	if !l.devices || p.table.Load().knows(src.Addr()) {
		return
	}
	k, now := flowKey{lis: l, addr: src}, time.Now()
	if c != nil {
		k = c.flowKey()
	}
	if p.flows.has(k, now) {
		return
	}
	if p.bansOf(l).offence(src.Addr(), now) {
		p.log.Warn("address banned", zap.Stringer("address", src.Addr()), zap.String("last_offence", what), zap.Duration("for", p.opt.BanTime))
	}
}

// challenged counts a password that FreeSWITCH asked somebody for.
func (p *Proxy) challenged(pk *packet) {
	if p.flows.has(keyOf(pk), pk.at) {
		return
	}
	if p.bansOf(pk.lis).challenge(pk.src.Addr(), time.Now()) {
		p.log.Warn("address banned", zap.Stringer("address", pk.src.Addr()), zap.String("last_offence", "asked for passwords and gives none"), zap.Duration("for", p.opt.BanTime))
	}
}

// stranger answers a request from nowhere with 403, or not at all. The rate is one for all strangers, so nothing is
// remembered about any of them; it is asked before the parser is.
func (p *Proxy) stranger(raw []byte, src netip.AddrPort, l *listener) {
	p.n.strangers.Add(1)
	if len(raw) < 64 || raw[0] < 'A' || raw[0] > 'Z' || bytes.HasPrefix(raw, []byte("SIP/")) || bytes.HasPrefix(raw, []byte("ACK ")) {
		return
	}
	if ok, _ := p.refusals.take(netip.Addr{}, time.Now()); !ok {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			p.panicked("stranger", r)
		}
	}()
	m, err := parseMessage(p.parser, raw, p.opt.Limits)
	if err != nil || !m.isRequest() || m.checkSense() != "" {
		return
	}
	if m.isScanner() {
		p.n.scanners.Add(1)
		return
	}
	p.n.refused.Add(1)
	if m.method == "NOTIFY" && p.opt.Summaries != nil {
		p.n.summariesRefused.Add(1)
	}
	v, _ := m.topVia()
	m.stampVia(v, src)
	p.writeUDP(l, src, response(m, 403, "", nil).bytes())
}

func (p *Proxy) writeUDP(l *listener, dst netip.AddrPort, raw []byte) bool {
	p.tap(Out, l, dst, raw)
	if err := l.udp.send(raw, dst); err != nil {
		p.n.sendErrors.Add(1)
		p.log.Warn("udp write", zap.Stringer("destination", dst), zap.Int("size", len(raw)), zap.Error(err))
		return false
	}
	p.n.messagesOut.Add(1)
	return true
}
