package fssim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/esl/wire"
	"go.uber.org/zap"
)

// Bounds of the switch: calls at one time as vanilla has it, until fsctl max_sessions says otherwise (more are refused with 503), and Event
// Socket connections (more are closed).
const (
	vanillaSessions = 1000
	mostSessions    = 10000
	maxListeners    = 10000
)

// Switch is one simulated FreeSWITCH.
type Switch struct {
	maxSessions atomic.Int64

	opt      Options
	log      *zap.Logger
	coreUUID string
	started  time.Time
	plan     atomic.Pointer[dialplan.Tree]
	timers   *timers
	sched    *scheduler
	nonces   nonceBox
	internal *profile
	external *profile
	esl      net.Listener
	conf     conferences
	gateways sync.Map // gateway by name
	ledger   ledger
	serial   atomic.Uint64 // of connections

	ctx    context.Context // ends with Run
	cancel context.CancelFunc
	done   chan struct{} // closed when Run ends
	wg     sync.WaitGroup

	mu       sync.Mutex
	stopping bool
	calls    map[string]*channel
	total    int
	peak     int
	globals  map[string]string
	strange  map[string]int

	evMu      sync.Mutex // orders events: a number is given out and queued everywhere before the next
	seq       uint64
	listeners map[*listener]struct{}
}

// New loads the dialplan and opens every listener, so that the addresses are known before Run.
func New(o Options) (*Switch, error) {
	o = o.withDefaults()
	s := &Switch{opt: o, log: o.Logger, coreUUID: newUUID(), started: time.Now(), timers: newTimers(),
		sched: newScheduler(), done: make(chan struct{}), calls: map[string]*channel{}, strange: map[string]int{},
		listeners: map[*listener]struct{}{}}
	if on := o.Mischief.describe(); on != "" {
		s.log.Info("mischief", zap.String("what", on), zap.Uint64("seed", o.Mischief.Seed))
	}
	s.conf.rooms = map[string]*room{}
	s.maxSessions.Store(vanillaSessions)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	tree, err := loadPlan(&s.opt)
	if err != nil {
		return nil, fmt.Errorf("simulated switch: %w", err)
	}
	s.plan.Store(tree)
	s.globals = map[string]string{} // by their names in lower case, which FreeSWITCH does not look at
	for name, value := range o.Globals {
		s.globals[strings.ToLower(name)] = value
	}
	if _, ok := s.globals["domain"]; !ok {
		s.globals["domain"] = "127.0.0.1"
	}
	s.globals["core_uuid"] = s.coreUUID
	if _, ok := s.globals["rtp_liberal_dtmf"]; !ok {
		s.globals["rtp_liberal_dtmf"] = "true" // as vanilla's vars.xml has it
	}
	if _, ok := s.globals["conf_dir"]; !ok && o.Conf != "" {
		s.globals["conf_dir"] = o.Conf
	}
	if _, ok := s.globals["recordings_dir"]; !ok && o.Conf != "" {
		s.globals["recordings_dir"] = filepath.Join(o.Conf, "recordings")
	}
	if s.internal, err = s.newProfile("internal", o.InternalContext, o.Internal, o.Digest); err != nil {
		return nil, fmt.Errorf("simulated switch: %w", err)
	}
	if s.external, err = s.newProfile("external", o.ExternalContext, o.External, false); err != nil {
		s.internal.t.close()
		return nil, fmt.Errorf("simulated switch: %w", err)
	}
	s.external.rel100 = o.Reliable
	if s.esl, err = net.Listen("tcp", o.EventSocket); err != nil {
		s.internal.t.close()
		s.external.t.close()
		return nil, fmt.Errorf("simulated switch: event socket: %w", err)
	}
	return s, nil
}

// EventSocketAddr is where the inbound Event Socket listens.
func (s *Switch) EventSocketAddr() netip.AddrPort { return s.esl.Addr().(*net.TCPAddr).AddrPort() }

// InternalAddr is the SIP address of profile internal, UDP and TCP.
func (s *Switch) InternalAddr() netip.AddrPort { return s.internal.addr() }

// ExternalAddr is the SIP address of profile external, UDP and TCP.
func (s *Switch) ExternalAddr() netip.AddrPort { return s.external.addr() }

// CoreUUID changes with every Switch, as FreeSWITCH's with every start.
func (s *Switch) CoreUUID() string { return s.coreUUID }

// Sessions is the number of channels that exist now.
func (s *Switch) Sessions() int {
	_, now, _ := s.counts()
	return now
}

// Unknown returns everything that was asked for and that the simulator does not know, each with how often: a test
// that expects none fails on it.
func (s *Switch) Unknown() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.strange))
	for k, n := range s.strange {
		out = append(out, k+" x"+strconv.Itoa(n))
	}
	sort.Strings(out)
	return out
}

// maxStrange bounds the list of Unknown.
const maxStrange = 1000

func (s *Switch) unknown(what string) {
	s.log.Warn("the simulator does not know this", zap.String("what", what))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.strange) < maxStrange || s.strange[what] > 0 {
		s.strange[what]++
	}
}

// Run serves until ctx ends. Then every call is hung up, every connection closed, and every goroutine waited for. A
// Switch runs once.
func (s *Switch) Run(ctx context.Context) error {
	var core sync.WaitGroup
	coreDone := make(chan struct{})
	core.Go(func() { s.timers.run(coreDone) })
	core.Go(s.internal.t.run)
	core.Go(s.external.t.run)
	core.Go(s.acceptLoop)
	s.heartbeat()
	<-ctx.Done()
	s.mu.Lock()
	calls := slices.Collect(maps.Values(s.calls))
	s.mu.Unlock()
	for _, c := range calls {
		c.hangup(701) // SYSTEM_SHUTDOWN
	}
	s.goodbye(calls)
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	close(s.done)
	s.cancel()
	s.esl.Close()
	s.wg.Wait()
	s.internal.t.close()
	s.external.t.close()
	close(coreDone)
	core.Wait()
	return nil
}

// goodbye gives the calls that were hung up the moment they need to send BYE.
func (s *Switch) goodbye(calls []*channel) {
	limit := time.NewTimer(2 * time.Second)
	defer limit.Stop()
	wake := make(chan struct{}, 1)
	for _, c := range calls {
		defer c.watch(wake)()
	}
	for {
		s.mu.Lock()
		left := len(s.calls)
		s.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-wake:
		case <-time.After(tick):
		case <-limit.C:
			return
		}
	}
}

// Close releases the sockets of a Switch that was never run.
func (s *Switch) Close() error {
	s.internal.t.close()
	s.external.t.close()
	return s.esl.Close()
}

// spawn starts a goroutine that Run waits for; false when the switch stops.
func (s *Switch) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.wg.Go(f)
	return true
}

func (s *Switch) stopped() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *Switch) acceptLoop() {
	for {
		conn, err := s.esl.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		l := s.newListener(conn, nil)
		l.full = true
		if !s.spawn(l.run) {
			conn.Close()
		}
	}
}

func (s *Switch) addListener(l *listener) bool {
	s.evMu.Lock()
	defer s.evMu.Unlock()
	if len(s.listeners) >= maxListeners {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Switch) removeListener(l *listener) {
	s.evMu.Lock()
	defer s.evMu.Unlock()
	delete(s.listeners, l)
}

// register makes a channel findable; false when there are too many.
func (s *Switch) register(c *channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) >= int(s.maxSessions.Load()) || s.stopping {
		return false
	}
	s.calls[c.uuid] = c
	s.peak = max(s.peak, len(s.calls))
	return true
}

func (s *Switch) unregister(c *channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[c.uuid] == c {
		delete(s.calls, c.uuid)
	}
}

func (s *Switch) find(uuid string) *channel {
	s.mu.Lock()
	c := s.calls[uuid]
	s.mu.Unlock()
	if c == nil || c.down() { // FreeSWITCH still counts it and finds it no more
		return nil
	}
	return c
}

// sessions returns the channels by age.
func (s *Switch) sessions() []*channel {
	s.mu.Lock()
	out := slices.Collect(maps.Values(s.calls))
	s.mu.Unlock()
	sort.Slice(out, func(i, j int) bool { return out[i].number < out[j].number })
	return out
}

func (s *Switch) nextSession() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	return s.total
}

func (s *Switch) counts() (total, now, peak int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, len(s.calls), s.peak
}

func (s *Switch) profile(name string) *profile {
	switch name {
	case "internal":
		return s.internal
	case "external":
		return s.external
	}
	return nil
}

func (s *Switch) user(name, domain string) *User {
	for i := range s.opt.Users {
		if u := &s.opt.Users[i]; u.Name == name && strings.EqualFold(u.Domain, domain) {
			return u
		}
	}
	return nil
}

func (s *Switch) defaultDomain() string {
	v, _ := s.global("domain")
	return v
}

// global returns a global variable.
func (s *Switch) global(name string) (string, bool) {
	s.mu.Lock()
	v, ok := s.globals[strings.ToLower(name)]
	s.mu.Unlock()
	if ok {
		return v, true
	}
	return s.plan.Load().Global(name)
}

func (s *Switch) setGlobal(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.globals) < maxVariables {
		s.globals[strings.ToLower(name)] = value
	}
}

func newUUID() string { return uuid.NewString() }

// event is one event on its way to the listeners; it does not change any more.
type event struct {
	name, subclass string
	fields         []wire.Field
	body           []byte
}

func (e *event) get(name string) string {
	for _, f := range e.fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// publish numbers an event and queues it for every connection that asked for it. Nothing in it blocks, so the order
// of the numbers is the order on every wire.
func (s *Switch) publish(name, subclass string, fields []wire.Field, body []byte) {
	s.evMu.Lock()
	defer s.evMu.Unlock()
	e := &event{name: name, subclass: subclass, fields: append(s.stampLocked(name, subclass), fields...), body: body}
	for l := range s.listeners {
		l.offer(e)
	}
}

// stamp are the headers in front of every event, with the next number.
func (s *Switch) stamp(name, subclass string) []wire.Field {
	s.evMu.Lock()
	defer s.evMu.Unlock()
	return s.stampLocked(name, subclass)
}

func (s *Switch) stampLocked(name, subclass string) []wire.Field {
	s.seq++
	now := time.Now()
	f := make([]wire.Field, 0, 16)
	if subclass != "" {
		f = append(f, wire.Field{Name: "Event-Subclass", Value: subclass})
	}
	file, fn, line := callingPlace(name, subclass)
	return append(f, wire.Field{Name: "Event-Name", Value: name}, wire.Field{Name: "Core-UUID", Value: s.coreUUID},
		wire.Field{Name: "FreeSWITCH-Hostname", Value: s.opt.Hostname},
		wire.Field{Name: "FreeSWITCH-Switchname", Value: s.opt.Hostname},
		wire.Field{Name: "FreeSWITCH-IPv4", Value: "127.0.0.1"}, wire.Field{Name: "FreeSWITCH-IPv6", Value: "::1"},
		wire.Field{Name: "Event-Date-Local", Value: now.Format("2006-01-02 15:04:05")},
		wire.Field{Name: "Event-Date-GMT", Value: now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")},
		wire.Field{Name: "Event-Date-Timestamp", Value: strconv.FormatInt(now.UnixMicro(), 10)},
		wire.Field{Name: "Event-Calling-File", Value: file}, wire.Field{Name: "Event-Calling-Function", Value: fn},
		wire.Field{Name: "Event-Calling-Line-Number", Value: line},
		wire.Field{Name: "Event-Sequence", Value: strconv.FormatUint(s.seq, 10)})
}

// heartbeat publishes HEARTBEAT now and then again for as long as the switch runs.
func (s *Switch) heartbeat() {
	total, now, peak := s.counts()
	up := time.Since(s.started)
	s.publish("HEARTBEAT", "", []wire.Field{{Name: "Event-Info", Value: "System Ready"},
		{Name: "Up-Time", Value: fmt.Sprintf("0 years, %d days, %d hours, %d minutes, %d seconds, %d milliseconds, %d microseconds",
			int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60, int(up.Seconds())%60,
			up.Milliseconds()%1000, up.Microseconds()%1000)},
		{Name: "FreeSWITCH-Version", Value: "1.10.12-release git a88d069 2024-08-02 21:02:27Z 64bit"},
		{Name: "Uptime-msec", Value: strconv.FormatInt(up.Milliseconds(), 10)},
		{Name: "Session-Count", Value: strconv.Itoa(now)}, {Name: "Max-Sessions", Value: strconv.Itoa(int(s.maxSessions.Load()))},
		{Name: "Session-Per-Sec", Value: "30"}, {Name: "Session-Per-Sec-Last", Value: "0"},
		{Name: "Session-Per-Sec-Max", Value: strconv.Itoa(peak)}, {Name: "Session-Per-Sec-FiveMin", Value: "0"},
		{Name: "Session-Since-Startup", Value: strconv.Itoa(total)}, {Name: "Session-Peak-Max", Value: strconv.Itoa(peak)},
		{Name: "Session-Peak-FiveMin", Value: strconv.Itoa(peak)}, {Name: "Idle-CPU", Value: "90.000000"}}, nil)
	s.timers.after(time.Duration(s.opt.Heartbeat)*time.Second, s.heartbeat)
}
