package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxConns bounds the TCP connections of one agent; more are closed at once.
const maxConns = 32

// endpoint is the UDP socket and the TCP listener of one agent, both on the same port. Its goroutines are
// waited for by close.
type endpoint struct {
	addr    netip.AddrPort
	udp     *net.UDPConn
	tcp     *net.TCPListener
	deliver func(raw []byte, from hop)

	mu     sync.Mutex
	conns  map[netip.AddrPort]net.Conn
	closed bool
	wg     sync.WaitGroup
}

// family is a network for the address's own family alone.
func family(network string, ip netip.Addr) string {
	if ip.Is4() {
		return network + "4"
	}
	return network + "6"
}

// listenBoth takes a port of a loopback address that is free for UDP and for TCP.
func listenBoth(ip netip.Addr, port uint16) (*net.UDPConn, *net.TCPListener, error) {
	var last error
	for range 50 {
		udp, err := net.ListenUDP(family("udp", ip), net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
		if err != nil {
			return nil, nil, fmt.Errorf("listening for SIP: %w", err)
		}
		tcp, err := net.ListenTCP(family("tcp", ip), net.TCPAddrFromAddrPort(udp.LocalAddr().(*net.UDPAddr).AddrPort()))
		if err == nil {
			return udp, tcp, nil
		}
		last = errors.Join(err, udp.Close())
		if port != 0 {
			break
		}
	}
	return nil, nil, fmt.Errorf("listening for SIP over UDP and TCP on one port: %w", last)
}

func openEndpoint(ip netip.Addr, port uint16, deliver func([]byte, hop)) (*endpoint, error) {
	udp, tcp, err := listenBoth(ip, port)
	if err != nil {
		return nil, err
	}
	e := &endpoint{
		addr: udp.LocalAddr().(*net.UDPAddr).AddrPort(), udp: udp, tcp: tcp, deliver: deliver,
		conns: make(map[netip.AddrPort]net.Conn),
	}
	e.wg.Add(2)
	go e.readUDP()
	go e.accept()
	return e, nil
}

func (e *endpoint) readUDP() {
	defer e.wg.Done()
	buf := make([]byte, maxMessage)
	for {
		n, from, err := e.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 16 { // an ICMP error of an earlier datagram, or a keep-alive
			continue
		}
		e.deliver(append([]byte(nil), buf[:n]...), hop{"udp", netip.AddrPortFrom(from.Addr().Unmap(), from.Port())})
	}
}

func (e *endpoint) accept() {
	defer e.wg.Done()
	for {
		c, err := e.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			e.adopt(c)
		}
	}
}

// adopt keeps a connection and reads it until it ends.
func (e *endpoint) adopt(c net.Conn) bool {
	peer := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	e.mu.Lock()
	if e.closed || len(e.conns) >= maxConns {
		e.mu.Unlock()
		_ = c.Close()
		return false
	}
	e.conns[peer] = c
	e.wg.Add(1)
	e.mu.Unlock()
	go e.readTCP(c, peer)
	return true
}

func (e *endpoint) readTCP(c net.Conn, peer netip.AddrPort) {
	defer e.wg.Done()
	defer func() {
		e.mu.Lock()
		delete(e.conns, peer)
		e.mu.Unlock()
		_ = c.Close()
	}()
	r := bufio.NewReaderSize(c, maxMessage)
	for {
		raw, err := ReadMessage(r)
		if err != nil {
			return
		}
		e.deliver(raw, hop{"tcp", peer})
	}
}

// ReadMessage takes one SIP message off a stream (RFC 3261 18.3).
func ReadMessage(r *bufio.Reader) ([]byte, error) {
	var raw []byte
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		blank := strings.TrimRight(string(line), "\r\n") == ""
		if blank && len(raw) == 0 {
			continue // a keep-alive
		}
		raw = append(raw, line...)
		if len(raw) > maxMessage {
			return nil, errNoMessage
		}
		if blank {
			break
		}
		name, value, ok := strings.Cut(string(line), ":")
		if ok && compact(strings.ToLower(strings.TrimSpace(name))) == "content-length" {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > maxMessage {
				return nil, errNoMessage
			}
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return append(raw, body...), nil
}

// cut ends every TCP connection.
func (e *endpoint) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.conns {
		_ = c.Close()
	}
}

// send writes a message. Over TCP it uses the connection it has with that address, or opens one.
func (e *endpoint) send(to hop, raw []byte) error {
	if to.network != "tcp" {
		_, err := e.udp.WriteToUDPAddrPort(raw, to.addr)
		return err
	}
	e.mu.Lock()
	c := e.conns[to.addr]
	e.mu.Unlock()
	if c == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: e.addr.Addr().AsSlice()}} // a carrier is known by the address it sends from
		dialled, err := d.DialContext(ctx, "tcp", to.addr.String())
		if err != nil {
			return err
		}
		if !e.adopt(dialled) {
			return net.ErrClosed
		}
		c = dialled
	}
	if err := c.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	_, err := c.Write(raw)
	return err
}

func (e *endpoint) close() {
	e.mu.Lock()
	e.closed = true
	conns := make([]net.Conn, 0, len(e.conns))
	for _, c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	_ = e.udp.Close()
	_ = e.tcp.Close()
	for _, c := range conns {
		_ = c.Close()
	}
	e.wg.Wait()
}

// deadPort is a port of 127.0.0.1 that is ours and on which nothing listens: a datagram is answered by ICMP, a
// connection by a reset, and no other program can take the port meanwhile.
type deadPort struct {
	addr netip.AddrPort
	hold *net.UDPConn
}

// holdDeadPort makes port dead; 0 takes a free one. A UDP socket connected to the discard port refuses everybody else.
func holdDeadPort(port uint16) (*deadPort, error) {
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9})
	if err != nil {
		return nil, fmt.Errorf("holding a port on which nothing listens: %w", err)
	}
	return &deadPort{addr: c.LocalAddr().(*net.UDPAddr).AddrPort(), hold: c}, nil
}

func (d *deadPort) close() { _ = d.hold.Close() }
