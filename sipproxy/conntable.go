package sipproxy

import (
	"net/netip"
	"sync"

	"go.uber.org/zap"
)

// connTable holds the connections: those we opened by where they lead to, all by their remote address.
type connTable struct {
	mu     sync.Mutex
	out    map[connKey]*conn
	all    map[connKey]*conn
	ids    map[uint64]*conn   // of devices
	from   map[netip.Addr]int // connections of devices, by source
	closed bool
	// unregistered are connections of devices on which nobody has registered yet.
	unregistered int
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
	t.ids, t.from = make(map[uint64]*conn), make(map[netip.Addr]int)
}

// add takes a connection up to limit of peers, or up to the limits for devices.
func (t *connTable) add(c *conn, ours bool, limit int, l Limits) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if c.device {
		source := sourceOf(c.remote.Addr())
		if len(t.ids) >= l.MaxDevices || t.unregistered >= l.MaxUnregistered || t.from[source] >= l.DevicesPerAddress {
			return false
		}
		t.unregistered++
		t.ids[c.id] = c
		t.from[source]++
		t.all[c.key()] = c
		return true
	}
	if len(t.all)-len(t.ids) >= limit {
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
	if t.ids[c.id] == c {
		delete(t.ids, c.id)
		if !c.trusted {
			t.unregistered--
		}
		source := sourceOf(c.remote.Addr())
		if t.from[source]--; t.from[source] <= 0 {
			delete(t.from, source)
		}
	}
}

// outgoing gives a connection that we opened.
func (t *connTable) outgoing(k connKey) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out[k]
}

// trust notes that somebody has registered on a device's connection.
func (t *connTable) trust(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ids[c.id] == c && !c.trusted {
		c.trusted = true
		t.unregistered--
	}
}

// trusts says whether somebody has ever registered on a device's connection.
func (t *connTable) trusts(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.trusted
}

// byID gives a device's connection.
func (t *connTable) byID(id uint64) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ids[id]
}

// incoming gives a connection that somebody opened to us.
func (t *connTable) incoming(network string, a netip.AddrPort) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[connKey{network: network, addr: a}]
}

// part ends our side of every connection that a peer opened, behind what waits to be written on it.
func (t *connTable) part() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, c := range t.all {
		if !c.device && t.out[k] != c {
			c.push(outgoing{last: true})
		}
	}
}

// busy says whether a parted connection is still open, or a message of ours waits to be written.
func (t *connTable) busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.all {
		if c.unsent.Load() > 0 {
			return true
		}
		c.mu.Lock()
		parted := c.parted
		c.mu.Unlock()
		if parted {
			return true
		}
	}
	return false
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

// dial gives the connection we have to an address, or begins one; nil when there is no room, or nothing to be dialled.
func (p *Proxy) dial(hop Hop, l *listener, t *table) *conn {
	to, name := hop.Addr, identity{}
	switch {
	case l.tls != nil && hop.TLSName != "":
		name = identity{domain: hop.TLSName}
	case l.tls != nil:
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
	if hop.TLSName == "" && !t.mayDial(to) {
		p.n.forbidden.Add(1)
		p.log.Debug("no connection is opened to a port of a node where it takes no SIP", zap.Stringer("destination", to))
		return nil
	}
	c := p.newConn(to, l, name, outQueue)
	if !p.conns.add(c, true, p.opt.Limits.MaxConnections, p.opt.Limits) {
		p.n.overload.Add(1)
		c.close()
		return nil
	}
	p.n.connections.Add(1)
	p.wg.Go(c.run)
	return c
}
