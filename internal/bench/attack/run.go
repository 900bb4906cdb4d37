package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/bench/proc"
	"github.com/signalbox/signalbox/internal/bench/sipp"
	"github.com/signalbox/signalbox/internal/lab"
)

// trunkIP is the address of the trunk whose machine is in the wrong hands; the calm callers are another's.
const trunkIP = "127.0.0.5"

var (
	carrier = netip.MustParseAddr("127.0.0.2")
	node    = netip.MustParseAddr("127.0.0.3")
	proxyIP = netip.MustParseAddr("127.0.0.1")
)

// Options of a run.
type Options struct {
	Program  string        // the signalbox binary
	Rate     int           // calm calls a second
	Duration time.Duration // of each phase
	Settle   time.Duration // before memory is looked at again
	Progress io.Writer
	Keep     bool
	Only     string // the name of the one attack to be played; "" = all
}

// Phase is what the calm callers noticed of one attack.
type Phase struct {
	Name, What string
	Sent       uint64 // by the attackers: datagrams, or connections
	Calls      sipp.Tally
	P50, P99   time.Duration
	Resident   uint64 // bytes, the most that was seen
	CPU        time.Duration
	Faults     string
}

// Report is a whole run.
type Report struct {
	Options
	Phases  []Phase
	Before  uint64 // resident memory at rest, in bytes
	After   uint64
	Reached int // calls that reached whoever answers
	Placed  int // calls that the calm ones placed
	Panics  uint64
}

type stand struct {
	Options
	dir      string
	files    fs.FS
	at       target
	proxy    *lab.Process
	answerer *sipp.Process
}

// Run plays all phases.
func Run(ctx context.Context, o Options) (*Report, error) {
	dir, err := os.MkdirTemp("", "signalbox-attack-")
	if err != nil {
		return nil, fmt.Errorf("making a temp folder: %w", err)
	}
	if !o.Keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	s := &stand{Options: o, dir: dir}
	defer s.close()
	if err := s.build(); err != nil {
		return nil, err
	}
	r := &Report{Options: o}
	if _, err := s.phase(ctx, attack{name: "warm-up"}); err != nil {
		return nil, err
	}
	if r.Before, err = s.rest(ctx, 3*time.Second); err != nil {
		return nil, err
	}
	warm, err := s.answerer.Tally()
	if err != nil {
		return nil, err
	}
	played := slices.DeleteFunc(slices.Clone(attacks), func(a attack) bool { return o.Only != "" && a.name != o.Only })
	if len(played) == 0 {
		return nil, fmt.Errorf("there is no attack %q", o.Only)
	}
	for _, a := range append([]attack{{name: "calm", what: "nobody attacks"}}, played...) {
		p, err := s.phase(ctx, a)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		r.Phases = append(r.Phases, p)
		r.Placed += p.Calls.Created
		s.tell("%-22s %7d sent; %d calls, %d failed, p99 %s, %.1f MB", a.name, p.Sent, p.Calls.Created, p.Calls.Failed, p.P99.Round(100*time.Microsecond), float64(p.Resident)/(1<<20))
	}
	s.tell("all attacks are over, waiting %s for memory to be given back", o.Settle)
	if r.After, err = s.rest(ctx, o.Settle); err != nil {
		return nil, err
	}
	last, err := s.answerer.Tally()
	if err != nil {
		return nil, err
	}
	r.Reached = last.Created - warm.Created
	raw, err := os.ReadFile(s.proxy.Log)
	if err != nil {
		return nil, err
	}
	r.Panics = uint64(strings.Count(string(raw), `"msg":"recovered"`))
	return r, nil
}

func (s *stand) tell(format string, args ...any) {
	if s.Progress != nil {
		fmt.Fprintf(s.Progress, format+"\n", args...)
	}
}

func (s *stand) build() (err error) {
	s.files = sipp.Carrier()
	answerAt, err := sipp.FreeUDP(node)
	if err != nil {
		return err
	}
	for _, at := range []*netip.AddrPort{&s.at.carriers, &s.at.devices} {
		if *at, err = sipp.FreeUDP(proxyIP); err != nil {
			return err
		}
	}
	if s.answerer, err = sipp.Start(s.files, s.dir, "answerer", answerAt); err != nil {
		return err
	}
	yaml := fmt.Sprintf(`region: DE
domain: pbx.example.net
store: {sqlite: unused.db}
nodes: [{name: fs1, sip: %s, device_sip: %s}]
proxy:
  listen: ["udp:%s", "tcp:%s"]
  trunks:
    - {name: calm, prefixes: [%s/32], screening: enforce}
    - {name: captured, prefixes: [%s/32], screening: enforce}
  devices: {listen: ["udp:%s", "tcp:%s"], flow_key: 0f3b1c9a5d7e2f4860718293a4b5c6d7, ban_time: 5s}
token: {keys: [{id: k1, secret: 0f3b1c9a5d7e2f4860718293a4b5c6d7}]}
dns: {servers: ["127.0.0.1:1"]}
http: {listen: "", proxy_listen: ""}
log: {level: error, format: json}
`, answerAt, netip.AddrPortFrom(node, 9), s.at.carriers, s.at.carriers, carrier, trunkIP, s.at.devices, s.at.devices)
	file := filepath.Join(s.dir, "signalbox.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		return err
	}
	s.proxy, err = lab.Spawn(s.dir, "proxy", s.Program, "serve", "--config", file, "--role", "proxy")
	return err
}

func (s *stand) close() {
	if s.proxy != nil {
		s.proxy.Stop(3 * time.Second)
	}
	if s.answerer != nil {
		s.answerer.Stop(time.Second)
	}
}

// phase plays calm callers while an attack goes on.
func (s *stand) phase(ctx context.Context, a attack) (p Phase, err error) {
	p.Name, p.What = a.name, a.what
	before, err := proc.Look(s.proxy.PID())
	if err != nil {
		return p, err
	}
	at, err := sipp.FreeUDP(carrier)
	if err != nil {
		return p, err
	}
	name := "caller-" + strings.ReplaceAll(a.name, " ", "_")
	callers, err := sipp.Start(s.files, s.dir, name, at, s.at.carriers.String(), "-r", fmt.Sprint(s.Rate), "-m", fmt.Sprint(int(s.Duration.Seconds()*float64(s.Rate))),
		"-l", "9000", "-d", "300", "-trace_rtt", "-rtt_freq", "20", "-timeout", fmt.Sprint(int((s.Duration + 40*time.Second).Seconds())))
	if err != nil {
		return p, err
	}
	defer callers.Stop(time.Second)
	bad, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan uint64, 1)
	go func() {
		if a.run == nil {
			sent <- 0
			return
		}
		sent <- a.run(bad, s.at)
	}()
	end := time.After(s.Duration)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-end:
			stop()
			end = nil
		case <-callers.Done():
			over = true
		case <-ctx.Done():
			return p, context.Cause(ctx)
		case <-tick.C:
			u, err := proc.Look(s.proxy.PID())
			if err != nil {
				return p, fmt.Errorf("the proxy is gone: %w\n%s", err, s.proxy.Tail(20))
			}
			p.Resident = max(p.Resident, u.Resident)
		}
	}
	stop()
	p.Sent = <-sent
	after, err := proc.Look(s.proxy.PID())
	if err != nil {
		return p, err
	}
	p.CPU = after.CPU - before.CPU
	if p.Calls, err = callers.Tally(); err != nil {
		return p, err
	}
	times, err := callers.Times()
	if err != nil || len(times) == 0 {
		return p, errors.Join(err, fmt.Errorf("no call came true\n%s", callers.Errors()))
	}
	p.P50, p.P99, p.Faults = times[len(times)/2], times[len(times)*99/100], callers.Errors()
	return p, nil
}

// rest waits and gives the memory that is then left.
func (s *stand) rest(ctx context.Context, d time.Duration) (uint64, error) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	u, err := proc.Look(s.proxy.PID())
	return u.Resident, err
}
