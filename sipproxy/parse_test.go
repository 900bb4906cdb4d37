package sipproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const sample = "INVITE sip:+15550001;npdi@example.test:5070;user=phone SIP/2.0\r\n" +
	"v: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKa, SIP/2.0/TCP first.test;branch=z9hG4bKb\r\n" +
	"Max-Forwards: 68\r\n" +
	"f: \"O\\\"Brien, <Ann>; x\" <sip:+15557777;verstat=TN-Validation-Passed@carrier.test;user=phone>;tag=abc\r\n" +
	"t: <tel:+15550001>\r\n" +
	"i: id@host\r\n" +
	"CSeq: 7 INVITE\r\n" +
	"Diversion: <sip:+1@a.test>;reason=no-answer, \"B, C\" <sip:+2@b.test?x=1,2>;reason=user-busy\r\n" +
	"Diversion: <sip:+3@c.test>\r\n" +
	"y: eyJ.abc.def;info=<https://c.test/x.pem>;alg=ES256\r\n" +
	"IDENTITY: second\r\n" +
	"X-Signalbox: 1.k.forged\r\n" +
	"l: 0\r\n\r\n"

func TestParseGivesTheInvite(t *testing.T) {
	check := func(what string, raw string) {
		inv, err := Parse([]byte(raw), Limits{})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		for _, c := range [][3]string{
			{"Call-ID", inv.CallID, "id@host"},
			{"From tag", inv.FromTag, "abc"},
			{"display", inv.From.Display, `O"Brien, <Ann>; x`},
			{"From user", inv.From.User, "+15557777;verstat=TN-Validation-Passed"},
			{"From host", inv.From.Host, "carrier.test"},
			{"To scheme", inv.To.Scheme, "tel"},
			{"To user", inv.To.User, "+15550001"},
			{"called", inv.Called.User, "+15550001;npdi"},
			{"called params", inv.Called.URIParams, "user=phone"},
			{"identities", strings.Join(inv.Header("y"), "|"), "eyJ.abc.def;info=<https://c.test/x.pem>;alg=ES256|second"},
			{"diversions", strings.Join(SplitList(inv.Header("diversion")), "|"), `<sip:+1@a.test>;reason=no-answer|"B, C" <sip:+2@b.test?x=1,2>;reason=user-busy|<sip:+3@c.test>`},
			{"token", strings.Join(inv.Header("X-Signalbox"), "|"), ""},
		} {
			if c[1] != c[2] {
				t.Errorf("%s: %s is %q, want %q", what, c[0], c[1], c[2])
			}
		}
		if inv.Called.Port != 5070 || inv.Stripped != 1 {
			t.Errorf("%s: port %d, stripped %d", what, inv.Called.Port, inv.Stripped)
		}
	}
	check("as on the wire", sample)
	check("a file with LF", strings.ReplaceAll(sample, "\r\n", "\n"))
	check("a file without the last empty line", strings.TrimRight(strings.ReplaceAll(sample, "\r\n", "\n"), "\n"))
	check("wrong length and a body", strings.ReplaceAll(strings.Replace(sample, "l: 0", "l: 4000", 1), "\r\n", "\n")+"v=0\n\ns=-\n")
	check("leading empty lines and a byte order mark", "\n\n\xef\xbb\xbf"+sample)
}

func TestParseRefuses(t *testing.T) {
	for what, raw := range map[string]string{
		"nothing":        "",
		"a response":     "SIP/2.0 200 OK\r\n\r\n",
		"an OPTIONS":     strings.ReplaceAll(sample, "INVITE", "OPTIONS"),
		"two From":       strings.Replace(sample, "t: <", "From: <sip:a@b>\r\nt: <", 1),
		"no Call-ID":     strings.Replace(sample, "i: id@host\r\n", "", 1),
		"stray LF":       strings.Replace(sample, "CSeq", "X: a\nX-Signalbox: 1\r\nCSeq", 1),
		"NUL":            strings.Replace(sample, "Ann", "An\x00n", 1),
		"text":           "hello\nworld\n",
		"no bracket":     strings.Replace(sample, "<tel:+15550001>", "<tel:+15550001", 1),
		"an old dialect": strings.Replace(sample, "SIP/2.0\r\n", "SIP/1.0\r\n", 1),
	} {
		if _, err := Parse([]byte(raw), Limits{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", what, err)
		}
	}
	if _, err := Parse(bytes.Repeat([]byte("a"), 70000), Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("70 kB: %v, want ErrTooLarge", err)
	}
	if _, err := Parse([]byte(strings.Replace(sample, "l: 0", strings.Repeat("X: y\r\n", 300)+"l: 0", 1)), Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("300 headers: %v, want ErrTooLarge", err)
	}
}

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ in, display, user, host, tag string }{
		{`<sip:a@b>;tag=1`, "", "a", "b", "1"},
		{`sip:a@B.Test;tag=1`, "", "a", "b.test", "1"},
		{`Ann <sip:a@b;tag=no>`, "Ann", "a", "b", ""},
		{`"" <sips:a:pw@[2001:db8::1]:5061;x=y>;Tag=Z`, "", "a", "2001:db8::1", "Z"},
		{`"a\\" <sip:b>`, `a\`, "", "b", ""},
		{`<sip:a%40x@b;lr>;q="a;tag=3";tag=4`, "", "a%40x", "b", "4"},
		{`<tel:+1-555;phone-context=x>`, "", "+1-555;phone-context=x", "", ""},
		{`<urn:service:sos>`, "", "service:sos", "", ""},
		{`<sip:a@b@c>`, "", "a@b", "c", ""},
	} {
		a, err := ParseAddress(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if a.Display != c.display || a.User != c.user || a.Host != c.host || a.Tag() != c.tag {
			t.Errorf("%s: display %q user %q host %q tag %q", c.in, a.Display, a.User, a.Host, a.Tag())
		}
	}
	for _, in := range []string{"", "<>", "<sip:>", `"a <sip:b>`, `"a" sip:b`, "<sip:a", "sip:a b", "<sip:a> x", "nothing", `<sip:"a"@b>`, "<sip:a\tb>"} {
		if a, err := ParseAddress(in); err == nil {
			t.Errorf("%q was read as %+v", in, a)
		}
	}
}

func TestViaIsStampedAndFollowed(t *testing.T) {
	src := netip.MustParseAddrPort("192.0.2.7:4444")
	for _, c := range []struct{ in, want, reply string }{
		{"SIP/2.0/UDP 192.0.2.7:5060;branch=z", "SIP/2.0/UDP 192.0.2.7:5060;branch=z", "192.0.2.7:5060"},
		{"SIP/2.0/UDP 192.0.2.7;branch=z", "SIP/2.0/UDP 192.0.2.7;branch=z", "192.0.2.7:5060"},
		{"SIP/2.0/UDP 10.0.0.1:5062;rport;branch=z", "SIP/2.0/UDP 10.0.0.1:5062;branch=z;received=192.0.2.7;rport=4444", "192.0.2.7:4444"},
		{"SIP/2.0/UDP Host.Test:5062;branch=z", "SIP/2.0/UDP Host.Test:5062;branch=z;received=192.0.2.7", "192.0.2.7:5062"},
		{"SIP/2.0/UDP 10.0.0.1;received=6.6.6.6;rport=66;branch=z", "SIP/2.0/UDP 10.0.0.1;branch=z;received=192.0.2.7;rport=4444", "192.0.2.7:4444"},
		{"SIP / 2.0 / udp 10.0.0.1 ; branch=z,SIP/2.0/UDP next", "SIP/2.0/UDP 10.0.0.1;branch=z;received=192.0.2.7, SIP/2.0/UDP next", "192.0.2.7:5060"},
		{"SIP/2.0/TCP 10.0.0.1:5064;rport;branch=z", "SIP/2.0/TCP 10.0.0.1:5064;branch=z;received=192.0.2.7;rport=4444", "192.0.2.7:5064"},
		{"SIP/2.0/UDP [2001:db8::9]:5066;branch=z", "SIP/2.0/UDP [2001:db8::9]:5066;branch=z;received=192.0.2.7", "192.0.2.7:5066"},
	} {
		m := &message{method: "INVITE"}
		m.add("v", c.in)
		v, ok := m.topVia()
		if !ok {
			t.Errorf("%q does not parse", c.in)
			continue
		}
		m.stampVia(v, src)
		if got := m.get("via"); got != c.want {
			t.Errorf("%q became %q, want %q", c.in, got, c.want)
		}
		v, _ = m.topVia()
		if got, ok := v.replyAddr(); !ok || got.String() != c.reply {
			t.Errorf("%q: response to %s, want %s", c.in, got, c.reply)
		}
	}
	for _, in := range []string{"", "SIP/2.0/UDP", "SIP/2.0/UDP ", "HTTP/2.0/UDP h", "SIP/1.0/UDP h", "SIP/2.0/UDP h:99999", "SIP/2.0/UDP h:0", "SIP/2.0/UDP ;branch=z", "SIP/2.0/UDP [::1", "SIP/2.0/UDP a b"} {
		if v, ok := parseVia(in); ok {
			t.Errorf("%q was read as %+v", in, v)
		}
	}
}

func TestFrame(t *testing.T) {
	msg := "OPTIONS sip:a SIP/2.0\r\nl : 4\r\n\r\nbody"
	for _, c := range []struct {
		in      string
		skip, n int
		bad     bool
	}{
		{"", 0, 0, false}, {"\r\n\r\n", 4, 0, false}, {"\r", 0, 0, false},
		{msg, 0, len(msg), false}, {"\r\n" + msg + "OPT", 2, len(msg), false}, {msg[:len(msg)-1], 0, 0, false}, {msg[:20], 0, 0, false},
		{"A\r\n\r\n", 0, 0, true}, {"A\r\nContent-Length: x\r\n\r\n", 0, 0, true}, {"A\r\nContent-Length: -1\r\n\r\n", 0, 0, true},
		{"A\r\nl: 1\r\nContent-Length: 2\r\n\r\n", 0, 0, true}, {"A\r\nl: 4294967296\r\n\r\n", 0, 0, true}, {"A\r\nl: 300\r\n\r\n", 0, 0, true},
		{strings.Repeat("A", 257), 0, 0, true},
	} {
		skip, n, err := frame([]byte(c.in), 256)
		if (err != nil) != c.bad || (!c.bad && (skip != c.skip || n != c.n)) {
			t.Errorf("%.40q: skip %d, n %d, %v", c.in, skip, n, err)
		}
	}
}

// A ping is answered once, wherever the stream is cut, and what stands between messages is none.
func TestPingsOfAStream(t *testing.T) {
	msg := "OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n"
	for in, want := range map[string]int{
		"\r\n\r\n": 1, "\r\n": 0, "\r\n" + msg + "\r\n" + msg: 0, "\r\n\r\n" + msg: 1, msg + "\r\n\r\n": 1, "\r\n" + msg + "\r\n\r\n" + msg + "\r\n": 1,
	} {
		for size := range len(in) {
			f := framer{limit: 256}
			var buf []byte
			pings, messages := 0, 0
			for piece := range slices.Chunk([]byte(in), size+1) {
				buf = append(buf, piece...)
				for more := true; more; {
					skip, n, ping, err := f.next(buf)
					if err != nil {
						t.Fatal(err)
					}
					if ping {
						pings++
					}
					if buf, more = buf[skip+n:], n > 0; more {
						messages++
					}
				}
			}
			if pings != want || messages != strings.Count(in, msg) || len(buf) != 0 {
				t.Errorf("%q in pieces of %d: %d pings, %d messages, %q is left; want %d pings", in, size+1, pings, messages, buf, want)
			}
		}
	}
}

// The head of a message is read once, however small the pieces are in which its body comes.
func TestAStreamIsNotReadAgainForEachPiece(t *testing.T) {
	raw := []byte("OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("A: \r\n", 5000) + "Content-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000))
	f := framer{limit: len(raw)}
	at := bytes.Index(raw, headEnd) + 4
	if _, n, _, err := f.next(raw[:at]); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if again := testing.AllocsPerRun(1, func() { f.next(raw[:at+1]) }); again != 0 {
		t.Errorf("a further byte of the body costs %g allocations", again)
	}
	if _, n, _, err := f.next(raw); n != len(raw) || err != nil {
		t.Errorf("%d of %d bytes, %v", n, len(raw), err)
	}
}

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	var b bucket
	taken := 0
	for range 10 {
		if ok, _ := b.take(now, 2); ok {
			taken++
		}
	}
	if taken != 4 {
		t.Errorf("%d of the burst, want 4", taken)
	}
	if ok, wait := b.take(now, 2); ok || wait != 500*time.Millisecond {
		t.Errorf("wait %s, want half a second", wait)
	}
	if ok, _ := b.take(now.Add(500*time.Millisecond), 2); !ok {
		t.Error("half a second gives no token")
	}
	if ok, _ := b.take(now.Add(-time.Hour), 2); ok {
		t.Error("a clock set back gives a token")
	}
	all := newBuckets(1)
	addr := netip.MustParseAddr("10.0.0.0")
	for range 3 * maxBuckets {
		all.take(addr, now)
		addr = addr.Next()
		if len(all.m) > maxBuckets {
			t.Fatalf("%d addresses remembered, at most %d", len(all.m), maxBuckets)
		}
	}
}

// A strict router put our Record-Route into the Request-URI (RFC 3261 16.4).
func TestStrictRouterIsUndone(t *testing.T) {
	peers, err := checkPeers([]Peer{{Name: "t", Addr: netip.MustParseAddrPort("192.0.2.1:5060")}, {Name: "n", Kind: Node, Addr: netip.MustParseAddrPort("192.0.2.2:5080")}})
	if err != nil {
		t.Fatal(err)
	}
	tab := &table{peers: peers}
	self := func(h string, p uint16) bool { return h == "192.0.2.9" && p == 5090 }
	m := &message{method: "BYE", uri: "sip:192.0.2.9:5090;lr"}
	m.add("To", "<sip:a@b>;tag=1")
	m.add("From", "<sip:a@b>;tag=2")
	m.add("Route", "<sip:192.0.2.9:5090;transport=tcp;lr>, <sip:x@192.0.2.2:5080>")
	f := judge(m, &tab.peers[0], tab, self, sender{})
	if f.code != 0 || f.to.String() != "192.0.2.2:5080" || m.uri != "sip:x@192.0.2.2:5080" || m.count("route") != 0 {
		t.Errorf("fate %+v, uri %s, routes %q", f, m.uri, m.all("route"))
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	good := func() Options {
		return Options{Listen: []Listener{{Network: "udp", Addr: "127.0.0.1:0"}}, Peers: []Peer{{Name: "a", Addr: netip.MustParseAddrPort("127.0.0.2:5060")}}}
	}
	for what, change := range map[string]func(*Options){
		"no listener":       func(o *Options) { o.Listen = nil },
		"network":           func(o *Options) { o.Listen[0].Network = "sctp" },
		"address":           func(o *Options) { o.Listen[0].Addr = "127.0.0.1:x" },
		"no advertise":      func(o *Options) { o.Listen[0].Addr = "0.0.0.0:0" },
		"advertise":         func(o *Options) { o.Listen[0].Advertise = "a:b:c" },
		"no peer":           func(o *Options) { o.Peers = nil },
		"peer transport":    func(o *Options) { o.Peers[0].Transport = "sctp" },
		"peer kind":         func(o *Options) { o.Peers[0].Kind = 7 },
		"peer without port": func(o *Options) { o.Peers[0].Addr = netip.MustParseAddrPort("127.0.0.2:0") },
		"peer from nowhere": func(o *Options) { o.Peers[0].Addr = netip.AddrPort{} },
		"host without addr": func(o *Options) {
			o.Peers[0] = Peer{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Hosts: []string{"a"}}
		},
		"prefix not a prefix": func(o *Options) { o.Peers[0].Prefixes = []netip.Prefix{{}} },
	} {
		o := good()
		change(&o)
		p, err := New(o)
		if !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v, want ErrOptions", what, err)
		}
		if p != nil {
			p.Close()
		}
	}
	p, err := New(good())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Run(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("run after close: %v, want ErrClosed", err)
	}
}

func TestProbe(t *testing.T) {
	u := newUA(t, "fs", "127.0.0.3")
	u.wg.Go(func() {
		for range 2 {
			select {
			case g := <-u.in:
				u.answer(g, "403 Forbidden")
			case <-time.After(patience):
			}
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, network := range []string{"", "tcp"} {
		if err := Probe(ctx, Hop{Addr: u.addr, Transport: network}); err != nil {
			t.Errorf("%q: %v", network, err)
		}
	}
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	silent, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	addr := silent.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := Probe(ctx, Hop{Addr: addr}); !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence: %v, want ErrNoAnswer by deadline", err)
	}
	if err := Probe(context.Background(), Hop{Addr: addr, Transport: "tcp"}); err == nil {
		t.Error("nobody listens by TCP and the probe is content")
	}
	if err := Probe(context.Background(), Hop{}); !errors.Is(err, ErrOptions) {
		t.Errorf("no address: %v", err)
	}
}

func TestTapSeesEveryMessageAndMayPanic(t *testing.T) {
	type seen struct {
		dir  Direction
		line string
	}
	all := make(chan seen, 100)
	var bound atomic.Pointer[netip.AddrPort] // the proxy runs before its address is known here
	w := newWorld(t, func(o *Options, w *world) {
		o.Tap = func(m Tapped) {
			ours := m.Destination
			if m.Direction == Out {
				ours = m.Source
			}
			if m.Transport != "udp" || ours.Addr() != netip.MustParseAddr("127.0.0.1") || !bound.CompareAndSwap(nil, &ours) && *bound.Load() != ours {
				t.Errorf("tapped %s %s -> %s", m.Transport, m.Source, m.Destination)
			}
			all <- seen{m.Direction, startLine(string(m.Raw))}
			panic("tap")
		}
	})
	w.fine()
	w.wait("the last ACK", func(s Stats) bool { return s.MessagesIn == 3 && s.MessagesOut == 4 })
	if *bound.Load() != w.udp {
		t.Errorf("tapped at %s, the proxy is at %s", *bound.Load(), w.udp)
	}
	var in, out []string
	for len(all) > 0 {
		s := <-all
		verb, _, _ := strings.Cut(strings.TrimPrefix(s.line, "SIP/2.0 "), " ")
		if s.dir == In {
			in = append(in, verb)
		} else {
			out = append(out, verb)
		}
	}
	if want := []string{"INVITE", "486", "ACK"}; !slices.Equal(in, want) {
		t.Errorf("in %q, want %q", in, want)
	}
	if want := []string{"100", "INVITE", "ACK", "486"}; !slices.Equal(out, want) {
		t.Errorf("out %q, want %q", out, want)
	}
}

// FuzzForward sends arbitrary bytes through all that a request goes through without a network, and reads the result as a lenient
// parser would, for which any CR or LF ends a line.
func FuzzForward(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(strings.Replace(sample, "CSeq", "x-signalbox : 1\r\n folded\r\nRoute: <sip:192.0.2.9:5090;lr>,<sip:192.0.2.2:5080>\r\nCSeq", 1)))
	f.Add([]byte(strings.Replace(sample, "<tel:+15550001>", "<tel:+15550001>;tag=x", 1)))
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.9:5090;branch=z9hG4bKsb.1.0, SIP/2.0/UDP h;rport=1;received=1.2.3.4\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"))
	for _, file := range torture(f) {
		f.Add(file.raw)
	}
	limits := Limits{}.withDefaults()
	parser := newParser(limits)
	peers, err := checkPeers([]Peer{{Name: "t", Addr: netip.MustParseAddrPort("192.0.2.1:5060")}, {Name: "n", Kind: Node, Addr: netip.MustParseAddrPort("192.0.2.2:5080")}})
	if err != nil {
		f.Fatal(err)
	}
	tab := &table{peers: peers}
	self := func(h string, p uint16) bool { return h == "192.0.2.9" && p == 5090 }
	in, out := &listener{network: "udp", adv: "192.0.2.9:5090"}, &listener{network: "tcp", adv: "192.0.2.9:5090"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = Parse(raw, Limits{})
		skip, n, err := frame(raw, limits.MaxMessage)
		if err == nil && (skip < 0 || n < 0 || skip+n > len(raw)) {
			t.Fatalf("frame of %d and %d in %d bytes", skip, n, len(raw))
		}
		m, err := parseMessage(parser, raw, limits)
		if m == nil || err != nil || m.checkSense() != "" {
			return
		}
		v, _ := m.topVia()
		src := netip.MustParseAddrPort("192.0.2.1:5060")
		if !m.isRequest() {
			m.pop("via")
			m.strip()
			if next, ok := m.topVia(); ok {
				next.replyAddr()
			}
			return
		}
		m.stampVia(v, src)
		_ = serverKey(m, src.Addr())
		m.strip()
		refusal := response(m, 403, "", nil)
		if _, err := parseMessage(parser, refusal.bytes(), Limits{MaxMessage: 1 << 20, MaxHeaderBytes: 1 << 20, MaxHeaders: 1000}); err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("our own answer does not parse: %v\n%s", err, refusal.bytes())
		}
		for i := range tab.peers {
			c := m.clone()
			fate := judge(c, &tab.peers[i], tab, self, sender{})
			if fate.code != 0 || fate.absorb {
				continue
			}
			if !fate.call && !fate.peer.contains(fate.to.Addr()) {
				t.Fatalf("it would go to %s", fate.to)
			}
			sent := forwarded(c, in, out, branchFor(txKey{1}, loopPart(c), 0), []HeaderField{{"X-Signalbox", "ours"}}, wayBack{carrier: carrierOf(c, &tab.peers[i], src, fate.to, tab)})
			wire := sent.bytes()
			head, _, _ := bytes.Cut(wire, headEnd)
			tokens := 0
			for _, line := range bytes.FieldsFunc(head, func(r rune) bool { return r == '\r' || r == '\n' }) {
				if len(line) >= len(ownPrefix) && strings.EqualFold(string(bytes.TrimSpace(line)[:min(len(ownPrefix), len(bytes.TrimSpace(line)))]), ownPrefix) {
					tokens++
				}
			}
			if tokens != 1 {
				t.Fatalf("%d tokens in\n%s", tokens, wire)
			}
			again, err := parseMessage(parser, wire, Limits{MaxMessage: 1 << 20, MaxHeaderBytes: 1 << 20, MaxHeaders: 1000})
			if err != nil && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("what we send does not parse: %v\n%s", err, wire)
			}
			if again != nil {
				if wrong := again.checkSense(); wrong != "" {
					t.Fatalf("what we send makes no sense: %s\n%s", wrong, wire)
				}
				_ = ackFor(again, response(again, 486, "", nil)).bytes()
				_ = cancelFor(again, "").bytes()
				_ = ghost(again, response(again, 200, "", nil), "BYE", 1, "z", self).bytes()
			}
		}
	})
}

// A stream that is cut anywhere gives the same messages.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("\r\nOPTIONS sip:a SIP/2.0\r\nl: 2\r\n\r\nhiBYE sip:b SIP/2.0\r\nContent-Length: 0\r\n\r\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, raw []byte, cut int) {
		whole := frames(bytes.NewReader(raw), len(raw)+1)
		parts := frames(bytes.NewReader(raw), max(1, cut%64))
		if !slices.Equal(whole, parts) {
			t.Fatalf("in one piece %q, in pieces %q", whole, parts)
		}
	})
}

func frames(r io.Reader, size int) (out []string) {
	f := framer{limit: 4096}
	var buf []byte
	chunk := make([]byte, size)
	for {
		n, err := r.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for {
			skip, n, _, ferr := f.next(buf)
			if ferr != nil {
				return out
			}
			buf = buf[skip:]
			if n == 0 {
				break
			}
			out = append(out, string(buf[:n]))
			buf = buf[n:]
		}
		if err != nil {
			return out
		}
	}
}
