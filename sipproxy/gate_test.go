package sipproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestStrangerGets403OrSilence(t *testing.T) {
	w := newWorld(t, nil)
	s := newUA(t, "stranger", "127.0.0.9")
	s.udp(w.udp, s.invite("s1"))
	if got := s.expect("SIP/2.0 403"); header(got.raw, "call-id") != "s1" {
		t.Errorf("403 for %q", header(got.raw, "call-id"))
	}
	s.udp(w.udp, s.build(request{method: "REGISTER", uri: "sip:x.test", callID: "s2"}))
	s.expect("SIP/2.0 403")
	s.udp(w.udp, strings.Repeat("A", 500))
	s.udp(w.udp, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP "+w.udp.String()+";branch="+branchPrefix+"x\r\n\r\n")
	s.udp(w.udp, s.build(request{method: "ACK", uri: "sip:x.test", callID: "s3"}))
	c := s.dial(w.tcp)
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("a stranger's connection stays open, %d bytes", n)
	}
	w.fine()
	s.quiet()
	w.node.quiet()
}

// A peer with a port is that port alone; another program on its machine is a stranger.
func TestPeerWithPort(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.Peers[0].Port = w.trunk.addr.Port()
		o.Peers[1].Port = w.node.addr.Port()
	})
	other := newUA(t, "other", "127.0.0.2")
	other.udp(w.udp, other.invite("port"))
	other.expect("SIP/2.0 403")
	w.fine()
	// By TCP the port is that of the Via.
	c := w.node.dial(w.tcp)
	for _, u := range []struct {
		ua   *ua
		want string
	}{{w.node, "SIP/2.0 200"}, {other, "SIP/2.0 403"}} {
		raw := w.node.build(request{method: "OPTIONS", uri: "sip:" + w.tcp.String(), transport: "TCP", callID: "o" + u.want})
		raw = strings.Replace(raw, w.node.addr.String(), u.ua.addr.String(), 1)
		if _, err := c.Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		w.node.expect(u.want)
	}
}

func TestWhatPeersMayAskOfTheProxyItself(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		method, uri string
		want        string
	}{
		{"OPTIONS", "sip:" + w.udp.String(), "200"},
		{"OPTIONS", "sip:+15550001@example.test", "200"},
		{"REGISTER", "sip:example.test", "403"},
		{"SUBSCRIBE", "sip:+1555@example.test", "405"},
		{"MESSAGE", "sip:+1555@example.test", "405"},
		{"WHATEVER", "sip:+1555@example.test", "405"},
		{"BYE", "sip:+1555@example.test", "481"},
	} {
		w.trunk.udp(w.udp, w.trunk.build(request{method: c.method, uri: c.uri, callID: c.method + c.want}))
		got := w.trunk.expect("SIP/2.0 ")
		if !strings.HasPrefix(got.raw, "SIP/2.0 "+c.want+" ") {
			t.Errorf("%s: %q, want %s", c.method, startLine(got.raw), c.want)
		}
		if c.want == "405" && header(got.raw, "allow") == "" {
			t.Errorf("%s: 405 without Allow", c.method)
		}
	}
	w.node.udp(w.udp, w.node.build(request{method: "OPTIONS", uri: "sip:" + w.udp.String(), callID: "no"}))
	w.node.expect("SIP/2.0 200")
	w.node.quiet()
}

func TestForgedTokensAreStrippedInAnySpelling(t *testing.T) {
	screened := make(chan *Invite, 1)
	w := newWorld(t, func(o *Options, w *world) {
		o.Screener = screenFunc(func(inv *Invite) Decision {
			screened <- inv
			return Decision{Add: []HeaderField{{"X-Signalbox", "1.k.real"}, {"X-Evil", "a\r\nX-B: c"}, {"Bad Name", "x"}, {"Via", "x"}, {"X-Note", "kept"}}}
		})
	})
	w.trunk.udp(w.udp, w.trunk.invite("strip",
		"X-Signalbox: forged1", "x-signalbox: forged2", "X-SIGNALBOX-Verdict: forged3", "X-SignalBox : forged4",
		"X-Signalbox\t:forged5", "X-Signalbox: forged6,\r\n forged7", "x-sIgNaLbOxEs: forged8", "X-Signalbox\u00a0: forged9", "\u00a0X-Signalbox: forged10", "X-Signal: kept", "Subject: x\r\n X-Signalbox: folded is text"))
	at := w.node.expect("INVITE")
	if strings.Contains(at.raw, "forged") {
		t.Errorf("forged headers went in:\n%s", at.raw)
	}
	if got := headers(at.raw, "x-signalbox"); len(got) != 1 || got[0] != "1.k.real" {
		t.Errorf("X-Signalbox %q, want ours alone", got)
	}
	if header(at.raw, "x-signal") != "kept" || header(at.raw, "x-note") != "kept" {
		t.Errorf("other X- headers were lost:\n%s", at.raw)
	}
	if strings.Contains(at.raw, "X-B") || strings.Contains(at.raw, "Bad Name") || len(headers(at.raw, "via")) != 2 {
		t.Errorf("a header that is not valid was written:\n%s", at.raw)
	}
	seen := <-screened
	if seen.Stripped != 9 || len(seen.Header("X-Signalbox")) != 0 {
		t.Errorf("the screener saw %d stripped and %q, want 9 and none", seen.Stripped, seen.Header("X-Signalbox"))
	}
	if n := w.p.Stats().BadDecisions; n != 3 {
		t.Errorf("%d bad decisions, want 3", n)
	}
}

// FreeSWITCH takes a single LF or CR for the end of a line; what hides a header behind one never gets there.
func TestLineEndsInsideAHeaderCannotSmuggleAToken(t *testing.T) {
	w := newWorld(t, nil)
	for i, evil := range []string{
		"From: \"a\nX-Signalbox: 1.k.forged\" <sip:a@b>;tag=1",
		"Subject: a\nX-Signalbox: 1.k.forged",
		"Subject: a\rX-Signalbox: 1.k.forged",
		"Subject: a\r\r\nX-Signalbox: 1.k.forged",
		"Subject: a\x00b",
		"Subject: a\n\nX-Signalbox: 1.k.forged",
		"X-Sig\x00nalbox: 1",
		"X Signalbox: 1",
		": 1",
		"no colon at all",
		"Call-ID: second",
		"i: second",
		"CSeq: 1 BYE",
		"t: <sip:second@x>",
		"f: <sip:second@x>;tag=2",
		"Content-Length: 3",
		"Max-Forwards: 3",
	} {
		w.trunk.udp(w.udp, w.trunk.invite("lf"+strconv.Itoa(i), evil))
	}
	w.fine()
	if n := w.p.Stats().Malformed; n != 17 {
		t.Errorf("%d of 17 were seen as malformed", n)
	}
	if n := w.p.Stats().Calls; n != 1 {
		t.Errorf("%d calls, want the good one alone", n)
	}
	w.node.quiet()
}

func TestHostileInputGetsAnAnswerOrSilence(t *testing.T) {
	w := newWorld(t, nil)
	huge := strings.Repeat("h", 62000)
	w.trunk.udp(w.udp, w.trunk.invite("h1", "X-Huge: "+huge))
	w.trunk.expect("SIP/2.0 513")
	w.trunk.udp(w.udp, strings.Replace(w.trunk.invite("h2"), `"Caller"`, `"`+huge[:40000]+`"`, 1)) // silence
	w.trunk.udp(w.udp, w.trunk.invite("h3", strings.Repeat("X-A: b\r\n", 300)+"X-A: b"))
	w.trunk.expect("SIP/2.0 513")
	w.trunk.udp(w.udp, strings.Replace(w.trunk.invite("h4"), "Content-Length: 0", "Content-Length: 99999999999999999999", 1))
	w.trunk.udp(w.udp, strings.Replace(w.trunk.invite("h5"), "Content-Length: 0", "Content-Length: -1", 1))
	w.trunk.udp(w.udp, strings.Replace(w.trunk.invite("h6"), "Content-Length: 0", "Content-Length: 10", 1))
	w.trunk.expect("SIP/2.0 400")
	for i, c := range [][2]string{
		{`"Caller" <sip:+15557777@carrier.test>`, `"Caller <sip:+15557777@carrier.test>`},
		{`"Caller" <sip:+15557777@carrier.test>`, `<sip:+15557777@carrier.test`},
		{"CSeq: 1 INVITE", "CSeq: 1 BYE"}, {"CSeq: 1 INVITE", "CSeq: 99999999999 INVITE"},
		{"Max-Forwards: 70", "Max-Forwards: many"}, {"From:", "X-From:"}, {"sip:+15550001@example.test SIP", "sip:x@y?X-Signalbox=1 SIP"},
	} {
		w.trunk.udp(w.udp, strings.Replace(w.trunk.invite("h7"+strconv.Itoa(i)), c[0], c[1], 1))
		w.trunk.expect("SIP/2.0 400", "SIP/2.0 400")
	}
	for _, raw := range []string{"INVITE", "INVITE sip:a SIP/2.0\r\n\r\n", "\x00\x00", "INVITE  sip:a@b  SIP/2.0\r\nVia: x\r\n\r\n", "SIP/2.0 99999 x\r\n\r\n", "SIP/2.0 -1 x\r\n\r\n",
		"INVITE sip:a SIP/3.0\r\nVia: SIP/2.0/UDP h;branch=z\r\n\r\n"} {
		w.trunk.udp(w.udp, raw)
	}
	w.fine()
	w.node.quiet()
}

func TestMaxForwardsAndLoops(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, strings.Replace(w.trunk.invite("mf0"), "Max-Forwards: 70", "Max-Forwards: 0", 1))
	w.trunk.expect("SIP/2.0 483")
	w.trunk.udp(w.udp, strings.Replace(w.trunk.invite("mf"), "Max-Forwards: 70\r\n", "", 1))
	at := w.node.expect("INVITE")
	if got := header(at.raw, "max-forwards"); got != "70" {
		t.Errorf("Max-Forwards %q, want 70 put in", got)
	}
	w.node.answer(at, "486 Busy")
	w.node.expect("ACK")
	// The carrier sends the very same INVITE back to us, over its own Via.
	w.trunk.udp(w.udp, strings.Replace(at.raw, "Via: ", "Via: SIP/2.0/UDP "+w.trunk.addr.String()+";branch=z9hG4bKcarrier\r\nVia: ", 1))
	w.trunk.expect("SIP/2.0 482", "SIP/2.0 1", "SIP/2.0 483", "SIP/2.0 486")
	// To another number it is no loop but a forwarded call.
	spiral := strings.Replace(at.raw, "Via: ", "Via: SIP/2.0/UDP "+w.trunk.addr.String()+";branch=z9hG4bKspiral\r\nVia: ", 1)
	w.trunk.udp(w.udp, strings.Replace(spiral, "INVITE sip:+15550001@", "INVITE sip:+15550002@", 1))
	w.node.expect("INVITE")
}

func TestScreenerRefuses(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.Screener = screenFunc(func(inv *Invite) Decision {
			switch inv.CallID {
			case "r603":
				return Decision{Refuse: &Refusal{Code: 603, Phrase: "Network Blocked", Headers: []HeaderField{{"Reason", `SIP;cause=603;text="v=analytics1;url=https://x.test"`}}}}
			case "r200":
				return Decision{Refuse: &Refusal{Code: 200}}
			case "rcrlf":
				return Decision{Refuse: &Refusal{Code: 608, Phrase: "a\r\nX: y", Headers: []HeaderField{{"X", "a\nb"}}}}
			}
			return Decision{}
		})
	})
	for _, c := range []struct{ id, want, reason string }{
		{"r603", "SIP/2.0 603 Network Blocked", `SIP;cause=603;text="v=analytics1;url=https://x.test"`},
		{"r200", "SIP/2.0 403 Forbidden", ""},
		{"rcrlf", "SIP/2.0 608 Rejected", ""},
	} {
		inv := w.trunk.invite(c.id)
		w.trunk.udp(w.udp, inv)
		end := w.trunk.expect(c.want, "SIP/2.0 100")
		if got := header(end.raw, "reason"); got != c.reason {
			t.Errorf("%s: Reason %q, want %q", c.id, got, c.reason)
		}
		w.trunk.udp(w.udp, w.trunk.ackFailure(inv, end))
	}
	st := w.p.Stats()
	if st.ScreenRefused != 3 || st.BadDecisions != 3 {
		t.Errorf("refused %d, bad %d; want 3 and 3", st.ScreenRefused, st.BadDecisions)
	}
	w.fine()
	w.node.quiet()
}

func TestSlowScreenerFailsOpenAndSlowRouterFailsClosed(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	w := newWorld(t, func(o *Options, w *world) {
		o.ScreenTimeout = 100 * time.Millisecond
		o.Screener = screenFunc(func(inv *Invite) Decision {
			if inv.CallID == "slow1" {
				<-release
			}
			return Decision{Refuse: nil}
		})
		o.Router = routeFunc(func(inv *Invite) []Hop {
			switch inv.CallID {
			case "slow2":
				<-release
			case "foreign":
				return []Hop{{Addr: netip.MustParseAddrPort("127.0.0.66:5060")}}
			case "none":
				return nil
			}
			return []Hop{{Addr: w.node.addr}}
		})
	})
	w.trunk.udp(w.udp, w.trunk.invite("slow1"))
	w.node.answer(w.node.expect("INVITE"), "486 Busy Here")
	w.node.expect("ACK")
	end := w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite("slow1"), end))
	for _, id := range []string{"slow2", "foreign", "none"} {
		w.trunk.udp(w.udp, w.trunk.invite(id))
		end := w.trunk.expect("SIP/2.0 500", "SIP/2.0 100", "SIP/2.0 486")
		w.trunk.udp(w.udp, w.trunk.ackFailure(w.trunk.invite(id), end))
	}
	st := w.p.Stats()
	if st.ScreenSkipped != 1 || st.Unroutable != 3 || st.BadDecisions != 1 {
		t.Errorf("unscreened %d, unroutable %d, bad %d; want 1, 3, 1", st.ScreenSkipped, st.Unroutable, st.BadDecisions)
	}
}

func TestCancelWhileScreeningNeverReachesFreeSWITCH(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, func(o *Options, w *world) {
		o.Screener = screenFunc(func(inv *Invite) Decision {
			if inv.CallID == "early" {
				<-release
			}
			return Decision{}
		})
	})
	inv := w.trunk.invite("early")
	w.trunk.udp(w.udp, inv)
	w.trunk.expect("SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.cancelOf(inv))
	w.trunk.expect("SIP/2.0 200")
	w.trunk.udp(w.udp, w.trunk.ackFailure(inv, w.trunk.expect("SIP/2.0 487")))
	close(release)
	w.fine()
	w.node.quiet()
}

func TestRatesAndRooms(t *testing.T) {
	w := newWorld(t, func(o *Options, w *world) {
		o.Limits.CallsPerSecond = 1
		o.Limits.MaxPending = 1
	})
	w.trunk.udp(w.udp, w.trunk.invite("room1"))
	at := w.node.expect("INVITE")
	w.trunk.udp(w.udp, w.trunk.invite("room2"))
	if end := w.trunk.expect("SIP/2.0 503", "SIP/2.0 100"); header(end.raw, "retry-after") == "" {
		t.Error("503 without Retry-After")
	}
	w.node.answer(at, "486 Busy Here")
	w.node.expect("ACK")
	w.trunk.expect("SIP/2.0 486", "SIP/2.0 100")
	w.trunk.udp(w.udp, w.trunk.invite("rate"))
	w.trunk.expect("SIP/2.0 503", "SIP/2.0 486")
	st := w.p.Stats()
	if st.Overload != 1 || st.RateLimited != 1 || st.Pending != 0 {
		t.Errorf("overload %d, limited %d, pending %d; want 1, 1, 0", st.Overload, st.RateLimited, st.Pending)
	}
}

// Each trunk has rates of its own, also two that share an address, and a reload changes them.
func TestRatesOfATrunk(t *testing.T) {
	other := newUA(t, "other", "127.0.0.2")
	w := newWorld(t, func(o *Options, w *world) {
		o.Peers[0].Port = w.trunk.addr.Port()
		o.Peers = append(o.Peers, Peer{Name: "other", Kind: Trunk, Addr: other.addr, Port: other.addr.Port(), CallsPerSecond: 0.001, MessagesPerSecond: 1000})
		o.Router = routeFunc(func(*Invite) []Hop { return nil })
	})
	place := func(u *ua, id string) string {
		inv := u.invite(id)
		u.udp(w.udp, inv)
		end := u.expect("SIP/2.0 5", "SIP/2.0 100")
		u.udp(w.udp, u.ackFailure(inv, end))
		return strings.Fields(end.raw)[1]
	}
	for i, want := range []string{"500", "503", "503"} {
		if got := place(other, fmt.Sprint("slow", i)); got != want {
			t.Errorf("call %d of a trunk with one call: %s, want %s", i, got, want)
		}
		if got := place(w.trunk, fmt.Sprint("quick", i)); got != "500" {
			t.Errorf("call %d of a trunk with many: %s", i, got)
		}
	}
	w.opt.Peers[2].CallsPerSecond = 1e6
	if err := w.p.Reload(w.opt.Peers, nil, w.opt.Router); err != nil {
		t.Fatal(err)
	}
	if got := place(other, "more"); got != "500" {
		t.Errorf("after a reload: %s", got)
	}
	w.opt.Peers[2].MessagesPerSecond = 0.001
	if err := w.p.Reload(w.opt.Peers, nil, w.opt.Router); err != nil {
		t.Fatal(err)
	}
	before := w.p.Stats().RateLimited
	other.udp(w.udp, other.invite("a datagram that counts"))
	other.udp(w.udp, other.invite("one that is dropped"))
	place(w.trunk, "read after them")
	if now := w.p.Stats().RateLimited; now == before {
		t.Error("no datagram was dropped")
	}
	w.opt.Peers[2].CallsPerSecond = -1
	if err := w.p.Reload(w.opt.Peers, nil, nil); !errors.Is(err, ErrOptions) {
		t.Errorf("a negative rate: %v, want ErrOptions", err)
	}
}

// By connection a trunk has the most that one on its address may send.
func TestMessageRateOfAnAddress(t *testing.T) {
	ip := netip.MustParseAddr("192.0.2.1")
	here := []netip.Prefix{netip.PrefixFrom(ip, 32)}
	tab := &table{peers: []Peer{{Kind: Trunk, Prefixes: here, MessagesPerSecond: 50}, {Kind: Trunk, Prefixes: here, Port: 5070}, {Kind: Trunk, MessagesPerSecond: 9000}}}
	if got := tab.messageRate(ip, 2000); got != 2000 {
		t.Errorf("%g a second, want 2000", got)
	}
	if got := tab.messageRate(ip.Next(), 2000); got != 0 {
		t.Errorf("%g a second for who is no trunk", got)
	}
}

func TestReloadSwapsAllOrNothing(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.p.Reload([]Peer{{Name: "x"}}, nil, nil); !errors.Is(err, ErrOptions) {
		t.Errorf("a peer without any address: %v, want ErrOptions", err)
	}
	w.fine()
	refuse := screenFunc(func(*Invite) Decision { return Decision{Refuse: &Refusal{Code: 607}} })
	if err := w.p.Reload(w.opt.Peers, refuse, nil); err != nil {
		t.Fatal(err)
	}
	w.trunk.udp(w.udp, w.trunk.invite("reload"))
	w.trunk.expect("SIP/2.0 607", "SIP/2.0 100")
	if err := w.p.Reload(w.opt.Peers[1:], nil, nil); err != nil {
		t.Fatal(err)
	}
	w.trunk.udp(w.udp, w.trunk.invite("gone"))
	w.trunk.expect("SIP/2.0 403", "SIP/2.0 607")
}

// Byte by byte, two messages in one segment, keep-alives between: it is all one stream.
func TestTCPStreamInPieces(t *testing.T) {
	w := newWorld(t, nil)
	c := w.trunk.dial(w.tcp)
	body := "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\n\r\n"
	raw := w.trunk.build(request{method: "INVITE", uri: "sip:+15550001@example.test", transport: "TCP", callID: "pieces", body: body, extra: []string{"Subject: one\r\n two"}})
	for i := range len(raw) {
		if _, err := c.Write([]byte{raw[i]}); err != nil {
			t.Fatal(err)
		}
	}
	at := w.node.expect("INVITE")
	if !strings.HasSuffix(at.raw, "\r\n\r\n"+body) || header(at.raw, "subject") != "one two" {
		t.Errorf("arrived as\n%s", at.raw)
	}
	if rr := headers(at.raw, "record-route"); len(rr) != 2 || !strings.Contains(rr[1], "transport=tcp") {
		t.Errorf("Record-Route %q, want UDP above TCP", rr)
	}
	two := w.trunk.build(request{method: "OPTIONS", uri: "sip:" + w.tcp.String(), transport: "TCP", callID: "two1"}) + "\r\n\r\n" +
		w.trunk.build(request{method: "OPTIONS", uri: "sip:" + w.tcp.String(), transport: "TCP", callID: "two2"})
	if _, err := c.Write([]byte(two)); err != nil {
		t.Fatal(err)
	}
	w.trunk.expect("SIP/2.0 200", "SIP/2.0 100")
	w.trunk.expect("SIP/2.0 200")
	w.node.answer(at, "200 OK", w.node.contact())
	if ok := w.trunk.expect("SIP/2.0 200"); ok.conn != c {
		t.Error("the answer did not come back on the connection")
	}
	// What cannot be framed ends the connection; the next one works.
	if _, err := c.Write([]byte("INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	w.fine()
}

func TestPercentEscapesInACallersNameDoNotReachFreeSWITCH(t *testing.T) {
	for in, want := range map[string]string{
		`"x%250d%250aX-Evil%253a yes" <sip:%2B1@h>;tag=%41`: `"x 250d 250aX-Evil 253a yes" <sip:%2B1@h>;tag= 41`,
		`x%0a <sip:a%40b@h>`:                      `x 0a <sip:a%40b@h>`,
		`"a \\" <%" <sip:x%41@h>, "%0d" <tel:+1>`: `"a \\" <%" <sip:x%41@h>, " 0d" <tel:+1>`,
		`sip:a%40b@h`:                             `sip:a%40b@h`,
		`"a\%b" <sip:x@h>`:                        `"a\ b" <sip:x@h>`,
		`"unbalanced%41 <sip:x%41@h>`:             `"unbalanced 41 <sip:x 41@h>`,
		`plain <sip:x@h>`:                         `plain <sip:x@h>`,
		`<sip:+1415%0a555%00%1F0100%7f%20@h>`:     `<sip:+14155550100%20@h>`,
		`sip:+1415%0d%0aX@h`:                      `sip:+1415X@h`,
		`<sip:%0%0aab@h>`:                         `<sip:b@h>`,
	} {
		if got := tameIdentity(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("tame", `P-Asserted-Identity: "y%0d%0aX-Evil: 1" <sip:+12125550123@h>`, `P-Preferred-Identity: <sip:+1900@h>`))
	at := w.node.expect("INVITE")
	if got := header(at.raw, "p-asserted-identity"); got != `"y 0d 0aX-Evil: 1" <sip:+12125550123@h>` {
		t.Errorf("P-Asserted-Identity %s", got)
	}
	if got := header(at.raw, "p-preferred-identity"); got != "" {
		t.Errorf("P-Preferred-Identity %s went on; FreeSWITCH would believe it before the asserted one", got)
	}
}

func TestPercentEscapesInTheNameOfWhoAnswersDoNotReachFreeSWITCH(t *testing.T) {
	w := newWorld(t, nil)
	inv := w.node.build(request{method: "INVITE", uri: "sip:+15550001@" + w.trunk.addr.String(), callID: "answers"})
	inv = strings.Replace(inv, `"Caller"`, `"100%25"`, 1)
	w.node.udp(w.udp, inv)
	at := w.trunk.expect("INVITE")
	w.trunk.answer(at, "180 Ringing", `P-Asserted-Identity: "Bob%0d%0aX-Evil%3a yes" <sip:1@h>`, `Remote-Party-ID: Bob%0aX <sip:1@h>`, `X-FS-Display-Name: Bob%0d%0aX-Evil%253a yes`, w.trunk.contact())
	ringing := w.node.expect("SIP/2.0 180", "SIP/2.0 100")
	for name, want := range map[string]string{
		"p-asserted-identity": `"Bob 0d 0aX-Evil 3a yes" <sip:1@h>`, "remote-party-id": `Bob 0aX <sip:1@h>`, "x-fs-display-name": `Bob 0d 0aX-Evil 253a yes`,
		"from": header(inv, "from"),
	} {
		if got := header(ringing.raw, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// Nor does one in a request of his, where FreeSWITCH reads it too.
	w.trunk.udp(w.udp, w.trunk.invite("display", `X-FS-Display-Name: y%0d%0aX-Evil%253a yes`))
	if got := header(w.node.expect("INVITE").raw, "x-fs-display-name"); got != `y 0d 0aX-Evil 253a yes` {
		t.Errorf("X-FS-Display-Name %s", got)
	}
	// What a node says of itself stays as it is.
	w.trunk.udp(w.udp, w.trunk.invite("other way"))
	w.node.answer(w.node.expect("INVITE"), "180 Ringing", `P-Asserted-Identity: "50%" <sip:1@h>`, w.node.contact())
	if got := header(w.trunk.expect("SIP/2.0 180", "SIP/2.0 100").raw, "p-asserted-identity"); got != `"50%" <sip:1@h>` {
		t.Errorf("of a node: %s", got)
	}
}

func TestWhoCallsDoesNotSayWhichAddressFreeSWITCHShallTrust(t *testing.T) {
	w := newWorld(t, nil)
	w.trunk.udp(w.udp, w.trunk.invite("auth", "X-AUTH-IP: 127.0.0.1", "x-auth-port: 5060", "X-Auth-Token: secret", "X-Author: Ann"))
	at := w.node.expect("INVITE")
	for _, name := range []string{"x-auth-ip", "x-auth-port", "x-auth-token"} {
		if got := header(at.raw, name); got != "" {
			t.Errorf("%s: %s reached the node", name, got)
		}
	}
	if got := header(at.raw, "x-author"); got != "Ann" {
		t.Errorf("X-Author %q", got)
	}
}
