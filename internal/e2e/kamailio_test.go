package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// chain is a carrier, Kamailio and Signalbox's proxy with the configurations of examples/kamailio, and two agents in the place of
// FreeSWITCHes. Nothing but addresses is changed in the files.
type chain struct {
	example  string
	dir      string
	carrier  *lab.Agent
	switches [2]*lab.Agent
	trace    *lab.Trace
	programs []*lab.Process
	entry    netip.AddrPort // where the carrier sends its calls
	exit     netip.AddrPort // where a FreeSWITCH sends its calls
	trunk    string         // host of their Request-URI
	calls    [2]int         // that each FreeSWITCH had
	through  int            // proxies between the two
}

// chainIP are the parties' addresses. Each has one of its own, as Kamailio and the proxy tell them apart by it; the last
// numbers are those of the examples.
func chainIP(n byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 8, n}) }

// hasKamailio finds the program, or says loudly that nothing is tested.
func hasKamailio(t *testing.T) string {
	for _, place := range []string{"kamailio", "/usr/sbin/kamailio"} {
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	t.Skip("Kamailio (package kamailio) is not here: calls through it and Signalbox were NOT tested")
	return ""
}

// freeAt finds a port of an address that is free over UDP and TCP, and that nobody gets from the kernel by chance.
func freeAt(t *testing.T, ip netip.Addr) string {
	t.Helper()
	at, err := lab.FreePort(ip)
	if err != nil {
		t.Fatal(err)
	}
	return at.String()
}

// newChain starts everything: one proxy for each of proxies, the addresses of an example by which it is known.
func newChain(t *testing.T, example string, proxies ...string) *chain {
	kamailio := hasKamailio(t)
	begins(t, false)
	c := &chain{example: example, dir: t.TempDir(), trace: lab.NewTrace(nil), through: 2}
	t.Cleanup(func() { c.tell(t) })
	c.parties(t, 7, 41, 42)
	ours := map[string]string{ // by the example's addresses
		"198.51.100.7:5060": c.carrier.Addr().String(), "198.51.100.0/28": chainIP(7).String() + "/32",
		"10.0.0.41:5080": c.switches[0].Addr().String(), "10.0.0.42:5080": c.switches[1].Addr().String(), "10.0.0.40/29": chainIP(40).String() + "/29",
		"192.0.2.10:5060": freeAt(t, chainIP(10)), "10.0.0.10:5060": freeAt(t, chainIP(11)), "10.0.0.10/32": chainIP(11).String() + "/32",
		"10.0.0.20:5060": freeAt(t, chainIP(20)), "10.0.0.21:5060": freeAt(t, chainIP(21)), "10.0.0.20/31": chainIP(20).String() + "/31",
		"192.0.2.20:5060": freeAt(t, chainIP(22)), "192.0.2.20/32": chainIP(22).String() + "/32",
		"/etc/kamailio/dispatcher.list": filepath.Join(c.dir, "dispatcher.list"),
	}
	c.file(t, "dispatcher.list", "dispatcher.list", ours)
	c.spawn(t, "kamailio", ours["10.0.0.10:5060"], kamailio, "-DD", "-E", "-f", c.file(t, "kamailio.cfg", "kamailio.cfg", ours), "-Y", c.dir, "-w", c.dir,
		"-P", filepath.Join(c.dir, "kamailio.pid"), "-m", "32", "-M", "4")
	for i, known := range proxies {
		own := make(map[string]string)
		for old, replacement := range ours {
			own[old] = replacement
		}
		own[proxies[0]] = ours[known]
		name := "signalbox-" + strconv.Itoa(i+1)
		own["signalbox.db"] = filepath.Join(c.dir, name+".db")
		own["region: US"] = "http: {listen: \"\", proxy_listen: \"\"}\nregion: US"
		c.spawn(t, name, ours[known], program, "serve", "--config", c.file(t, "signalbox.yaml", name+".yaml", own), "--role", "proxy")
	}
	if example == "in-front" {
		c.entry, c.exit = netip.MustParseAddrPort(ours["192.0.2.10:5060"]), netip.MustParseAddrPort(ours["10.0.0.20:5060"])
		c.trunk = ours["10.0.0.10:5060"]
	} else {
		c.entry, c.exit = netip.MustParseAddrPort(ours["192.0.2.20:5060"]), netip.MustParseAddrPort(ours["10.0.0.10:5060"])
		c.trunk = c.carrier.Addr().String()
	}
	return c
}

// parties starts the agents, each at an address of its own.
func (c *chain) parties(t *testing.T, carrier, fs1, fs2 byte) {
	t.Helper()
	names := &lab.Names{}
	party := func(name string, ip byte, voice byte) *lab.Agent {
		a, err := lab.NewAgent(lab.AgentOptions{Name: name, IP: chainIP(ip), Voice: voice, Trace: c.trace, Names: names})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		return a
	}
	c.carrier = party("carrier", carrier, 1)
	c.switches = [2]*lab.Agent{party("fs1", fs1, 2), party("fs2", fs2, 3)}
}

// file writes a file of the example with our addresses.
func (c *chain) file(t *testing.T, name, as string, ours map[string]string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "examples", "kamailio", c.example, name))
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for old, replacement := range ours {
		pairs = append(pairs, old, replacement)
	}
	path := filepath.Join(c.dir, as)
	if err := os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(raw))), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// spawn starts a program and waits until it takes connections.
func (c *chain) spawn(t *testing.T, name, addr, path string, args ...string) {
	t.Helper()
	p, err := lab.Spawn(c.dir, name, path, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(5 * time.Second) })
	c.programs = append(c.programs, p)
	err = eventually(t.Context(), 20*time.Second, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	if err != nil {
		t.Fatalf("%s does not listen at %s: %v\n%s", name, addr, err, p.Tail(20))
	}
}

// tell shows what happened when something failed.
func (c *chain) tell(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, e := range c.trace.Events() {
		t.Logf("%7.3f %s -> %s: %s", e.At.Seconds(), e.From, e.To, e.Summary)
	}
	for _, p := range c.programs {
		t.Logf("the end of %s:\n%s", p.Name, p.Tail(25))
	}
}

// scene is one story on a chain.
type scene struct {
	*chain
	t   *testing.T
	ctx context.Context
}

func (c *chain) scene(t *testing.T, name string, play func(s scene)) {
	if t.Failed() {
		return
	}
	t.Run(name, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		c.trace.Restart(nil)
		for i, fs := range c.switches {
			fs.Behave(lab.Answers(0))
			c.calls[i] = fs.Invited()
		}
		play(scene{c, t, ctx})
		c.clean(t)
	})
}

func (s scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// call places a call of the carrier.
func (s scene) call(inv lab.Invite) *lab.Call {
	s.t.Helper()
	inv.To, inv.From = "+14155550100", "+12125550123"
	c, err := s.carrier.Place(inv.Through("udp", s.entry))
	s.must(err)
	return c
}

// arrives waits until one of the FreeSWITCHes has got a call.
func (s scene) arrives() *lab.Call {
	s.t.Helper()
	var in *lab.Call
	s.must(eventually(s.ctx, 10*time.Second, func() bool {
		for i, fs := range s.switches {
			if fs.Invited() > s.calls[i] {
				calls := fs.Calls()
				in = calls[len(calls)-1]
				return true
			}
		}
		return false
	}))
	return in
}

// answered places a call that a FreeSWITCH answers.
func (s scene) answered(inv lab.Invite) (out, in *lab.Call) {
	s.t.Helper()
	out = s.call(inv)
	s.must(out.WaitAnswered(s.ctx))
	in = s.arrives()
	s.must(in.WaitAcknowledged(s.ctx))
	return out, in
}

// between is an answered call that one of the two sides places.
func (s scene) between(calledBy string) (out, in *lab.Call) {
	s.t.Helper()
	if calledBy == "carrier" {
		return s.answered(lab.Invite{})
	}
	before := s.carrier.Invited()
	s.carrier.Behave(lab.Answers(0))
	out, err := s.switches[1].Place(lab.Invite{To: "+14155550111", From: "+14155550100", Host: s.trunk,
		Headers: []string{"X-Signalbox: 1.k1.of.a.call", "x-signalbox-account: 7"}}.Through("udp", s.exit))
	s.must(err)
	s.must(out.WaitAnswered(s.ctx))
	in, err = s.carrier.Incoming(s.ctx, before+1)
	s.must(err)
	s.must(in.WaitAcknowledged(s.ctx))
	return out, in
}

func (s scene) ended(c *lab.Call, by string) {
	s.t.Helper()
	s.must(c.WaitEnded(s.ctx))
	if got := c.EndedBy(); got != by {
		s.t.Errorf("%s: the call was ended by %q, want %q", c.Agent().Name(), got, by)
	}
}

// clean looks at every message that the parties got: no header of ours is outside, no Route is left over, and both proxies counted.
func (c *chain) clean(t *testing.T) {
	t.Helper()
	for _, e := range c.trace.Events() {
		if e.Raw == "" || e.To != "carrier" && e.To != "fs1" && e.To != "fs2" {
			continue
		}
		m, err := lab.ParseMessage([]byte(e.Raw))
		if err != nil {
			t.Errorf("%s got what is no SIP: %v", e.To, err)
			continue
		}
		if e.To == "carrier" && strings.Contains(strings.ToLower(e.Raw), "x-signalbox") {
			t.Errorf("a header of ours is at the carrier:\n%s", e.Raw)
		}
		if !m.IsRequest() || m.Method() == "OPTIONS" {
			continue
		}
		if routes := m.All("route"); len(routes) > 0 {
			t.Errorf("%s got a %s with a Route of somebody else's: %q", e.To, m.Method(), routes)
		}
		// A CANCEL, and the ACK of a refusal, begin anew at each proxy.
		if hops := m.Get("max-forwards"); hops != strconv.Itoa(70-c.through) && m.Method() != "CANCEL" && (m.Method() != "ACK" || len(m.All("via")) == 1+c.through) {
			t.Errorf("%s got a %s with Max-Forwards %s, want %d", e.To, m.Method(), hops, 70-c.through)
		}
	}
}

// TestKamailioInFront is Kamailio as the border that carriers see, and two Signalboxes behind it.
func TestKamailioInFront(t *testing.T) {
	c := newChain(t, "in-front", "10.0.0.20:5060", "10.0.0.21:5060")
	c.play(t)
	c.scene(t, "the-first-signalbox-is-dead", func(s scene) {
		s.must(s.programs[1].Kill())
		out, in := s.answered(lab.Invite{})
		in.Hangup()
		s.ended(out, "them")
	})
}

// TestKamailioBehind is Signalbox as the border, and a Kamailio behind it that distributes to FreeSWITCHes.
func TestKamailioBehind(t *testing.T) {
	c := newChain(t, "behind", "192.0.2.20:5060")
	c.play(t)
	c.scene(t, "calls-are-distributed", func(s scene) {
		for range 4 {
			out, in := s.answered(lab.Invite{})
			out.Hangup()
			s.ended(in, "them")
			s.calls[slices.Index(s.switches[:], in.Agent())]++
		}
		for _, fs := range s.switches {
			if got := len(callsOf(s.trace, fs.Name())); got != 2 {
				s.t.Errorf("%s had %d of 4 calls, want 2", fs.Name(), got)
			}
		}
	})
}

// callsOf are the INVITEs outside of a dialog that a party got.
func callsOf(trace *lab.Trace, name string) (found []*lab.Message) {
	for _, e := range trace.Events() {
		if m, err := lab.ParseMessage([]byte(e.Raw)); err == nil && e.To == name && m.IsRequest() && m.Method() == "INVITE" && !inDialog(m) {
			found = append(found, m)
		}
	}
	return found
}

// play is what must work the same in both orders of the two proxies.
func (c *chain) play(t *testing.T) {
	c.scene(t, "carrier-hangs-up", func(s scene) {
		out, in := s.answered(lab.Invite{})
		s.must(out.WaitHeard(s.ctx, in.Agent().Voice(), 1))
		out.Hangup()
		s.ended(in, "them")
		if n := len(in.Invite().All("x-signalbox")); n != 1 {
			s.t.Errorf("the INVITE has %d X-Signalbox headers, want 1", n)
		}
		if n := len(strings.Split(strings.Join(in.Invite().All("record-route"), ","), ",")); n < 2 {
			s.t.Errorf("the INVITE has %d Record-Routes, want those of both proxies", n)
		}
	})
	c.scene(t, "freeswitch-hangs-up", func(s scene) {
		out, in := s.answered(lab.Invite{})
		in.Hangup()
		s.ended(out, "them")
	})
	c.scene(t, "media-is-changed-by-both", func(s scene) {
		out, in := s.answered(lab.Invite{})
		s.must(out.Reinvite(s.ctx))
		s.must(in.Reinvite(s.ctx))
		s.must(out.WaitHeard(s.ctx, in.Agent().Voice(), 1))
		out.Hangup()
		s.ended(in, "them")
	})
	c.scene(t, "carrier-cancels", func(s scene) {
		for _, fs := range s.switches {
			fs.Behave(lab.Behaviour{Ring: true})
		}
		out := s.call(lab.Invite{})
		in := s.arrives()
		_, err := out.WaitStatus(s.ctx, 180)
		s.must(err)
		out.Cancel()
		s.ended(out, "487")
		s.must(in.WaitEnded(s.ctx))
		if !in.Cancelled() {
			s.t.Errorf("FreeSWITCH's side ended with %q, want a CANCEL", in.EndedBy())
		}
	})
	c.scene(t, "busy", func(s scene) {
		for _, fs := range s.switches {
			fs.Behave(lab.Refuses(486))
		}
		out := s.call(lab.Invite{})
		s.ended(out, "486")
		if n := len(callsOf(s.trace, "fs1")) + len(callsOf(s.trace, "fs2")); n != 1 {
			s.t.Errorf("a busy subscriber was called %d times", n)
		}
	})
	c.scene(t, "a-freeswitch-takes-no-calls", func(s scene) {
		s.switches[0].Behave(lab.Refuses(503))
		for range 2 { // Kamailio begins with each of them in turn
			out := s.call(lab.Invite{})
			s.must(out.WaitAnswered(s.ctx))
			out.Hangup()
			s.ended(out, "us")
		}
		if one, two := len(callsOf(s.trace, "fs1")), len(callsOf(s.trace, "fs2")); one == 0 || two != 2 {
			s.t.Errorf("the one that refuses had %d calls and the other %d, want at least 1, and 2", one, two)
		}
	})
	c.scene(t, "no-freeswitch-takes-calls", func(s scene) {
		for _, fs := range s.switches {
			fs.Behave(lab.Refuses(503))
		}
		out := s.call(lab.Invite{})
		s.must(out.WaitEnded(s.ctx))
		if got := out.EndedBy(); got != "503" && got != "500" {
			s.t.Errorf("the call ended with %q, want 503, or 500 as RFC 3261 section 16.7 has proxies say it", got)
		}
	})
	c.scene(t, "three-kilobytes-and-forged-headers", func(s scene) {
		first, second := strings.Repeat("eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiIs", 35), strings.Repeat("eyJhbGciOiJFUzI1NiIsInBwdCI6ImRpdiIsInR5", 35)
		out, in := s.answered(lab.Invite{Headers: []string{
			"Identity: " + first + ";info=<https://certificates.example.test/shaken.pem>;alg=ES256;ppt=shaken",
			"Identity: " + second + ";info=<https://certificates.example.test/div.pem>;alg=ES256;ppt=div",
			"X-Signalbox: 1.k1.forged.forged", "x-SIGNALBOX-Account: forged", "X-Signalbox : forged",
		}})
		got := in.Invite().All("identity")
		if len(got) != 2 || !strings.HasPrefix(got[0], first) || !strings.HasPrefix(got[1], second) {
			s.t.Errorf("the two Identity headers did not arrive whole and in their order: %q", got)
		}
		if strings.Contains(in.Invite().Raw, "forged") {
			s.t.Errorf("a header that only Signalbox may write came from outside:\n%s", in.Invite().Raw)
		}
		if n := len(in.Invite().All("x-signalbox")); n != 1 {
			s.t.Errorf("the INVITE has %d X-Signalbox headers, want ours", n)
		}
		in.Hangup()
		s.ended(out, "them")
	})
	c.scene(t, "too-many-hops", func(s scene) {
		for hops := range 2 {
			s.ended(s.call(lab.Invite{Hops: strconv.Itoa(hops)}), "483")
		}
		if n := len(callsOf(s.trace, "fs1")) + len(callsOf(s.trace, "fs2")); n != 0 {
			s.t.Errorf("%d calls arrived that had no hop left", n)
		}
	})
	c.scene(t, "freeswitch-calls-out", func(s scene) {
		for _, byCarrier := range []bool{true, false} {
			out, in := s.between("freeswitch")
			if byCarrier {
				in.Hangup()
				s.ended(out, "them")
			} else {
				out.Hangup()
				s.ended(in, "them")
			}
		}
	})
	c.scene(t, "no-relay", func(s scene) {
		// Inside a dialog of its own making a carrier names a way to somebody who is none of ours.
		status := s.raw(fmt.Sprintf("BYE sip:victim@127.0.8.99:5060 SIP/2.0\r\nVia: SIP/2.0/UDP %%s;branch=z9hG4bKrelay\r\nRoute: <sip:%s;lr>, <sip:127.0.8.99;lr>\r\n"+
			"From: <sip:a@example.test>;tag=1\r\nTo: <sip:b@example.test>;tag=2\r\nCall-ID: relay@lab\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", s.entry))
		if status != "403" {
			s.t.Errorf("the answer is %q, want 403", status)
		}
	})
}

// raw sends a message of the carrier's address, which stands in place of %s, and gives the final status that comes back.
func (s scene) raw(message string) string {
	s.t.Helper()
	conn, err := net.ListenPacket("udp4", s.carrier.Addr().Addr().String()+":0")
	s.must(err)
	defer func() { _ = conn.Close() }()
	s.must(conn.SetDeadline(time.Now().Add(5 * time.Second)))
	_, err = conn.WriteTo(fmt.Appendf(nil, message, conn.LocalAddr()), net.UDPAddrFromAddrPort(s.entry))
	s.must(err)
	buf := make([]byte, 65536)
	for {
		n, _, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "silence"
		}
		s.must(err)
		if status := strings.Fields(string(buf[:n])); len(status) > 1 && status[1] >= "200" {
			return status[1]
		}
	}
}
