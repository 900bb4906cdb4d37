package proxies

import (
	"context"
	_ "embed" // kamailio.cfg
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/bench/proc"
	"github.com/signalbox/signalbox/internal/bench/sipp"
	"github.com/signalbox/signalbox/internal/lab"
)

//go:embed kamailio.cfg
var kamailioConfig string

// Options of a comparison.
type Options struct {
	Program  string        // the signalbox binary
	Kamailio string        // the kamailio binary; "" = Signalbox is measured alone
	Rates    []int         // calls a second
	Duration time.Duration // of each round
	Rounds   int           // of each proxy at each rate
	Progress io.Writer
	Keep     bool // leave the temp folder behind
}

var (
	carrier = netip.MustParseAddr("127.0.0.2")
	node    = netip.MustParseAddr("127.0.0.3")
	proxyIP = netip.MustParseAddr("127.0.0.1")
)

// Round is one proxy at one rate.
type Round struct {
	Calls     sipp.Tally
	PerCall   time.Duration // processor time
	Memory    proc.Memory   // the most that was seen
	P50, P99  time.Duration // INVITE to 180, both ways through the proxy
	Faults    string
	Processes int
}

// Row is one proxy at one rate, all rounds.
type Row struct {
	Name   string
	Rate   int
	Rounds []Round
}

// Run measures.
func Run(ctx context.Context, o Options) ([]Row, error) {
	dir, err := os.MkdirTemp("", "signalbox-proxies-")
	if err != nil {
		return nil, fmt.Errorf("making a temp folder: %w", err)
	}
	if !o.Keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	subjects := []func(string, netip.AddrPort, netip.AddrPort) (*lab.Process, error){o.signalbox}
	names := []string{"signalbox"}
	if o.Kamailio != "" {
		subjects, names = append(subjects, o.kamailio), append(names, "kamailio")
	}
	var rows []Row
	for _, rate := range o.Rates {
		first := len(rows)
		for _, name := range names {
			rows = append(rows, Row{Name: name, Rate: rate})
		}
		for n := range o.Rounds {
			for i, start := range subjects {
				where := filepath.Join(dir, fmt.Sprintf("%s-%d-%d", names[i], rate, n))
				if err := os.Mkdir(where, 0o755); err != nil {
					return nil, err
				}
				r, err := o.round(ctx, where, rate, start)
				if err != nil {
					return nil, fmt.Errorf("%s at %d calls a second: %w", names[i], rate, err)
				}
				o.tell("%-10s %5d calls/s  round %d: %d calls, %d failed, %d us a call", names[i], rate, n+1, r.Calls.Created, r.Calls.Failed, r.PerCall.Microseconds())
				rows[first+i].Rounds = append(rows[first+i].Rounds, r)
			}
		}
	}
	return rows, nil
}

func (o Options) tell(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

// round starts everything anew, warms up, and measures one load.
func (o Options) round(ctx context.Context, dir string, rate int, start func(string, netip.AddrPort, netip.AddrPort) (*lab.Process, error)) (r Round, err error) {
	answerAt, err := sipp.FreeUDP(node)
	if err != nil {
		return r, err
	}
	proxyAt, err := sipp.FreeUDP(proxyIP)
	if err != nil {
		return r, err
	}
	files := sipp.Carrier()
	answerer, err := sipp.Start(files, dir, "answerer", answerAt)
	if err != nil {
		return r, err
	}
	defer answerer.Stop(time.Second)
	p, err := start(dir, proxyAt, answerAt)
	if err != nil {
		return r, err
	}
	defer p.Stop(3 * time.Second)
	if _, _, err := o.call(ctx, dir, "caller-warmup", files, proxyAt, min(rate, 100), 2*time.Second, nil); err != nil {
		return r, fmt.Errorf("%w\nthe end of %s:\n%s", err, p.Log, p.Tail(10))
	}
	before, _, err := use(p.PID())
	if err != nil {
		return r, err
	}
	callers, most, err := o.call(ctx, dir, "caller", files, proxyAt, rate, o.Duration, func() (proc.Memory, error) {
		_, m, err := use(p.PID())
		return m, err
	})
	if err != nil {
		return r, err
	}
	after, last, err := use(p.PID())
	if err != nil {
		return r, err
	}
	if r.Calls, err = callers.Tally(); err != nil {
		return r, err
	}
	times, err := callers.Times()
	if err != nil || len(times) == 0 {
		return r, errors.Join(err, fmt.Errorf("no response times\n%s", callers.Errors()))
	}
	r.PerCall = (after - before) / time.Duration(max(r.Calls.Created, 1))
	r.Memory = larger(most, last)
	r.P50, r.P99 = times[len(times)/2], times[len(times)*99/100]
	r.Faults = callers.Errors()
	r.Processes = 1 + len(proc.Children(p.PID()))
	return r, nil
}

// call places calls for a time and looks at the memory meanwhile.
func (o Options) call(ctx context.Context, dir, name string, files fs.FS, to netip.AddrPort, rate int, d time.Duration, look func() (proc.Memory, error)) (*sipp.Process, proc.Memory, error) {
	var most proc.Memory
	at, err := sipp.FreeUDP(carrier)
	if err != nil {
		return nil, most, err
	}
	total := int(d.Seconds() * float64(rate))
	callers, err := sipp.Start(files, dir, name, at, to.String(), "-r", fmt.Sprint(rate), "-m", fmt.Sprint(total), "-l", "9000", "-d", "500",
		"-trace_rtt", "-rtt_freq", "100", "-timeout", fmt.Sprint(int((d + time.Minute).Seconds())))
	if err != nil {
		return nil, most, err
	}
	defer callers.Stop(time.Second)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-callers.Done():
			if t, err := callers.Tally(); err != nil || t.Good == 0 {
				return nil, most, errors.Join(err, fmt.Errorf("no call came true\n%s", callers.Errors()))
			}
			return callers, most, nil
		case <-ctx.Done():
			return nil, most, context.Cause(ctx)
		case <-tick.C:
		}
		if look == nil {
			continue
		}
		now, err := look()
		if err != nil {
			return nil, most, err
		}
		most = larger(most, now)
	}
}

// use is what a process and its children use.
func use(pid int) (cpu time.Duration, m proc.Memory, err error) {
	for _, p := range append([]int{pid}, proc.Children(pid)...) {
		u, err := proc.Look(p)
		if err != nil {
			return cpu, m, err
		}
		one, err := proc.LookMemory(p)
		if err != nil {
			return cpu, m, err
		}
		cpu += u.CPU
		m.All += one.All
		m.Own += one.Own
	}
	return cpu, m, nil
}

// signalbox starts Signalbox's proxy as it is in production: screening, a signed token, observing.
func (o Options) signalbox(dir string, at, next netip.AddrPort) (*lab.Process, error) {
	yaml := fmt.Sprintf(`region: DE
domain: pbx.example.net
store: {sqlite: %s}
nodes: [{name: fs1, sip: %s}]
proxy:
  listen: ["udp:%s"]
  trunks: [{name: carrier, prefixes: [%s/32], screening: enforce, calls_per_second: 20000}] # one address here places the calls of many
token: {keys: [{id: k1, secret: 0f3b1c9a5d7e2f4860718293a4b5c6d7}]}
screening: {deny: [{number: "+19005550199", reason: premium}]}
dns: {servers: ["127.0.0.1:1"]}
http: {listen: "", proxy_listen: ""}
log: {level: warn, format: json}
`, filepath.Join(dir, "unused.db"), next, at, carrier)
	file := filepath.Join(dir, "signalbox.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		return nil, err
	}
	return lab.Spawn(dir, "proxy", o.Program, "serve", "--config", file, "--role", "proxy")
}

// kamailio starts Kamailio with a worker for each processor.
func (o Options) kamailio(dir string, at, next netip.AddrPort) (*lab.Process, error) {
	text := kamailioConfig
	for _, r := range [][2]string{
		{"NODEADDR", next.String()}, {"LISTEN", at.String()}, {"CARRIER", carrier.String()}, {"NODE", node.String()}, {"CHILDREN", fmt.Sprint(runtime.NumCPU())},
	} {
		text = replaceWord(text, r[0], r[1])
	}
	file := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return lab.Spawn(dir, "kamailio", o.Kamailio, "-DD", "-E", "-f", file, "-Y", dir, "-P", filepath.Join(dir, "pid"), "-w", dir, "-m", "256")
}

func larger(a, b proc.Memory) proc.Memory {
	if a.All > b.All {
		return a
	}
	return b
}

func median[T int | time.Duration | uint64](rounds []Round, of func(Round) T) T {
	var all []T
	for _, r := range rounds {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
