package sipproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Bounds of a TCP connection. A peer that does not read for writeTimeout, lets outQueue messages pile up, or stops in the middle
// of a message for partTimeout, loses its connection.
const (
	outQueue     = 512
	dialTimeout  = 2 * time.Second
	writeTimeout = 5 * time.Second
	partTimeout  = 30 * time.Second
	idleTimeout  = 15 * time.Minute
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
		p.stranger(raw, src, l)
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
	p.tap(Out, l.bound, dst, raw)
	if _, err := l.pc.WriteToUDPAddrPort(raw, dst); err != nil {
		p.n.sendErrors.Add(1)
		p.log.Warn("udp write", zap.Stringer("destination", dst), zap.Int("size", len(raw)), zap.Error(err))
		return false
	}
	p.n.messagesOut.Add(1)
	return true
}

// acceptTCP takes connections from peers and closes all others unread.
func (p *Proxy) acceptTCP(l *listener) {
	for {
		nc, err := l.ln.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			p.log.Warn("tcp accept", zap.Error(err))
			select { // out of descriptors: not at full speed
			case <-p.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		remote := unmapped(nc.RemoteAddr().(*net.TCPAddr).AddrPort())
		if !p.table.Load().knows(remote.Addr()) {
			p.n.strangers.Add(1)
			_ = nc.Close()
			continue
		}
		c := p.newConn(remote, l, identity{})
		c.nc = nc
		room := p.opt.Limits.MaxConnections
		if !p.table.Load().holdsNode(remote.Addr()) {
			room = max(1, room/2) // carriers together never keep a node out
		}
		if !p.conns.add(c, false, room) {
			p.n.overload.Add(1)
			_ = nc.Close()
			c.close()
			continue
		}
		p.n.connections.Add(1)
		p.wg.Go(c.run)
	}
}

// outgoing is one message queued on a connection; leg, if set, is told when it cannot be sent.
type outgoing struct {
	raw []byte
	leg *leg
}

// conn is one TCP or TLS connection. It is owned by run, which dials when nc is not set, and by one reader.
type conn struct {
	p      *Proxy
	remote netip.AddrPort
	name   identity   // of a TLS connection that we open: what the certificate must say
	holds  []identity // what the other side's certificate is for; this and asked are set before anything is read
	asked  bool       // a certificate was asked for
	lis    *listener  // whose advertised address we speak for
	nc     net.Conn
	out    chan outgoing
	gone   <-chan struct{} // closed with the connection
	ctx    context.Context // ends with the connection: it bounds the dial
	cancel context.CancelFunc

	up   atomic.Bool // was connected
	mu   sync.Mutex
	dead bool
}

func (p *Proxy) newConn(remote netip.AddrPort, l *listener, name identity) *conn {
	ctx, cancel := context.WithCancel(p.ctx)
	return &conn{p: p, remote: remote, name: name, lis: l, out: make(chan outgoing, outQueue), gone: ctx.Done(), ctx: ctx, cancel: cancel}
}

// push queues a message without ever waiting; false means that the connection is dead or full, and then it is closed.
func (c *conn) push(o outgoing) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return false
	}
	select {
	case c.out <- o:
		return true
	default:
		c.kill()
		return false
	}
}

// kill is called with mu held.
func (c *conn) kill() {
	c.dead = true
	c.cancel()
}

func (c *conn) close() {
	c.mu.Lock()
	c.kill()
	c.mu.Unlock()
}

func (c *conn) run() {
	p := c.p
	defer func() {
		c.close()
		if c.nc != nil {
			_ = c.nc.Close()
		}
		p.conns.remove(c)
		p.n.connections.Add(-1)
		// Nobody pushes after close: what is still queued was not sent.
		for len(c.out) > 0 {
			if o := <-c.out; o.leg != nil {
				o.leg.shard.post(event{failed: o.leg})
			}
		}
		for _, s := range p.shards {
			s.post(event{lost: c})
		}
	}()
	if !c.open() {
		return
	}
	c.up.Store(true)
	p.wg.Go(c.read)
	for {
		select {
		case <-c.gone:
			return
		case o := <-c.out:
			p.tap(Out, c.lis.bound, c.remote, o.raw)
			_ = c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := c.nc.Write(o.raw); err != nil {
				p.n.sendErrors.Add(1)
				p.log.Warn("tcp write", zap.Stringer("destination", c.remote), zap.Error(err))
				if o.leg != nil {
					o.leg.shard.post(event{failed: o.leg})
				}
				return
			}
			p.n.messagesOut.Add(1)
		}
	}
}

// open dials, or takes the TLS handshake of the connection that was accepted.
func (c *conn) open() bool {
	p := c.p
	ours := c.nc == nil
	if ours {
		ctx, cancel := context.WithTimeout(c.ctx, dialTimeout)
		defer cancel()
		d := net.Dialer{}
		if !c.lis.bound.Addr().IsUnspecified() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.lis.bound.Addr(), 0))
		}
		nc, err := d.DialContext(ctx, "tcp", c.remote.String())
		if err != nil {
			p.n.sendErrors.Add(1)
			p.log.Warn(c.lis.network+" dial", zap.Stringer("destination", c.remote), zap.Error(err))
			return false
		}
		c.nc = nc
	}
	if c.lis.tls == nil {
		return true
	}
	if err := c.handshake(ours); err != nil {
		p.n.tlsFailed.Add(1)
		p.log.Warn("tls handshake", zap.Stringer("remote", c.remote), zap.Bool("ours", ours), zap.Error(err))
		return false
	}
	return true
}

// read frames the stream and hands messages on, waiting where their shard is busy: TCP slows the sender down.
func (c *conn) read() {
	defer c.close()
	p := c.p
	buf := make([]byte, 0, 8192)
	chunk := make([]byte, 16384)
	for {
		for {
			skip, n, err := frame(buf, p.opt.Limits.MaxMessage)
			if err != nil {
				p.n.malformed.Add(1)
				p.log.Info("tcp connection closed", zap.Stringer("source", c.remote), zap.Error(err))
				return
			}
			if skip >= 4 { // the ping of RFC 5626 4.4.1
				c.push(outgoing{raw: []byte("\r\n")})
			}
			buf = buf[skip:]
			if n == 0 {
				break
			}
			if !c.take(buf[:n]) {
				return
			}
			buf = buf[n:]
		}
		if len(buf) == 0 {
			buf = make([]byte, 0, 8192)
		}
		wait := idleTimeout
		if len(buf) > 0 {
			wait = partTimeout
		}
		_ = c.nc.SetReadDeadline(time.Now().Add(wait))
		n, err := c.nc.Read(chunk)
		buf = append(buf, chunk[:n]...)
		if err != nil && n == 0 {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				p.log.Debug("tcp read", zap.Stringer("source", c.remote), zap.Error(err))
			}
			return
		}
	}
}

func (c *conn) take(raw []byte) bool {
	p := c.p
	// Nodes are not limited. Which peer it is only the Via tells, so this looks at the prefixes alone.
	if !p.table.Load().holdsNode(c.remote.Addr()) {
		for {
			ok, wait := p.messages.take(c.remote.Addr(), time.Now())
			if ok {
				break
			}
			p.n.rateLimited.Add(1)
			select {
			case <-time.After(wait):
			case <-c.gone:
				return false
			case <-p.stop:
				return false
			}
		}
	}
	pk, ok := p.read(raw, c.remote, c.lis, c)
	if !ok {
		return true
	}
	s := p.shardFor(pk.msg.get("call-id"))
	select {
	case s.in <- event{packet: &pk}:
		return true
	case <-c.gone:
		return false
	case <-p.stop:
		return false
	}
}

// frame finds the first message of a stream: skip bytes of line ends before it, then n bytes, 0 when it is not complete.
// Content-Length must be there (RFC 3261 18.3), once.
func frame(buf []byte, limit int) (skip, n int, err error) {
	for skip+1 < len(buf) && buf[skip] == '\r' && buf[skip+1] == '\n' {
		skip += 2
	}
	buf = buf[skip:]
	end := bytes.Index(buf, headEnd)
	if end < 0 {
		if len(buf) > limit {
			return skip, 0, fmt.Errorf("%w: no end of header in %d bytes", ErrTooLarge, len(buf))
		}
		return skip, 0, nil
	}
	length := -1
	for line := range bytes.SplitSeq(buf[:end], headEnd[:2]) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t' || foldName(string(bytes.TrimSpace(name))) != "content-length" {
			continue
		}
		v, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
		if err != nil || length >= 0 {
			return skip, 0, fmt.Errorf("%w: Content-Length %.40q", ErrMalformed, value)
		}
		length = int(v)
	}
	if length < 0 {
		return skip, 0, fmt.Errorf("%w: no Content-Length on a stream", ErrMalformed)
	}
	total := end + len(headEnd) + length
	if total > limit {
		return skip, 0, fmt.Errorf("%w: %d bytes", ErrTooLarge, total)
	}
	if len(buf) < total {
		return skip, 0, nil
	}
	return skip, total, nil
}

// connTable holds the connections: those we opened by where they lead to, all by their remote address.
type connTable struct {
	mu     sync.Mutex
	out    map[connKey]*conn
	all    map[connKey]*conn
	closed bool
}

// connKey tells connections apart. Those of other names are not shared: one address may serve several domains.
type connKey struct {
	network string
	addr    netip.AddrPort
	name    identity
}

func (c *conn) key() connKey { return connKey{c.lis.network, c.remote, c.name} }

func (t *connTable) init() {
	t.out, t.all = make(map[connKey]*conn), make(map[connKey]*conn)
}

func (t *connTable) add(c *conn, ours bool, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.all) >= limit {
		return false
	}
	if ours {
		t.out[c.key()] = c
	}
	t.all[c.key()] = c
	return true
}

func (t *connTable) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out[c.key()] == c {
		delete(t.out, c.key())
	}
	if t.all[c.key()] == c {
		delete(t.all, c.key())
	}
}

// outgoing gives a connection that we opened.
func (t *connTable) outgoing(k connKey) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out[k]
}

// incoming gives a connection that somebody opened to us.
func (t *connTable) incoming(network string, a netip.AddrPort) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[connKey{network: network, addr: a}]
}

func (t *connTable) closeAll() {
	t.mu.Lock()
	t.closed = true
	all := make([]*conn, 0, len(t.all)+len(t.out))
	for _, c := range t.all {
		all = append(all, c)
	}
	for _, c := range t.out {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		c.close()
	}
}

// dial gives the connection we have to an address, or begins one; nil when there is no room.
func (p *Proxy) dial(to netip.AddrPort, l *listener, t *table) *conn {
	name := identity{}
	if l.tls != nil {
		name = t.identity(to)
	}
	if c := p.conns.outgoing(connKey{l.network, to, name}); c != nil {
		c.mu.Lock()
		dead := c.dead
		c.mu.Unlock()
		if !dead {
			return c
		}
		p.conns.remove(c)
	}
	c := p.newConn(to, l, name)
	if !p.conns.add(c, true, p.opt.Limits.MaxConnections) {
		p.n.overload.Add(1)
		c.close()
		return nil
	}
	p.n.connections.Add(1)
	p.wg.Go(c.run)
	return c
}
