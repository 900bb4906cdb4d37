package load

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/bench/sipp"
	"github.com/signalbox/signalbox/internal/lab"
)

// Options of a load.
type Options struct {
	Program     string        // the signalbox binary
	FreeSWITCH  string        // a freeswitch binary; "" = the simulator
	Rate        int           // calls a second
	Duration    time.Duration // for how long
	Talk        time.Duration // of each caller with the voicemail system
	Voice       bool          // callers send voice packets while they talk, which a real switch relays
	Greeting    time.Duration // with Voice: how long the voicemail system speaks, from its answer on; whole seconds
	Unanswered  int           // percent of the subscribers whose phone rings until it is given up; the others refuse
	Subscribers int           // numbers that are called in turn
	Progress    io.Writer     // a line every few seconds
	Keep        bool          // leave the temp folder with configuration, store and logs behind
}

const (
	warmUp       = 10 * time.Second
	settleTime   = 40 * time.Second
	forgetTime   = 75 * time.Second
	sampleEvery  = time.Second
	progressTime = 10 * time.Second
	lineName     = "load"
)

//go:embed scenarios/*.xml
var scenarios embed.FS

func scenarioFiles() fs.FS {
	sub, err := fs.Sub(scenarios, "scenarios")
	if err != nil { // only a wrong path
		panic(err)
	}
	return sub
}

// callers send from here, so that the proxy takes them for a trunk.
var carrier = netip.MustParseAddr("127.0.0.2")

var loopback = netip.MustParseAddr("127.0.0.1")

// stand is everything that stands around the calls.
type stand struct {
	o         Options
	rig       *lab.Rig
	scenarios fs.FS
	dir       string
	numbers   string // file with the pairs of numbers
	phones    []*sipp.Process
	subjects  []subject
}

// Run plays the load.
func Run(ctx context.Context, o Options) (*Report, error) {
	dir, err := os.MkdirTemp("", "signalbox-load-")
	if err != nil {
		return nil, fmt.Errorf("making a temp folder: %w", err)
	}
	if !o.Keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	s := &stand{o: o, dir: dir}
	defer s.close()
	if err := s.build(ctx); err != nil {
		return nil, err
	}
	o.tell("%s, warming up with %s of calls", s.who(), warmUp)
	if _, err := s.call(ctx, "caller-warmup", warmUp, nil); err != nil {
		return nil, err
	}
	r := &Report{Options: o, Switch: s.who()}
	if r.before, err = s.settle(ctx); err != nil {
		return nil, err
	}
	if r.opened, err = s.openings(ctx); err != nil {
		return nil, err
	}
	s.rig.DNS().Asked() // by the calls before
	began := time.Now()
	callers, err := s.call(ctx, "caller", o.Duration, r)
	if err != nil {
		return nil, err
	}
	r.took, r.asked = time.Since(began), s.rig.DNS().Asked()
	if r.setups, err = callers.Times(); err != nil {
		return nil, err
	}
	r.errors = callers.Errors()
	o.tell("all calls are placed, waiting until they are over and what is remembered of them is forgotten")
	if err := s.forget(ctx, r); err != nil {
		return nil, err
	}
	last, err := s.openings(ctx)
	r.opened = last.since(r.opened)
	return r, err
}

func (o Options) tell(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

func (s *stand) who() string {
	if s.o.FreeSWITCH == "" {
		return "simulator"
	}
	return "FreeSWITCH"
}

// build starts the user agents and the rig.
func (s *stand) build(ctx context.Context) error {
	var at [3]netip.AddrPort
	for i := range at {
		var err error
		if at[i], err = sipp.FreeUDP(loopback); err != nil {
			return err
		}
	}
	if s.scenarios = scenarioFiles(); s.o.Voice {
		var err error
		if s.scenarios, err = talking(s.dir, s.scenarios, s.o.Greeting); err != nil {
			return err
		}
	}
	for i, name := range []string{"refuses", "rings", "voicemail"} {
		p, err := sipp.Start(s.scenarios, s.dir, name, at[i])
		if err != nil {
			return err
		}
		s.phones = append(s.phones, p)
	}
	ports, err := s.operatorPorts()
	if err != nil {
		return err
	}
	options := lab.RigOptions{Program: s.o.Program, Keep: s.o.Keep,
		Configure: func(yaml string) string { return configure(yaml, ports) },
		Provision: func(d *account.Document, stages map[string]*lab.Stage) {
			s.provision(d, stages[lineName].Pilot, at[0], at[1])
		},
	}
	if s.o.FreeSWITCH != "" {
		options.StartSwitch = lab.Vanilla{Program: s.o.FreeSWITCH, Dir: s.dir}.Start
	}
	line := lab.Line{Phone: lab.PhoneAbsent, At: [2]netip.AddrPort{at[2], at[2]}}
	if s.rig, err = lab.NewRig(ctx, options, []lab.Story{{Name: lineName, Line: line}}); err != nil {
		return err
	}
	if s.o.FreeSWITCH != "" { // vanilla writes its log at debug, which costs more than the calls do
		if _, err := s.rig.API(ctx, "fsctl loglevel warning"); err != nil {
			return fmt.Errorf("quieting FreeSWITCH's log: %w", err)
		}
	}
	s.subjects = []subject{
		{name: "sidecar", pid: s.rig.Sidecar.PID(), http: ports[0]},
		{name: "proxy", pid: s.rig.Proxy.PID(), http: ports[1]},
		{name: "switch", pid: s.rig.At().PID},
	}
	return s.writeNumbers()
}

// operatorPorts finds where sidecar and proxy shall answer for their goroutines and heap.
func (s *stand) operatorPorts() (ports [2]string, err error) {
	for i := range ports {
		addr, err := lab.FreeAddr()
		if err != nil {
			return ports, err
		}
		ports[i] = addr.String()
	}
	return ports, nil
}

// configure has the processes write little and tell much.
func configure(yaml string, ports [2]string) string {
	var b strings.Builder
	for line := range strings.Lines(yaml) {
		if strings.HasPrefix(line, "http:") || strings.HasPrefix(line, "log:") {
			continue
		}
		b.WriteString(line)
	}
	fmt.Fprintf(&b, "http: {listen: %q, proxy_listen: %q, pprof: true}\nlog: {level: warn, format: json}\n", ports[0], ports[1])
	return b.String()
}

func calledNumber(i int) string  { return fmt.Sprintf("+4930231%05d", 10000+i) }
func callingNumber(i int) string { return fmt.Sprintf("+4989999%05d", 10000+i) }

// provision gives every subscriber a phone at one of the two addresses.
func (s *stand) provision(d *account.Document, pilot string, refuses, rings netip.AddrPort) {
	d.Accounts, d.Numbers = nil, nil
	for i := range s.o.Subscribers {
		phone := refuses
		if i%100 < s.o.Unanswered {
			phone = rings
		}
		id := fmt.Sprintf("subscriber-%d", i)
		d.Accounts = append(d.Accounts, account.AccountEntry{ID: id, Name: "Subscriber of the load"})
		d.Numbers = append(d.Numbers, account.NumberEntry{
			Number: calledNumber(i), Account: id, NoAnswer: account.Duration(5 * time.Second), Voicemail: &account.VoicemailEntry{Pilot: pilot},
			Devices: []account.DeviceEntry{{Kind: account.DeviceURI, User: "phone", Host: phone.Addr().String(), Port: phone.Port()}},
		})
	}
}

// writeNumbers writes who calls whom, for SIPp. The subscribers stand in no order of their phones.
func (s *stand) writeNumbers() error {
	var b strings.Builder
	b.WriteString("SEQUENTIAL\n")
	const stride = 7919 // a prime above any number of subscribers' divisors: each comes up once
	for i := range s.o.Subscribers {
		fmt.Fprintf(&b, "%s;%s;\n", calledNumber(i*stride%s.o.Subscribers), callingNumber(i))
	}
	s.numbers = filepath.Join(s.dir, "numbers.csv")
	return os.WriteFile(s.numbers, []byte(b.String()), 0o600)
}

// talking gives the scenarios with voice in them: from the ACK on the caller sends PCMU until the end, as a phone does, and the voicemail
// system as long as it greets, 50 packets a second, always the same tone.
func talking(dir string, scenarios fs.FS, greeting time.Duration) (fs.FS, error) {
	const second = 8000 // bytes of PCMU
	voice := filepath.Join(dir, "voice.ulaw")
	dir = filepath.Join(dir, "talking")
	err := errors.Join(os.WriteFile(voice, bytes.Repeat([]byte{0x2a}, second), 0o600), os.CopyFS(dir, scenarios))
	for name, seconds := range map[string]int{"caller.xml": -1, "voicemail.xml": int(greeting.Seconds())} {
		if err != nil || seconds == 0 {
			continue
		}
		var text []byte
		if text, err = os.ReadFile(filepath.Join(dir, name)); err == nil {
			edited := strings.NewReplacer("[media_port]", "[rtpstream_audio_port]",
				"<!--voice-->", fmt.Sprintf(`<nop><action><exec rtp_stream="%s,%d,0,PCMU/8000"/></action></nop>`, voice, seconds)).Replace(string(text))
			err = os.WriteFile(filepath.Join(dir, name), []byte(edited), 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("writing the scenarios with voice: %w", err)
	}
	return os.DirFS(dir), nil
}

// call places calls for a time, and looks at the processes meanwhile when r is not nil.
func (s *stand) call(ctx context.Context, name string, d time.Duration, r *Report) (*sipp.Process, error) {
	at, err := sipp.FreeUDP(carrier)
	if err != nil {
		return nil, err
	}
	total := int(d.Seconds() * float64(s.o.Rate))
	callers, err := sipp.Start(s.scenarios, s.dir, name, at, s.rig.ProxyAddr().String(), "-inf", s.numbers, "-r", fmt.Sprint(s.o.Rate), "-m", fmt.Sprint(total),
		"-l", "10000", "-d", fmt.Sprint(s.o.Talk.Milliseconds()), "-trace_rtt", "-rtt_freq", "100", "-timeout", fmt.Sprint(int((d + time.Minute).Seconds())))
	if err != nil {
		return nil, err
	}
	defer callers.Stop(time.Second)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	told := time.Now()
	for began := time.Now(); ; {
		select {
		case <-callers.Done():
			t, err := callers.Tally()
			if r != nil {
				r.calls = t
			}
			if err == nil && t.Good == 0 {
				err = fmt.Errorf("no call came true\n%s\n%s", callers.Errors(), s.rig.Logs())
			}
			return callers, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
		if r == nil {
			continue
		}
		seen, err := s.look(ctx)
		if err != nil {
			return nil, err
		}
		r.during = append(r.during, moment{at: time.Since(began), seen: seen})
		if time.Since(told) < progressTime {
			continue
		}
		told = time.Now()
		t, err := callers.Tally()
		if err != nil {
			return nil, err
		}
		s.o.tell("%s", progress(time.Since(began), t, s.subjects, seen))
	}
}

// look takes a sample of every process.
func (s *stand) look(ctx context.Context) (all []sample, err error) {
	for _, subject := range s.subjects {
		p, err := subject.look(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// settle waits until the switch has no call and the processes hold the same for two seconds, and takes their samples.
func (s *stand) settle(ctx context.Context) (all []sample, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, settleTime, errors.New("calls were not over, or the processes not at rest, in time"))
	defer cancel()
	still := 0
	for before := []sample(nil); still < 4; {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		channels, err := s.rig.API(ctx, "show channels count")
		var now []sample
		if err == nil {
			now, err = s.look(ctx)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		if still++; !strings.HasPrefix(strings.TrimSpace(channels), "0 total") || !atRest(before, now) {
			still = 0
		}
		before = now
	}
	for _, subject := range s.subjects {
		p, err := subject.settled(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// forget takes the samples at rest after the load, again and again until nothing has grown, or until everything is past
// its time that a process remembers for a while: transactions of SIP (32 s), tokens (60 s).
func (s *stand) forget(ctx context.Context, r *Report) (err error) {
	for began := time.Now(); ; {
		if r.after, err = s.settle(ctx); err != nil {
			return err
		}
		if !r.grown() || time.Since(began) > forgetTime {
			return nil
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// atRest tells whether two looks found the same, but for what a look itself costs.
func atRest(before, now []sample) bool {
	if len(before) != len(now) {
		return false
	}
	for i := range now {
		if abs(now[i].goroutines-before[i].goroutines) > moreGoroutines || abs(now[i].files-before[i].files) > moreFiles {
			return false
		}
	}
	return true
}

func abs(n int) int { return max(n, -n) }

// close ends everything.
func (s *stand) close() {
	if s.rig != nil {
		s.rig.Close()
	}
	for _, p := range s.phones {
		p.Stop(time.Second)
	}
}
