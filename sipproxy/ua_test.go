package sipproxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ua is one end of a call that writes its bytes itself, so the tests assert what is on the wire.
type ua struct {
	t    *testing.T
	name string
	addr netip.AddrPort
	pc   *net.UDPConn
	ln   *net.TCPListener
	in   chan got
	wg   sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	ended map[net.Conn]chan struct{} // closed when the other side has said its last
}

// got is one message a ua received.
type got struct {
	raw  string
	from netip.AddrPort
	conn net.Conn // nil is UDP
}

const patience = 5 * time.Second

// newUA listens on the address for UDP and TCP on one port.
func newUA(t *testing.T, name, ip string) *ua {
	t.Helper()
	u := &ua{t: t, name: name, in: make(chan got, 256)}
	for range 20 {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		u.addr = pc.LocalAddr().(*net.UDPAddr).AddrPort()
		ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(ip), Port: int(u.addr.Port())})
		if err != nil {
			pc.Close()
			continue
		}
		u.pc, u.ln = pc, ln
		break
	}
	if u.ln == nil {
		t.Fatalf("%s: no port free for both UDP and TCP", name)
	}
	u.wg.Go(u.readUDP)
	u.wg.Go(u.accept)
	t.Cleanup(u.close)
	return u
}

func (u *ua) close() {
	u.pc.Close()
	u.ln.Close()
	u.mu.Lock()
	for _, c := range u.conns {
		c.Close()
	}
	u.mu.Unlock()
	u.wg.Wait()
}

func (u *ua) readUDP() {
	buf := make([]byte, 65536)
	for {
		n, from, err := u.pc.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		u.in <- got{raw: string(buf[:n]), from: from}
	}
}

func (u *ua) accept() {
	for {
		c, err := u.ln.Accept()
		if err != nil {
			return
		}
		u.follow(c)
	}
}

func (u *ua) follow(c net.Conn) {
	u.mu.Lock()
	u.conns = append(u.conns, c)
	ended := make(chan struct{})
	if u.ended == nil {
		u.ended = make(map[net.Conn]chan struct{})
	}
	u.ended[c] = ended
	u.mu.Unlock()
	u.wg.Go(func() {
		defer close(ended)
		from := c.RemoteAddr().(*net.TCPAddr).AddrPort()
		var buf []byte
		chunk := make([]byte, 4096)
		for {
			n, err := c.Read(chunk)
			buf = append(buf, chunk[:n]...)
			for {
				skip, size, ferr := frame(buf, 1<<20)
				buf = buf[skip:]
				if ferr != nil || size == 0 {
					break
				}
				u.in <- got{raw: string(buf[:size]), from: from, conn: c}
				buf = buf[size:]
			}
			if err != nil {
				return
			}
		}
	})
}

// dial opens a TCP connection from the ua's address and an arbitrary port.
func (u *ua) dial(to netip.AddrPort) net.Conn {
	u.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: u.addr.Addr().AsSlice()}, Timeout: patience}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		u.t.Fatalf("%s: dial %s: %v", u.name, to, err)
	}
	u.follow(c)
	return c
}

// closed waits until the other side of a connection has said its last.
func (u *ua) closed(c net.Conn) {
	u.t.Helper()
	u.mu.Lock()
	ended := u.ended[c]
	u.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(patience):
		u.t.Fatalf("%s: the connection is not closed within %s", u.name, patience)
	}
}

func (u *ua) udp(to netip.AddrPort, raw string) {
	u.t.Helper()
	if _, err := u.pc.WriteToUDPAddrPort([]byte(raw), to); err != nil {
		u.t.Fatalf("%s: write: %v", u.name, err)
	}
}

// expect waits for a message whose first line begins so; retransmissions of others are skipped, but a
// message of another kind than those in skip fails the test.
func (u *ua) expect(prefix string, skip ...string) got {
	u.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case g := <-u.in:
			if strings.HasPrefix(g.raw, prefix) {
				return g
			}
			ok := false
			for _, s := range skip {
				ok = ok || strings.HasPrefix(g.raw, s)
			}
			if !ok {
				u.t.Fatalf("%s waits for %q and got:\n%s", u.name, prefix, g.raw)
			}
		case <-deadline:
			u.t.Fatalf("%s: no %q within %s", u.name, prefix, patience)
		}
	}
}

// quiet asserts that nothing is waiting to be read but what skip allows.
func (u *ua) quiet(skip ...string) {
	u.t.Helper()
	for {
		select {
		case g := <-u.in:
			ok := false
			for _, s := range skip {
				ok = ok || strings.HasPrefix(g.raw, s)
			}
			if !ok {
				u.t.Fatalf("%s: unexpected\n%s", u.name, g.raw)
			}
		default:
			return
		}
	}
}

// answer sends a response on the way the request came.
func (u *ua) answer(req got, status string, extra ...string) {
	u.t.Helper()
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for _, l := range lines(req.raw) {
		name := foldName(strings.TrimSpace(strings.SplitN(l, ":", 2)[0]))
		switch name {
		case "via", "from", "call-id", "cseq", "record-route":
			b.WriteString(l + "\r\n")
		case "to":
			if !strings.Contains(l, "tag=") && !strings.HasPrefix(status, "100") {
				l += ";tag=" + u.name
			}
			b.WriteString(l + "\r\n")
		}
	}
	for _, e := range extra {
		b.WriteString(e + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	u.back(req, b.String())
}

func (u *ua) back(req got, raw string) {
	u.t.Helper()
	if req.conn != nil {
		if _, err := io.WriteString(req.conn, raw); err != nil {
			u.t.Fatalf("%s: write: %v", u.name, err)
		}
		return
	}
	u.udp(req.from, raw)
}

func (u *ua) contact() string { return fmt.Sprintf("Contact: <sip:%s@%s>", u.name, u.addr) }

func lines(raw string) []string {
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	return strings.Split(head, "\r\n")[1:]
}

// headers gives the values of a header, each line one.
func headers(raw, name string) []string {
	var out []string
	for _, l := range lines(raw) {
		n, v, _ := strings.Cut(l, ":")
		if foldName(strings.TrimSpace(n)) == strings.ToLower(name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

func header(raw, name string) string {
	if v := headers(raw, name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func startLine(raw string) string { l, _, _ := strings.Cut(raw, "\r\n"); return l }

var seq atomic.Uint64

// request writes one; extra lines stand after the mandatory headers.
type request struct {
	method, uri, transport string
	branch, callID, to     string
	cseq                   int
	extra                  []string
	body                   string
}

func (u *ua) build(r request) string {
	if r.transport == "" {
		r.transport = "UDP"
	}
	if r.branch == "" {
		r.branch = fmt.Sprintf("z9hG4bK%s%d", u.name, seq.Add(1))
	}
	if r.cseq == 0 {
		r.cseq = 1
	}
	if r.to == "" {
		r.to = "<sip:+15550001@example.test>"
	}
	extra := ""
	for _, e := range r.extra {
		extra += e + "\r\n"
	}
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;rport;branch=%s\r\nMax-Forwards: 70\r\nFrom: \"Caller\" <sip:+15557777@carrier.test>;tag=%s\r\n"+
		"To: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%s%sContent-Length: %d\r\n\r\n%s",
		r.method, r.uri, r.transport, u.addr, r.branch, u.name, r.to, r.callID, r.cseq, r.method, u.contact()+"\r\n", extra, len(r.body), r.body)
}

func (u *ua) invite(callID string, extra ...string) string {
	return u.build(request{method: "INVITE", uri: "sip:+15550001@example.test", callID: callID, branch: "z9hG4bK" + callID, extra: extra})
}

// ackFailure is the ACK of a final failure.
func (u *ua) ackFailure(invite string, res got) string {
	return "ACK sip:+15550001@example.test SIP/2.0\r\nVia: " + header(invite, "via") + "\r\nMax-Forwards: 70\r\nFrom: " + header(invite, "from") +
		"\r\nTo: " + header(res.raw, "to") + "\r\nCall-ID: " + header(invite, "call-id") + "\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
}

// cancelOf is the CANCEL of an INVITE.
func (u *ua) cancelOf(invite string) string {
	return "CANCEL sip:+15550001@example.test SIP/2.0\r\nVia: " + header(invite, "via") + "\r\nMax-Forwards: 70\r\nFrom: " + header(invite, "from") +
		"\r\nTo: " + header(invite, "to") + "\r\nCall-ID: " + header(invite, "call-id") + "\r\nCSeq: 1 CANCEL\r\nReason: Q.850;cause=16\r\nContent-Length: 0\r\n\r\n"
}

// inDialog is a request of the caller after the 200 res, along its route set.
func (u *ua) inDialog(method string, res got, cseq int, extra ...string) string {
	var routes []string
	rr := SplitList(headers(res.raw, "record-route"))
	for i := len(rr) - 1; i >= 0; i-- {
		routes = append(routes, "Route: "+rr[i])
	}
	a, _ := parseAddress(header(res.raw, "contact"))
	return u.build(request{method: method, uri: a.URI, callID: header(res.raw, "call-id"), to: header(res.raw, "to"), cseq: cseq, extra: append(routes, extra...)})
}

// inDialogFrom is a request of the callee, who got the INVITE inv and answered it.
func (u *ua) inDialogFrom(method, transport string, inv got, cseq int) string {
	a, _ := parseAddress(header(inv.raw, "contact"))
	var extra []string
	for _, r := range SplitList(headers(inv.raw, "record-route")) {
		extra = append(extra, "Route: "+r)
	}
	raw := u.build(request{method: method, uri: a.URI, transport: transport, callID: header(inv.raw, "call-id"), to: header(inv.raw, "from"), cseq: cseq, extra: extra})
	return strings.Replace(raw, `From: "Caller" <sip:+15557777@carrier.test>;tag=`+u.name, "From: "+header(inv.raw, "to")+";tag="+u.name, 1)
}

// world is a proxy with one trunk and nodes around it.
type world struct {
	t     *testing.T
	p     *Proxy
	udp   netip.AddrPort
	tcp   netip.AddrPort
	trunk *ua
	node  *ua
	stop  func()
	opt   Options
}

func start(t *testing.T, opt Options) (*Proxy, func()) {
	t.Helper()
	p, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("run: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("run did not end")
			}
		})
	}
	t.Cleanup(stop)
	return p, stop
}

func newWorld(t *testing.T, change func(*Options, *world)) *world {
	t.Helper()
	w := &world{t: t, trunk: newUA(t, "trunk", "127.0.0.2"), node: newUA(t, "node", "127.0.0.3")}
	w.opt = Options{
		Listen: []Listener{{Network: "udp", Addr: "127.0.0.1:0"}, {Network: "tcp", Addr: "127.0.0.1:0"}},
		Peers: []Peer{
			{Name: "carrier", Kind: Trunk, Addr: w.trunk.addr},
			{Name: "fs1", Kind: Node, Addr: w.node.addr},
		},
		T1: 100 * time.Millisecond, T2: 400 * time.Millisecond,
		MaxLocalUDP: 1300, // as if the node were elsewhere
	}
	if change != nil {
		change(&w.opt, w)
	}
	w.p, w.stop = start(t, w.opt)
	w.udp, w.tcp = w.p.Addr("udp"), w.p.Addr("tcp")
	return w
}

// call sets a call up to the 200 at the caller, both over UDP.
func (w *world) call(id string) (inv got, ok got) {
	w.t.Helper()
	w.trunk.udp(w.udp, w.trunk.invite(id))
	w.trunk.expect("SIP/2.0 100")
	inv = w.node.expect("INVITE")
	w.node.answer(inv, "100 Trying")
	w.node.answer(inv, "180 Ringing", w.node.contact())
	w.trunk.expect("SIP/2.0 180")
	w.node.answer(inv, "200 OK", w.node.contact())
	ok = w.trunk.expect("SIP/2.0 200")
	w.trunk.udp(w.udp, w.trunk.inDialog("ACK", ok, 1))
	w.node.expect("ACK", "INVITE")
	return inv, ok
}

// wait polls a fact that has no signal of its own: a counter.
func (w *world) wait(what string, fact func(Stats) bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !fact(w.p.Stats()) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: %s; %+v", what, w.p.Stats())
		}
		<-tick.C
	}
}

// fine proves that the proxy still carries a call.
func (w *world) fine() {
	w.t.Helper()
	id := fmt.Sprintf("fine%d", seq.Add(1))
	w.trunk.udp(w.udp, w.trunk.invite(id))
	deadline := time.After(patience)
	for {
		select {
		case g := <-w.node.in:
			if strings.HasPrefix(g.raw, "INVITE") && header(g.raw, "call-id") == id {
				w.node.answer(g, "486 Busy Here")
				w.node.expect("ACK")
				for {
					if g := w.trunk.expect("SIP/2.0", ""); header(g.raw, "call-id") == id && strings.HasPrefix(g.raw, "SIP/2.0 486") {
						w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite(id), g))
						return
					}
				}
			}
		case <-deadline:
			w.t.Fatal("the next call does not work")
		}
	}
}
