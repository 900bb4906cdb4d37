package sipproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Bounds of a TCP connection. A peer that does not read for writeTimeout, lets outQueue messages pile up, or stops in the middle
// of a message for partTimeout, loses its connection.
const (
	outQueue     = 512
	deviceQueue  = 32
	dialTimeout  = 2 * time.Second
	writeTimeout = 5 * time.Second
	partTimeout  = 30 * time.Second
	idleTimeout  = 15 * time.Minute
	maxPause     = 100 * time.Millisecond // between two looks at a rate
)

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
		known := p.table.Load().knows(remote.Addr()) || l.tls != nil && p.remotes.has(remote.Addr(), time.Now()) || !l.devices && p.notifies(remote.Addr())
		if !known && (!l.devices || p.cut.banned(remote.Addr(), time.Now())) {
			p.n.strangers.Add(1)
			_ = nc.Close()
			continue
		}
		queue := outQueue
		if !known {
			queue = deviceQueue
		}
		c := p.newConn(remote, l, identity{}, queue)
		c.nc, c.device = nc, !known
		room := p.opt.Limits.MaxConnections
		if !p.table.Load().holdsNode(remote.Addr()) {
			room = max(1, room/2) // carriers together never keep a node out
		}
		if !p.conns.add(c, false, room, p.opt.Limits) {
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
	raw     []byte
	leg     *leg
	control []byte // a frame of WebSocket's own
	last    bool   // nothing, and nothing comes after it
}

// conn is one TCP or TLS connection. It is owned by run, which dials when nc is not set, and by one reader.
type conn struct {
	p      *Proxy
	id     uint64 // random, so that no token leads to a connection of another time
	device bool   // from no peer
	// trusted is set when somebody has registered on it; guarded by connTable.mu.
	trusted bool
	opened  time.Time
	remote  netip.AddrPort
	name    identity          // of a TLS connection that we open: what the certificate must say
	shown   *x509.Certificate // by the other side, when we asked; this and asked are set before anything is read
	asked   bool              // a certificate was asked for
	lis     *listener         // whose advertised address we speak for
	nc      net.Conn
	out     chan outgoing
	gone    <-chan struct{} // closed with the connection
	ctx     context.Context // ends with the connection: it bounds the dial
	cancel  context.CancelFunc

	up      atomic.Bool  // was connected
	unsent  atomic.Int32 // messages that wait to be written
	mu      sync.Mutex
	dead    bool
	parted  bool   // see part
	carried bool   // a leg's request was queued on it; not written to once it is dead
	fail    string // why it never came up, in a word
}

func (p *Proxy) newConn(remote netip.AddrPort, l *listener, name identity, queue int) *conn {
	ctx, cancel := context.WithCancel(p.ctx)
	return &conn{p: p, id: rand.Uint64() | 1, opened: time.Now(), remote: remote, name: name, lis: l, out: make(chan outgoing, queue), gone: ctx.Done(), ctx: ctx, cancel: cancel}
}

func (c *conn) flowKey() flowKey { return flowKey{lis: c.lis, conn: c.id} }

// push queues a message without ever waiting; false means that the connection is dead, parted or full, and then it is closed.
func (c *conn) push(o outgoing) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.parted {
		return false
	}
	select {
	case c.out <- o:
		c.unsent.Add(1)
		c.parted = o.last
		c.carried = c.carried || o.leg != nil
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

// guarded keeps what panics on a connection from costing more than it.
func (c *conn) guarded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			c.p.panicked("connection", r)
			c.close()
		}
	}()
	f()
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
		p.flows.drop(c.flowKey())
		// Nobody pushes after close: what is still queued was not sent.
		for len(c.out) > 0 {
			if o := <-c.out; o.leg != nil {
				o.leg.shard.post(&event{failed: o.leg})
			}
		}
		if c.carried { // looking through all legs costs; nobody makes us do it by opening and closing connections
			for _, s := range p.shards {
				s.post(&event{lost: c})
			}
		}
	}()
	open := false
	if c.guarded(func() { open = c.open() }); !open {
		return
	}
	c.up.Store(true)
	reader := c.read
	if c.lis.webSocket() {
		reader = c.readWS
	}
	p.wg.Go(func() { c.guarded(reader) })
	for {
		select {
		case <-c.gone:
			return
		case o := <-c.out:
			if o.last {
				c.halfClose()
				c.unsent.Add(-1)
				continue
			}
			if len(o.raw) > 2 {
				p.tap(Out, c.lis, c.remote, o.raw)
			}
			if err := c.write(o); err != nil {
				p.n.sendErrors.Add(1)
				p.log.Warn("tcp write", zap.Stringer("destination", c.remote), zap.Error(err))
				if o.leg != nil {
					o.leg.shard.post(&event{failed: o.leg})
				}
				return
			}
			c.unsent.Add(-1)
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
			c.failed("no-connection")
			p.log.Warn(c.lis.network+" dial", zap.Stringer("destination", c.remote), zap.Error(err))
			return false
		}
		c.nc = nc
	}
	if c.lis.tls != nil {
		if err := c.handshake(ours); err != nil {
			p.n.tlsFailed.Add(1)
			c.failed("tls")
			if isCertificate(err) {
				c.failed("certificate")
			}
			if c.device { // everybody's scanner
				c.offend("tls handshake", err)
			} else {
				p.log.Warn("tls handshake", zap.Stringer("remote", c.remote), zap.Bool("ours", ours), zap.Error(err))
			}
			return false
		}
	}
	if c.lis.webSocket() {
		if err := c.upgrade(); err != nil {
			c.offend("websocket request", err)
			return false
		}
	}
	return true
}

// halfClose tells the other side that nothing more comes. What it says is read until it closes too.
func (c *conn) halfClose() {
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		_ = t.CloseWrite()
		nc = t.NetConn()
	}
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

func (c *conn) failed(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = why
}

// why is what kept the connection from coming up: "no-connection", "tls" or "certificate".
func (c *conn) why() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fail
}

// offend counts what a stranger sent and was none of SIP.
func (c *conn) offend(what string, err error) {
	c.p.n.malformed.Add(1)
	c.p.offend(c.lis, c, c.remote, what)
	c.p.log.Info("connection closed", zap.String("what", what), zap.Stringer("source", c.remote), zap.Error(err))
}

// patience is how long the other side may be silent: less in the middle of a message, for a device as long as it is registered, and
// when it never was, in all no longer than Limits.RegisterTime.
func (c *conn) patience(inside bool) time.Duration {
	if !c.device {
		if inside {
			return partTimeout
		}
		return idleTimeout
	}
	now := time.Now()
	switch left := c.p.flows.left(c.flowKey(), now); {
	case left > 0 && !inside:
		return max(idleTimeout, left+partTimeout)
	case left > 0 || c.p.conns.trusts(c):
		return partTimeout
	}
	return min(partTimeout, c.opened.Add(c.p.opt.Limits.RegisterTime).Sub(now))
}

// wait sets the deadline of the read that is under way or comes next. The lock is for a registration that is answered while the reader
// has only the patience for somebody unknown.
func (c *conn) wait(inside bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.nc.SetReadDeadline(time.Now().Add(c.patience(inside)))
}

// read frames the stream and hands messages on, waiting where their shard is busy: TCP slows the sender down.
func (c *conn) read() {
	defer c.close()
	p := c.p
	size := 8192
	if c.device { // there may be many of them
		size = 1024
	}
	buf := make([]byte, 0, size)
	chunk := make([]byte, 2*size)
	stream := framer{limit: p.opt.Limits.MaxMessage}
	for {
		for {
			skip, n, ping, err := stream.next(buf)
			if err != nil {
				c.offend("stream", err)
				return
			}
			if ping {
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
			buf = make([]byte, 0, size)
		}
		c.wait(len(buf) > 0)
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
	if t := p.table.Load(); !t.holdsNode(c.remote.Addr()) {
		limit, from, rate := p.messages, c.remote.Addr(), t.messageRate(c.remote.Addr(), p.messages.rate)
		if c.device {
			limit, from, rate = p.devices, sourceOf(from), 0
		}
		for pause := time.Duration(0); ; {
			now := time.Now()
			stranger := c.device && !p.flows.has(c.flowKey(), now)
			if stranger && p.cut.banned(c.remote.Addr(), now) {
				p.n.banned.Add(1)
				return false
			}
			ok, wait := limit.takeAt(netip.AddrPortFrom(from, 0), now, rate)
			if ok && stranger {
				ok, wait = p.unknown.take(netip.Addr{}, now)
			}
			if ok {
				break
			}
			p.n.rateLimited.Add(1)
			// Who waits longer looks less often: else a hundred connections of one address would all wake up for each message.
			pause = min(max(wait, 2*pause), maxPause)
			select {
			case <-time.After(pause):
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
	if s.here(&pk) {
		return true
	}
	select {
	case s.in <- &event{packet: &pk}:
		s.look()
		return true
	case <-c.gone:
		return false
	case <-p.stop:
		return false
	}
}
