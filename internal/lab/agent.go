package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Errors of agents.
var (
	// ErrClosed means that the agent was closed.
	ErrClosed = errors.New("lab: the agent is closed")
	// ErrNever means that a fact a story waited for did not come in time; the text says which.
	ErrNever = errors.New("lab: it never happened")
)

// The loopback addresses of the lab. Callers have one of their own, because the proxy tells a carrier from a FreeSWITCH by
// the address it sends from.
var (
	loopback         = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	carrierLoopback  = netip.AddrFrom4([4]byte{127, 0, 0, 2})
	mailLoopback     = netip.AddrFrom4([4]byte{127, 0, 0, 4})
	deviceLoopback   = netip.AddrFrom4([4]byte{127, 0, 0, 3})
	verifiedLoopback = netip.AddrFrom4([4]byte{127, 0, 0, 5}) // of a carrier that verifies its callers, and is believed
)

// Names says who stands at an address, so that a trace can name the parties. Safe for concurrent use.
type Names struct {
	mu sync.RWMutex
	m  map[netip.AddrPort]string
}

// Set names an address.
func (n *Names) Set(addr netip.AddrPort, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.m == nil {
		n.m = make(map[netip.AddrPort]string)
	}
	n.m[addr] = name
}

// Get names an address; an unknown one is its own name.
func (n *Names) Get(addr netip.AddrPort) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if name, ok := n.m[addr]; ok {
		return name
	}
	return addr.String()
}

// Behaviour says what an agent does with a call that comes in. The zero value is silence: not even 100.
type Behaviour struct {
	Ring   bool          // 180 at once
	Early  bool          // 183 with early media at once
	After  time.Duration // then wait so long
	Status int           // then answer with this status; 0 = never
	Phrase string        // reason phrase; "" = the usual one
	Moved  string        // URI in the Contact of a 3xx
}

// Behaviours that stories use.
var (
	answersAtOnce = func() Behaviour { return Behaviour{Status: 200} }
	ringsOnly     = func() Behaviour { return Behaviour{Ring: true} }
)

// Answers rings and takes the call after a while.
func Answers(after time.Duration) Behaviour { return Behaviour{Ring: true, After: after, Status: 200} }

// Refuses ends the call with a status at once.
func Refuses(status int) Behaviour { return Behaviour{Status: status} }

// AgentOptions describe an agent.
type AgentOptions struct {
	Name      string     // the party's name in the trace: "caller", "voicemail-2"
	IP        netip.Addr // loopback address; zero = 127.0.0.1
	VoiceIP   netip.Addr // where it sends and takes voice; zero = IP
	Port      uint16     // for UDP and TCP; 0 = a free one
	Voice     byte       // what its voice packets consist of; must not be 0
	Hz        float64    // its voice is this tone instead, and its telephone has keys; 0 = neither
	ALaw      bool       // with Hz: it speaks G.711 A-law, as a PBX may; else µ-law
	Behaviour Behaviour  // towards incoming calls
	Trace     *Trace     // nil = kept by nobody
	Names     *Names     // nil = addresses stand for themselves
}

// Agent is a SIP user agent on loopback: a caller, a phone, a voicemail system. One goroutine owns its calls and
// transactions; every method may be called from any goroutine.
type Agent struct {
	opts  AgentOptions
	ep    *endpoint
	inbox chan func()
	done  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup

	// Owned by loop.
	behaviour Behaviour
	calls     []*Call
	notices   []*Message // NOTIFYs outside of calls
	texts     []*Message // MESSAGEs
	clients   map[string]*clientTx
	servers   map[string]*serverTx
	waiters   []*waiter
	timers    map[*time.Timer]struct{}
}

type waiter struct {
	pred func() bool
	ch   chan struct{}
}

// NewAgent opens the sockets and starts the agent.
func NewAgent(o AgentOptions) (*Agent, error) {
	if o.Trace == nil {
		o.Trace = NewTrace(nil)
	}
	if o.Names == nil {
		o.Names = &Names{}
	}
	if !o.IP.IsValid() {
		o.IP = loopback
	}
	if !o.VoiceIP.IsValid() {
		o.VoiceIP = o.IP
	}
	if o.Voice == 0 {
		return nil, fmt.Errorf("lab: agent %s has no voice: give it one byte that is not 0", o.Name)
	}
	a := &Agent{
		opts: o, behaviour: o.Behaviour, inbox: make(chan func(), 256), done: make(chan struct{}),
		clients: make(map[string]*clientTx), servers: make(map[string]*serverTx), timers: make(map[*time.Timer]struct{}),
	}
	ready := make(chan struct{})
	ep, err := openEndpoint(o.IP, o.Port, func(raw []byte, from hop) {
		<-ready
		a.post(func() { a.arrived(raw, from) })
	})
	if err != nil {
		return nil, fmt.Errorf("starting agent %s: %w", o.Name, err)
	}
	a.ep = ep
	close(ready)
	o.Names.Set(ep.addr, o.Name)
	a.wg.Add(1)
	go a.loop()
	return a, nil
}

// Name is the party's name in the trace.
func (a *Agent) Name() string { return a.opts.Name }

// Addr is where the agent listens, over UDP and TCP.
func (a *Agent) Addr() netip.AddrPort { return a.ep.addr }

// Voice is the byte its voice packets consist of.
func (a *Agent) Voice() byte { return a.opts.Voice }

// Behave changes what the agent does with the next call that comes in.
func (a *Agent) Behave(b Behaviour) { a.do(func() { a.behaviour = b }) }

// Cut ends the agent's TCP connections, as a phone that loses its network does; it goes on living.
func (a *Agent) Cut() { a.ep.cut() }

// Close ends everything without a further word to the far end, and waits.
func (a *Agent) Close() {
	a.do(func() {
		for _, c := range a.calls {
			c.closeMedia()
		}
		for t := range a.timers {
			t.Stop()
		}
	})
	a.once.Do(func() { close(a.done) })
	a.ep.close()
	a.wg.Wait()
}

func (a *Agent) loop() {
	defer a.wg.Done()
	for {
		select {
		case <-a.done:
			return
		case f := <-a.inbox:
			f()
			a.wake()
		}
	}
}

func (a *Agent) wake() {
	kept := a.waiters[:0]
	for _, w := range a.waiters {
		if w.pred() {
			close(w.ch)
		} else {
			kept = append(kept, w)
		}
	}
	a.waiters = kept
}

// post hands work to the loop.
func (a *Agent) post(f func()) bool {
	select {
	case a.inbox <- f:
		return true
	case <-a.done:
		return false
	}
}

// kick makes the loop look at its waiters again; a full inbox does so anyway.
func (a *Agent) kick() {
	select {
	case a.inbox <- func() {}:
	default:
	}
}

// do runs f on the loop and waits for it. It must not be called from the loop.
func (a *Agent) do(f func()) bool {
	ran := make(chan struct{})
	if !a.post(func() { f(); close(ran) }) {
		return false
	}
	select {
	case <-ran:
		return true
	case <-a.done:
		return false
	}
}

// wait blocks until pred, which runs on the loop, is true.
func (a *Agent) wait(ctx context.Context, what string, pred func() bool) error {
	w := &waiter{pred: pred, ch: make(chan struct{})}
	if !a.post(func() { a.waiters = append(a.waiters, w) }) {
		return ErrClosed
	}
	select {
	case <-w.ch:
		return nil
	case <-a.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("%w: %s: %s (%w)", ErrNever, a.opts.Name, what, context.Cause(ctx))
	}
}

// after runs f on the loop later, unless the agent is closed before. It is called on the loop.
func (a *Agent) after(d time.Duration, f func()) *time.Timer {
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		a.post(func() {
			if _, ok := a.timers[t]; ok {
				delete(a.timers, t)
				f()
			}
		})
	})
	a.timers[t] = struct{}{}
	return t
}

func (a *Agent) stop(t *time.Timer) {
	if t != nil {
		t.Stop()
		delete(a.timers, t)
	}
}

// peer names who is at a hop.
func (a *Agent) peer(h hop, m *Message) string {
	if h.network == "tcp" && m != nil && m.IsRequest() {
		via := m.data().Via()
		if ip, err := netip.ParseAddr(via.Host); err == nil {
			return a.opts.Names.Get(netip.AddrPortFrom(ip, uint16(via.Port)))
		}
	}
	return a.opts.Names.Get(h.addr)
}

// transmit sends and records a message.
func (a *Agent) transmit(to hop, raw []byte, note string) {
	summary := "?"
	if m, err := ParseMessage(raw); err == nil {
		summary = m.summary()
	}
	e := Event{Kind: Signal, From: a.opts.Name, To: a.opts.Names.Get(to.addr), Summary: summary + note, Raw: string(raw)}
	a.opts.Trace.Add(e) // before all that it brings about
	if err := a.ep.send(to, raw); err != nil {
		e.Summary += " (could not be sent: " + err.Error() + ")"
		a.opts.Trace.Add(e)
	}
}

// arrived takes a message from the network.
func (a *Agent) arrived(raw []byte, from hop) {
	m, err := ParseMessage(raw)
	if err != nil {
		a.opts.Trace.Add(Event{Kind: Signal, From: a.opts.Names.Get(from.addr), To: a.opts.Name, Summary: "not SIP: " + err.Error(), Raw: string(raw)})
		return
	}
	note := ""
	if m.IsRequest() && a.servers[serverKey(m)] != nil && m.Method() != "ACK" {
		note = ", again"
	}
	a.opts.Trace.Add(Event{Kind: Signal, From: a.peer(from, m), To: a.opts.Name, Summary: m.summary() + note, Raw: m.Raw})
	if m.IsRequest() {
		a.request(m, from)
	} else {
		a.response(m)
	}
}

// Calls returns all calls of the agent so far, in their order.
func (a *Agent) Calls() (calls []*Call) {
	a.do(func() { calls = append(calls, a.calls...) })
	return calls
}

// Incoming waits for the n-th call that comes in, counted from 1.
func (a *Agent) Incoming(ctx context.Context, n int) (*Call, error) {
	var found *Call
	err := a.wait(ctx, fmt.Sprintf("call number %d comes in", n), func() bool {
		i := 0
		for _, c := range a.calls {
			if c.incoming {
				if i++; i == n {
					found = c
					return true
				}
			}
		}
		return false
	})
	return found, err
}

// Invited says how many calls came in.
func (a *Agent) Invited() (n int) {
	a.do(func() {
		for _, c := range a.calls {
			if c.incoming {
				n++
			}
		}
	})
	return n
}

func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
