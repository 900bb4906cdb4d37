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
	for {
		n, from, err := l.pc.ReadFromUDPAddrPort(buf)
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
		p.datagram(buf[:n], unmapped(from), l)
	}
}

func (p *Proxy) datagram(raw []byte, src netip.AddrPort, l *listener) {
	t := p.table.Load()
	peer := t.match(src.Addr(), src.Port())
	if peer == nil && !t.knows(src.Addr()) {
		if l.devices {
			p.deviceDatagram(raw, src, l)
		} else {
			p.stranger(raw, src, l)
		}
		return
	}
	if len(bytes.Trim(raw, "\r\n\x00")) == 0 {
		return // keep-alive
	}
	if peer == nil || peer.Kind == Trunk {
		if ok, _ := p.messages.take(src.Addr(), time.Now()); !ok {
			p.n.rateLimited.Add(1)
			return
		}
	}
	p.handOver(raw, src, l)
}

func (p *Proxy) handOver(raw []byte, src netip.AddrPort, l *listener) {
	pk, ok := p.read(raw, src, l, nil)
	if !ok {
		return
	}
	s := p.shardFor(pk.msg.get("call-id"))
	select {
	case s.in <- event{packet: &pk}:
	default:
		p.n.overload.Add(1)
	}
}

// deviceDatagram takes what comes to a listener for devices. Limits come before the parser; who is registered has a limit of his
// own and is never banned.
func (p *Proxy) deviceDatagram(raw []byte, src netip.AddrPort, l *listener) {
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
			_, _ = l.pc.WriteToUDPAddrPort(answer, src)
			return
		}
	}
	if len(bytes.Trim(raw, "\r\n\x00")) == 0 {
		return // keep-alive
	}
	p.handOver(raw, src, l)
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
	p.n.refused.Add(1)
	v, _ := m.topVia()
	m.stampVia(v, src)
	p.writeUDP(l, src, response(m, 403, "", nil).bytes())
}

func (p *Proxy) writeUDP(l *listener, dst netip.AddrPort, raw []byte) bool {
	p.tap(Out, l, dst, raw)
	if _, err := l.pc.WriteToUDPAddrPort(raw, dst); err != nil {
		p.n.sendErrors.Add(1)
		p.log.Warn("udp write", zap.Stringer("destination", dst), zap.Int("size", len(raw)), zap.Error(err))
		return false
	}
	p.n.messagesOut.Add(1)
	return true
}
