package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/signalbox/signalbox/internal/lab"
)

// edge gives SIPp, which speaks UDP with it, a transport that Debian's build of it has not, or does not have as a carrier has it:
// one connection for all that it says, opened again when it is gone, and one address for those who call it. It can hold back what
// SIPp says inside a dialog.
type edge struct {
	network string // "udp", "tcp", "tls", "ws" or "wss"
	proxy   netip.AddrPort
	outside netip.Addr     // from where it speaks to the proxy
	addr    netip.AddrPort // where it is called; by a WebSocket it is not
	tls     *tls.Config
	gate    *gate // nil = nothing is held back

	inner *net.UDPConn
	outer *net.UDPConn // of "udp"
	ln    net.Listener
	wg    sync.WaitGroup
	done  chan struct{}
	in    chan []byte // for SIPp

	mu            sync.Mutex
	closed        bool
	refers        bool           // SIPp waits for the answer to a REFER
	sipp          netip.AddrPort // who spoke last
	out           net.Conn       // to the proxy
	conns         map[net.Conn]struct{}
	refused, lost int                 // connections that the proxy did not take; INVITEs that had to be said once more on another one
	came          map[string]net.Conn // a request's connection, by its topmost Via
	went          map[string]net.Conn // what SIPp has said, which repeats itself as by UDP
}

// gate holds a request inside a dialog back until it is opened.
type gate struct {
	waits, open chan struct{} // closed when somebody waits, and when nobody need wait any more
	once        sync.Once
}

func newGate() *gate { return &gate{waits: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) pass(done <-chan struct{}) {
	g.once.Do(func() { close(g.waits) })
	select {
	case <-g.open:
	case <-done:
	}
}

// carrierDomain is what the certificate of a caller over TLS is for.
const carrierDomain = "carrier.lab.example.test"

// newEdge opens it at ip, or towards a proxy at ::1 there; close ends it. g may be nil.
func newEdge(s *lab.Stage, network, ip string, proxy netip.AddrPort, g *gate) *edge {
	e := &edge{network: network, proxy: proxy, gate: g, done: make(chan struct{}), in: make(chan []byte, 64), conns: make(map[net.Conn]struct{}), came: make(map[string]net.Conn),
		went: make(map[string]net.Conn), outside: netip.MustParseAddr(ip)}
	udp := func(at netip.Addr) *net.UDPConn {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
		s.Must(err)
		return c
	}
	e.inner = udp(e.outside)
	if proxy.Addr().Is6() {
		e.outside = netip.IPv6Loopback()
	}
	e.wg.Go(e.fromSIPp)
	e.wg.Go(e.deliver)
	if network == "tls" || network == "wss" {
		cert, err := s.Rig.Certificate(carrierDomain)
		s.Must(err)
		e.tls = toProxyTLS(s)
		e.tls.Certificates = []tls.Certificate{cert}
	}
	switch {
	case e.webSocket():
	case network == "udp":
		e.outer = udp(e.outside)
		e.addr = e.outer.LocalAddr().(*net.UDPAddr).AddrPort()
		e.wg.Go(e.datagrams)
	default:
		var err error
		e.ln, err = net.Listen("tcp", netip.AddrPortFrom(e.outside, 0).String())
		s.Must(err)
		e.addr = e.ln.Addr().(*net.TCPAddr).AddrPort()
		if network == "tls" {
			e.ln = tls.NewListener(e.ln, e.tls)
		}
		e.wg.Go(e.connections)
	}
	return e
}

// toProxyTLS is what a client believes the proxy by.
func toProxyTLS(s *lab.Stage) *tls.Config {
	pem, err := os.ReadFile(filepath.Join(s.Rig.Dir(), "ca.pem"))
	s.Must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots, ServerName: "proxy.lab.example.test"}
}

func (e *edge) connections() {
	for {
		c, err := e.ln.Accept()
		if err != nil {
			return
		}
		e.adopt(c)
	}
}

func (e *edge) datagrams() {
	buf := make([]byte, 65536)
	for {
		n, err := e.outer.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil { // a proxy that is being started again refuses some
			e.toSIPp(nil, buf[:n])
		}
	}
}

func (e *edge) close() {
	close(e.done)
	e.mu.Lock()
	e.closed = true
	for c := range e.conns {
		_ = c.Close()
	}
	e.mu.Unlock()
	_ = e.inner.Close()
	if e.outer != nil {
		_ = e.outer.Close()
	}
	if e.ln != nil {
		_ = e.ln.Close()
	}
	e.wg.Wait()
}

// via and contact are what SIPp writes of its transport.
func (e *edge) via() string {
	if e.addr.IsValid() {
		return strings.ToUpper(e.network) + " " + e.addr.String()
	}
	return strings.ToUpper(e.network) + " browser.invalid"
}

func (e *edge) contact() string {
	switch {
	case e.network == "udp":
		return e.addr.String()
	case e.addr.IsValid():
		return e.addr.String() + ";transport=" + e.network
	}
	return "browser.invalid;transport=ws"
}

func (e *edge) webSocket() bool { return e.network == "ws" || e.network == "wss" }

// expect says where SIPp listens, before it has spoken.
func (e *edge) expect(sipp netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sipp = sipp
}

// hasSIPp reports whether SIPp listens.
func (e *edge) hasSIPp() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.sipp.IsValid() {
		return false
	}
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(e.sipp))
	if err != nil {
		return true
	}
	_ = c.Close()
	return false
}

// adopt reads a connection until it ends.
func (e *edge) adopt(c net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = c.Close()
		return
	}
	e.conns[c] = struct{}{}
	e.wg.Go(func() {
		r := bufio.NewReader(c)
		for {
			raw, err := e.read(c, r)
			if err != nil {
				break
			}
			e.toSIPp(c, raw)
		}
		_ = c.Close()
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.conns, c)
		if e.out == c {
			e.out = nil
		}
	})
}

// read takes one message off a connection.
func (e *edge) read(c net.Conn, r *bufio.Reader) ([]byte, error) {
	if !e.webSocket() {
		return lab.ReadMessage(r)
	}
	raw, _, err := wsutil.ReadServerData(struct {
		io.Reader
		io.Writer
	}{r, c})
	return raw, err
}

// toSIPp hands a message on, and remembers whose answer must come back on this connection. News of a mailbox, which FreeSWITCH sends to
// whoever has registered, are taken here: SIPp expects a call.
func (e *edge) toSIPp(c net.Conn, raw []byte) {
	m, err := lab.ParseMessage(raw)
	if err == nil && m.Method() == "NOTIFY" && m.Get("event") == "message-summary" {
		e.send(c, okOf(m))
		return
	}
	e.mu.Lock()
	if err == nil && m.IsRequest() {
		e.came[topVia(m)] = c
	}
	e.mu.Unlock()
	select {
	case e.in <- slices.Clone(raw):
	case <-e.done:
	}
}

// breath is what SIPp needs between two messages: one that comes before it has taken its next step is unexpected to it.
const breath = 10 * time.Millisecond

// deliver hands messages to SIPp one after the other. What the other side asks while a REFER has no answer yet waits for that: its NOTIFY, and
// a BYE, come on another connection and may overtake it, which SIPp cannot be told to expect.
func (e *edge) deliver() {
	var later [][]byte
	for {
		var raw []byte
		select {
		case raw = <-e.in:
		case <-e.done:
			return
		}
		m, err := lab.ParseMessage(raw)
		e.mu.Lock()
		waits := e.refers && err == nil && m.IsRequest()
		if err == nil && !m.IsRequest() && m.Method() == "REFER" {
			e.refers = false
		}
		free := !e.refers
		e.mu.Unlock()
		if waits {
			later = append(later, raw)
			continue
		}
		due := [][]byte{raw}
		if free {
			due, later = append(due, later...), nil
		}
		for _, raw := range due {
			e.mu.Lock()
			to := e.sipp
			e.mu.Unlock()
			_, _ = e.inner.WriteToUDPAddrPort(raw, to)
			select {
			case <-time.After(breath):
			case <-e.done:
				return
			}
		}
	}
}

// okOf is a 200 to a request outside a dialog.
func okOf(m *lab.Message) []byte {
	b := []byte("SIP/2.0 200 OK\r\n")
	for _, via := range m.All("via") {
		b = fmt.Appendf(b, "Via: %s\r\n", via)
	}
	return fmt.Appendf(b, "From: %s\r\nTo: %s;tag=edge\r\nCall-ID: %s\r\nCSeq: %s\r\nContent-Length: 0\r\n\r\n", m.Get("from"), m.Get("to"), m.CallID(), m.Get("cseq"))
}

func topVia(m *lab.Message) string {
	via, _, _ := strings.Cut(m.Get("via"), ",")
	return via
}

// fromSIPp takes what SIPp says.
func (e *edge) fromSIPp() {
	buf := make([]byte, 65536)
	for {
		n, from, err := e.inner.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		e.mu.Lock()
		e.sipp = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		var c net.Conn
		m, err := lab.ParseMessage(buf[:n])
		if err == nil && !m.IsRequest() {
			c = e.came[topVia(m)]
		}
		e.mu.Unlock()
		if err == nil && e.gate != nil && m.IsRequest() && m.Method() != "ACK" && inDialog(m) {
			e.gate.pass(e.done)
		}
		if err == nil && m.IsRequest() && m.Method() == "REFER" {
			e.mu.Lock()
			e.refers = true
			e.mu.Unlock()
		}
		e.send(c, buf[:n])
	}
}

// fold is where a header line is folded: SIPp's scenarios cannot say it, because they lose the blanks at the beginning of a line.
const fold = "{fold}"

// send sends a message of SIPp's on a connection, or to the proxy.
func (e *edge) send(c net.Conn, raw []byte) {
	raw = bytes.ReplaceAll(raw, []byte(fold), []byte("\r\n\t"))
	if e.outer != nil {
		_, _ = e.outer.WriteToUDPAddrPort(raw, e.proxy)
		return
	}
	if c == nil {
		var err error
		if c, err = e.toProxy(); err != nil {
			e.mu.Lock()
			e.refused++
			e.mu.Unlock()
			return // SIPp waits, and says so
		}
	}
	e.mu.Lock()
	before, said := e.went[string(raw)]
	again := before == c
	if said && !again && strings.HasPrefix(string(raw), "INVITE ") {
		e.lost++
	}
	e.went[string(raw)] = c
	e.mu.Unlock()
	switch {
	case again:
	case e.webSocket():
		_ = wsutil.WriteClientText(c, raw)
	default:
		_, _ = c.Write(raw)
	}
}

// toProxy is the connection to the proxy, a new one when the last is gone.
func (e *edge) toProxy() (net.Conn, error) {
	e.mu.Lock()
	c := e.out
	e.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := dialProxy(e.network, e.outside, e.proxy, e.tls)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.out = c
	e.mu.Unlock()
	e.adopt(c)
	return c, nil
}

// dialProxy opens a connection to the proxy.
func dialProxy(network string, from netip.Addr, proxy netip.AddrPort, t *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}).DialContext(ctx, "tcp", proxy.String())
	if err != nil {
		return nil, err
	}
	if t != nil {
		c = tls.Client(c, t)
	}
	if network == "ws" || network == "wss" {
		_, _, err = ws.Dialer{Protocols: []string{"sip"}, Timeout: 3 * time.Second}.Upgrade(c, &url.URL{Scheme: network, Host: proxy.String(), Path: "/"})
		if err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}
