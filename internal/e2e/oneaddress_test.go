package e2e

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/signalbox/signalbox/internal/lab"
)

// oneAddress is two proxies that advertise one address and know nothing of each other. A router before them gives each transaction to one
// of the two; what it sent to whom is counted by method, "BYE 1".
type oneAddress struct {
	proxies [2]netip.AddrPort

	mu     sync.Mutex
	chosen map[string]int // by branch
	choose func(m *lab.Message) int
	given  map[string]int // transactions
}

func (o *oneAddress) behind(datagram []byte) netip.AddrPort {
	o.mu.Lock()
	defer o.mu.Unlock()
	m, err := lab.ParseMessage(datagram)
	if err != nil {
		return o.proxies[0]
	}
	via := m.Get("via") // a CANCEL, and the ACK of a refusal, have that of their INVITE
	n, ok := o.chosen[via]
	if !ok {
		n = o.choose(m)
		o.chosen[via] = n
		o.given[fmt.Sprint(m.Method(), " ", n)]++
	}
	return o.proxies[n]
}

// chooses says which proxy gets a new transaction from here on, and forgets what was counted.
func (o *oneAddress) chooses(f func(m *lab.Message) int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.choose, o.given = f, make(map[string]int)
}

func (o *oneAddress) got(method string, n int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.given[fmt.Sprint(method, " ", n)]
}

func (o *oneAddress) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprint(o.given)
}

// TestTwoProxiesOnOneAddress is an INVITE that one proxy handled and everything inside its dialog that the other did, which never saw it.
func TestTwoProxiesOnOneAddress(t *testing.T) {
	begins(t, false)
	o := &oneAddress{chosen: make(map[string]int)}
	first := func(*lab.Message) int { return 0 }
	o.chooses(first)
	door := newFrontDoor(t, chainIP(60), true, o.behind)
	c := &chain{dir: t.TempDir(), trace: lab.NewTrace(nil), entry: door.Addr, exit: door.Addr, through: 1}
	t.Cleanup(func() { c.tell(t) })
	c.parties(t, 61, 62, 63)
	c.trunk = c.carrier.Addr().String()
	for i := range o.proxies {
		at := freeAt(t, chainIP(byte(64+i)))
		o.proxies[i] = netip.MustParseAddrPort(at)
		file := filepath.Join(c.dir, fmt.Sprint("proxy-", i, ".yaml"))
		err := os.WriteFile(file, fmt.Appendf(nil, `region: US
store: {sqlite: %s.db}
nodes: [{name: fs1, sip: %s}, {name: fs2, sip: %s}]
proxy:
  listen: ["udp:%s", "tcp:%s"]
  advertise: %s
  trunks: [{name: carrier, prefixes: [%s/32], addr: %s}]
token: {keys: [{id: k1, secret: 0f3b1c9a5d7e2f4860718293a4b5c6d7}]}
http: {listen: "", proxy_listen: ""}
`, file, c.switches[0].Addr(), c.switches[1].Addr(), at, at, door.Addr, c.carrier.Addr().Addr(), c.carrier.Addr()), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		c.spawn(t, fmt.Sprint("proxy-", i), at, program, "serve", "--config", file, "--role", "proxy")
	}
	for _, invite := range []int{0, 1} {
		other := 1 - invite
		apart := func(m *lab.Message) int {
			if m.IsRequest() && m.Method() == "INVITE" && !inDialog(m) {
				return invite
			}
			return other
		}
		for _, calledBy := range []string{"carrier", "freeswitch"} {
			for _, endedBy := range []string{"caller", "called"} {
				c.scene(t, fmt.Sprintf("%s-calls-%s-hangs-up-%d", calledBy, endedBy, invite), func(s scene) {
					o.chooses(apart)
					out, in := s.between(calledBy)
					s.must(out.Reinvite(s.ctx))
					s.must(in.Reinvite(s.ctx))
					s.must(out.WaitHeard(s.ctx, in.Agent().Voice(), 1))
					if endedBy == "caller" {
						out.Hangup()
						s.ended(in, "them")
					} else {
						in.Hangup()
						s.ended(out, "them")
					}
					if o.got("INVITE", invite) != 1 || o.got("INVITE", other) != 2 || o.got("ACK", other) < 3 || o.got("BYE", other) != 1 {
						s.t.Errorf("the dialog did not pass the proxy that never saw its INVITE as it should: %s", o)
					}
				})
			}
		}
	}
	c.scene(t, "any-transaction-at-either", func(s scene) {
		o.chooses(func(m *lab.Message) int {
			h := fnv.New32a()
			_, _ = h.Write([]byte(m.Get("via")))
			return int(h.Sum32()>>8) % 2
		})
		for range 20 {
			out, in := s.between("carrier")
			s.must(out.Reinvite(s.ctx))
			in.Hangup()
			s.ended(out, "them")
		}
		for n := range 2 {
			if o.got("INVITE", n) == 0 || o.got("ACK", n) == 0 || o.got("BYE", n) == 0 {
				s.t.Errorf("chance sent nothing of a kind to proxy %d: %s", n, o)
			}
		}
		for _, fs := range s.switches {
			fs.Behave(lab.Behaviour{Ring: true})
		}
		out := s.call(lab.Invite{})
		_, err := out.WaitStatus(s.ctx, 180)
		s.must(err)
		out.Cancel()
		s.ended(out, "487")
	})
}

// inDialog reports whether a request is inside a dialog.
func inDialog(m *lab.Message) bool { return strings.Contains(m.Get("to"), "tag=") }
