package fssim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Bounds of the transports: TCP connections of one profile, and messages that wait to be written to one of them. What
// exceeds them is dropped and logged, as a full socket would do it.
const (
	maxSIPConns    = 512
	maxConnBacklog = 256
	sipDialTimeout = 4 * time.Second
	sipWriteLimit  = 5 * time.Second
	maxDatagram    = 65535
)

var errTransport = errors.New("sip transport")

// flow is where a message came from, or shall go to: one UDP address, or one TCP connection.
type flow struct {
	tcp  bool
	peer netip.AddrPort
	conn *sipConn // nil for UDP
}

// transport owns the sockets of one SIP profile: one UDP and one TCP listener on the same address, and the TCP
// connections. Every message read is handed to deliver, which must not block.
type transport struct {
	log     *zap.Logger
	udp     *net.UDPConn
	lis     *net.TCPListener
	addr    netip.AddrPort
	deliver func(*sipMessage, flow)
	// refused is told about a UDP destination that answered with an ICMP error.
	refused func(netip.AddrPort)

	wg sync.WaitGroup

	mu     sync.Mutex
	conns  map[netip.AddrPort]*sipConn
	closed bool
}

// sipConn is one TCP connection with its writer's queue.
type sipConn struct {
	c    net.Conn
	peer netip.AddrPort
	out  chan []byte
	done chan struct{}
	once sync.Once
}

func (c *sipConn) close() {
	c.once.Do(func() {
		close(c.done)
		c.c.Close()
	})
}

// listenTransport binds UDP and TCP to one address. With port 0 it looks for a port that is free for both.
func listenTransport(addr netip.AddrPort, log *zap.Logger) (*transport, error) {
	var err error
	for range 20 {
		var lis *net.TCPListener
		lis, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
		if err != nil {
			return nil, fmt.Errorf("listen for sip over tcp: %w", err)
		}
		at := lis.Addr().(*net.TCPAddr).AddrPort()
		at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		var udp *net.UDPConn
		udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err == nil {
			wantICMP(udp)
			return &transport{log: log, udp: udp, lis: lis, addr: at, conns: map[netip.AddrPort]*sipConn{}}, nil
		}
		lis.Close()
		if addr.Port() != 0 {
			break
		}
	}
	return nil, fmt.Errorf("listen for sip over udp: %w", err)
}

// run reads until close. It returns when every goroutine of the transport has ended.
func (t *transport) run() {
	t.wg.Go(t.acceptLoop)
	t.readUDP()
	t.wg.Wait()
}

func (t *transport) close() {
	t.mu.Lock()
	t.closed = true
	conns := make([]*sipConn, 0, len(t.conns))
	for _, c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	t.udp.Close()
	t.lis.Close()
	for _, c := range conns {
		c.close()
	}
}

func (t *transport) readUDP() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			t.icmp()
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		m, err := parseSIP(buf[:n])
		if err != nil {
			if n > 4 { // not a keep-alive
				t.log.Warn("dropped a datagram", zap.Stringer("from", from), zap.Error(err))
			}
			continue
		}
		t.deliver(m, flow{peer: from})
	}
}

// icmp tells about destinations that refused a datagram.
func (t *transport) icmp() {
	for _, dst := range refusedDestinations(t.udp) {
		if t.refused != nil {
			t.refused(dst)
		}
	}
}

func (t *transport) acceptLoop() {
	for {
		c, err := t.lis.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		peer := c.RemoteAddr().(*net.TCPAddr).AddrPort()
		if _, err := t.adopt(c, netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())); err != nil {
			c.Close()
		}
	}
}

// adopt starts reader and writer of a connection.
func (t *transport) adopt(c net.Conn, peer netip.AddrPort) (*sipConn, error) {
	sc := &sipConn{c: c, peer: peer, out: make(chan []byte, maxConnBacklog), done: make(chan struct{})}
	t.mu.Lock()
	if t.closed || len(t.conns) >= maxSIPConns {
		t.mu.Unlock()
		return nil, fmt.Errorf("%w: closed or too many connections", errTransport)
	}
	t.conns[peer] = sc
	t.wg.Add(2)
	t.mu.Unlock()
	go func() { defer t.wg.Done(); t.readConn(sc) }()
	go func() { defer t.wg.Done(); sc.writeLoop() }()
	return sc, nil
}

func (t *transport) readConn(sc *sipConn) {
	defer func() {
		sc.close()
		t.mu.Lock()
		if t.conns[sc.peer] == sc {
			delete(t.conns, sc.peer)
		}
		t.mu.Unlock()
	}()
	r := bufio.NewReaderSize(sc.c, 16<<10)
	for {
		m, err := readSIP(r)
		if err != nil {
			if errors.Is(err, errSIPMalformed) || errors.Is(err, errSIPTooLarge) {
				t.log.Warn("closing a sip connection", zap.Stringer("peer", sc.peer), zap.Error(err))
			}
			return
		}
		t.deliver(m, flow{tcp: true, peer: sc.peer, conn: sc})
	}
}

func (c *sipConn) writeLoop() {
	for {
		select {
		case <-c.done:
			return
		case b := <-c.out:
			_ = c.c.SetWriteDeadline(time.Now().Add(sipWriteLimit))
			if _, err := c.c.Write(b); err != nil {
				c.close()
				return
			}
		}
	}
}

// send writes to a flow that exists. A TCP flow whose connection is gone is an error: FreeSWITCH does not open
// another one for a response.
func (t *transport) send(f flow, data []byte) error {
	if !f.tcp {
		if _, err := t.udp.WriteToUDPAddrPort(data, f.peer); err != nil {
			// The error of an earlier datagram is reported by the next call; the datagram itself was not sent.
			t.icmp()
			if _, err = t.udp.WriteToUDPAddrPort(data, f.peer); err != nil {
				return fmt.Errorf("%w: %w", errTransport, err)
			}
		}
		return nil
	}
	select {
	case <-f.conn.done:
		return fmt.Errorf("%w: connection to %s is gone", errTransport, f.peer)
	default:
	}
	select {
	case f.conn.out <- data:
		return nil
	default:
		f.conn.close()
		return fmt.Errorf("%w: %s reads too slowly", errTransport, f.peer)
	}
}

// open returns a flow to a destination, over TCP the connection that is open to exactly this address or a new one.
// It may block for sipDialTimeout.
func (t *transport) open(ctx context.Context, tcp bool, dst netip.AddrPort) (flow, error) {
	if !tcp {
		return flow{peer: dst}, nil
	}
	t.mu.Lock()
	sc := t.conns[dst]
	t.mu.Unlock()
	if sc == nil {
		d := net.Dialer{Timeout: sipDialTimeout}
		c, err := d.DialContext(ctx, "tcp", dst.String())
		if err != nil {
			return flow{}, fmt.Errorf("%w: %w", errTransport, err)
		}
		if sc, err = t.adopt(c, dst); err != nil {
			c.Close()
			return flow{}, err
		}
	}
	return flow{tcp: true, peer: dst, conn: sc}, nil
}
