package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
)

// Bounds of a rig.
const (
	noAnswerTime = 5 * time.Second // provisioned for every number: the shortest an operator may set
	startTime    = 20 * time.Second
	stopTime     = 3 * time.Second
)

// SwitchAt says where a FreeSWITCH, or the simulator, is reached. It must be on this host.
type SwitchAt struct {
	EventSocket  string         `json:"event_socket"`
	Password     string         `json:"-"`
	External     netip.AddrPort `json:"external"` // carrier-side profile
	Internal     netip.AddrPort `json:"internal"` // profile where phones register
	Domain       string         `json:"domain"`   // of FreeSWITCH's directory
	UserPassword string         `json:"-"`        // of users 1001 to 1019 there
	PID          int            `json:"-"`        // its process id; 0 = the lab did not start it

	process *Process                                    // nil = a switch that is not the lab's to kill
	again   func(ctx context.Context) (*Process, error) // starts it on the same ports after its end
}

// RigOptions describe a rig.
type RigOptions struct {
	// Program is the signalbox binary; "" = the running one.
	Program string
	// Sidecar is the address the dialplan hands calls to; "" = a free port.
	Sidecar string
	// StartSwitch starts a real switch with the drop-in files in its conf folder, and returns where it is reached and how to
	// end it. nil = the simulator.
	StartSwitch func(ctx context.Context, files Dropins) (SwitchAt, func(), error)
	// Second changes what is put into the conf folder of a second switch, the node SecondNode, which is started like the first one; nil =
	// there is none.
	Second func(files Dropins)
	// Reliable has the simulator send provisional responses reliably (RFC 3262) to who supports that. A real switch is told by
	// whoever starts it.
	Reliable bool
	// Mischief is the seed of a bad day on the simulator; 0 = a good one.
	Mischief uint64
	// Configure changes the configuration file of proxy and sidecar before it is written; nil = as it is.
	Configure func(yaml string) string
	// Files changes what is put into the switch's conf folder; nil = as it is.
	Files func(files Dropins, stages map[string]*Stage)
	// Provision changes what is provisioned; nil = as it is.
	Provision func(d *account.Document, stages map[string]*Stage)
	// Keep leaves the temp folder behind.
	Keep bool
}

// The names of the nodes in the configuration.
const (
	FirstNode  = "lab-switch"
	SecondNode = "second-switch"
)

// Rig is everything that stands around the stories: switch, store, proxy and sidecar as processes, the test DNS, the stages.
type Rig struct {
	Sidecar *Process
	Proxy   *Process
	Stages  map[string]*Stage // by story name

	opts      RigOptions
	dir       string
	config    string
	at        SwitchAt
	second    SwitchAt // its External is not valid where there is none
	realVoice bool     // the switch sends and relays voice itself
	proxyAddr netip.AddrPort
	devices   netip.AddrPort // where the proxy takes phones
	proxyTLS  netip.AddrPort
	authority *authority
	sidecar   string
	dns       *resolvetest.Server
	names     *Names
	watch     *watch
	store     *records
	numbers   []string   // of the stages, in their order
	processes []*Process // every one ever started, for their output
	undo      []func()
	frozen    bool
}

// NewRig prepares the stages of the stories and starts everything. On an error nothing is left running.
func NewRig(ctx context.Context, o RigOptions, stories []Story) (r *Rig, err error) {
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("finding our own program: %w", err)
		}
	}
	r = &Rig{opts: o, names: &Names{}, Stages: make(map[string]*Stage)}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, r.Logs())
			r.Close()
			r = nil
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the rig was not up in time"))
	defer cancel()
	if r.dir, err = os.MkdirTemp("", "signalbox-lab-"); err != nil {
		return r, fmt.Errorf("making a temp folder: %w", err)
	}
	if !o.Keep {
		r.undo = append(r.undo, func() { _ = os.RemoveAll(r.dir) })
	}
	if r.dns, err = resolvetest.Serve("127.0.0.1:0"); err != nil {
		return r, err
	}
	r.undo = append(r.undo, func() { _ = r.dns.Close() })
	if r.authority, err = newAuthority(); err != nil {
		return r, err
	}
	if err = r.authority.write(r.dir, "proxy.lab.example.test"); err != nil {
		return r, err
	}
	var order []*Stage
	for i, story := range stories {
		s, err := r.newStage(i, story)
		if err != nil {
			return r, err
		}
		r.Stages[story.Name] = s
		order = append(order, s)
	}
	if r.proxyAddr, err = freePort(); err != nil {
		return r, err
	}
	r.names.Set(r.proxyAddr, ColProxy)
	if r.devices, err = freePort(); err != nil {
		return r, err
	}
	r.names.Set(r.devices, ColProxy)
	if r.proxyTLS, err = freePort(); err != nil {
		return r, err
	}
	r.names.Set(r.proxyTLS, ColProxy)
	if r.sidecar = o.Sidecar; r.sidecar == "" {
		free, err := freePort()
		if err != nil {
			return r, err
		}
		r.sidecar = free.String()
	}
	files, err := dropins(r.sidecar, order)
	if err != nil {
		return r, err
	}
	if o.Files != nil {
		o.Files(files, r.Stages)
	}
	if err = r.startSwitch(ctx, files); err != nil {
		return r, err
	}
	if err = r.provision(ctx, order); err != nil {
		return r, err
	}
	if err = r.startProxy(ctx); err != nil {
		return r, err
	}
	return r, r.startSidecar(ctx)
}

func (r *Rig) startSwitch(ctx context.Context, files Dropins) error {
	start := r.opts.StartSwitch
	if start == nil {
		start = r.simulate
	} else {
		r.realVoice = true
	}
	one := func(files Dropins, into *SwitchAt) error {
		at, stop, err := start(ctx, files)
		if err != nil {
			return err
		}
		*into = at
		if stop != nil {
			r.undo = append(r.undo, stop)
		}
		r.names.Set(at.External, ColSwitch)
		r.names.Set(at.Internal, ColSwitch)
		return nil
	}
	if err := one(files, &r.at); err != nil {
		return err
	}
	if r.opts.Second != nil {
		others := maps.Clone(files)
		r.opts.Second(others)
		if err := one(others, &r.second); err != nil {
			return err
		}
	}
	var err error
	if r.watch, err = openWatch(ctx, r.at); err != nil {
		return err
	}
	r.undo = append(r.undo, func() { r.watch.close() })
	return nil
}

// simulate starts the simulator as a process of its own.
func (r *Rig) simulate(ctx context.Context, files Dropins) (SwitchAt, func(), error) {
	conf, err := newFolder(r.dir, "conf")
	if err != nil {
		return SwitchAt{}, nil, err
	}
	if err := errors.Join(skeleton().Write(conf), files.Write(conf)); err != nil {
		return SwitchAt{}, nil, err
	}
	const domain, password = "lab.example.test", "1234"
	args := []string{"simulator", "--conf", conf, "--password", eventSocketPassword, "--domain", domain,
		"--mischief", strconv.FormatUint(r.opts.Mischief, 10)}
	if r.opts.Reliable {
		args = append(args, "--reliable")
	}
	for user := range maxStories {
		args = append(args, "--user", fmt.Sprintf("%d:%s", 1001+user, password))
	}
	// Of ours, not of the kernel's, who would give those of a switch that was killed to somebody who answers its calls.
	for _, flag := range []string{"--event-socket", "--external", "--internal"} {
		free, err := freePort()
		if err != nil {
			return SwitchAt{}, nil, err
		}
		args = append(args, flag, free.String())
	}
	p, err := r.spawn("switch", args...)
	if err != nil {
		return SwitchAt{}, nil, err
	}
	line, err := p.FirstLine(ctx)
	if err != nil {
		p.Stop(stopTime)
		return SwitchAt{}, nil, err
	}
	at := SwitchAt{}
	if err := json.Unmarshal([]byte(line), &at); err != nil {
		p.Stop(stopTime)
		return SwitchAt{}, nil, fmt.Errorf("reading the simulator's addresses from %q: %w", line, err)
	}
	at.Password, at.Domain, at.UserPassword, at.PID, at.process = eventSocketPassword, domain, password, p.PID(), p
	running := p
	at.again = func(ctx context.Context) (*Process, error) {
		p, err := r.spawn("switch", args...)
		if err != nil {
			return nil, err
		}
		running = p
		_, err = p.FirstLine(ctx)
		return p, err
	}
	return at, func() { running.Stop(stopTime) }, nil
}

// newFolder makes a folder that was not there: "name", or "name-2" for the second one.
func newFolder(in, name string) (string, error) {
	folder := filepath.Join(in, name)
	err := os.Mkdir(folder, 0o700)
	if errors.Is(err, fs.ErrExist) {
		folder += "-2"
		err = os.Mkdir(folder, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("making a folder for a switch: %w", err)
	}
	return folder, nil
}

func (r *Rig) spawn(name string, args ...string) (*Process, error) {
	p, err := Spawn(r.dir, name, r.opts.Program, args...)
	if err != nil {
		return nil, err
	}
	r.processes = append(r.processes, p)
	return p, nil
}

// startProxy starts the proxy and waits until it answers SIP.
func (r *Rig) startProxy(ctx context.Context) error {
	p, err := r.spawn("proxy", "serve", "--config", r.config, "--role", "proxy")
	if err != nil {
		return err
	}
	r.Proxy = p
	return r.until(ctx, p, func() error { return dialOnce(ctx, r.proxyAddr.String()) })
}

// startSidecar starts the sidecar and waits until it listens.
func (r *Rig) startSidecar(ctx context.Context) error {
	p, err := r.spawn("sidecar", "serve", "--config", r.config, "--role", "sidecar")
	if err != nil {
		return err
	}
	r.Sidecar, r.frozen = p, false
	return r.until(ctx, p, func() error { return dialOnce(ctx, r.sidecar) })
}

func dialOnce(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// until tries until there is no error, the process ends, or ctx does.
func (r *Rig) until(ctx context.Context, p *Process, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%s ended before it was ready: %w\n%s", p.Name, p.ended(), p.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %w", p.Name, context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *Rig) freezeSidecar() error {
	r.frozen = true
	return r.Sidecar.Signal(syscall.SIGSTOP)
}

func (r *Rig) thawSidecar() error {
	r.frozen = false
	return r.Sidecar.Signal(syscall.SIGCONT)
}

// repair brings back what a failed story left broken, so that the next one has a fair start.
func (r *Rig) repair(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the rig could not be repaired"))
	defer cancel()
	if r.frozen {
		if err := r.thawSidecar(); err != nil {
			return err
		}
	}
	select {
	case <-r.Sidecar.Done():
		if err := r.startSidecar(ctx); err != nil {
			return err
		}
	default:
	}
	select {
	case <-r.Proxy.Done():
		return r.startProxy(ctx)
	default:
		return nil
	}
}

// registration is where a phone registers, and as whom.
func (r *Rig) registration(user string, seconds int) Registration {
	return Registration{Registrar: hop{"udp", r.at.Internal}, User: user, Domain: r.at.Domain, Password: r.at.UserPassword, Expires: seconds}
}

// registrationByProxy is the same through the proxy, by TCP.
func (r *Rig) registrationByProxy(user string, seconds int) Registration {
	reg := r.registration(user, seconds)
	reg.Registrar = hop{"tcp", r.devices}
	return reg
}

// records reads all call records.
func (r *Rig) records(ctx context.Context) ([]call.Record, error) { return r.store.all(ctx) }

// Logs is the end of every process's output.
func (r *Rig) Logs() string {
	var b strings.Builder
	seen := make(map[string]bool)
	for _, p := range r.processes {
		if !seen[p.Log] {
			seen[p.Log] = true
			fmt.Fprintf(&b, "--- the end of %s ---\n%s\n", filepath.Base(p.Log), p.Tail(25))
		}
	}
	return b.String()
}

// Unknown are the lines in which the simulator says what it was asked for and does not know: a story that came true with them
// proves less than it says.
func (r *Rig) Unknown() []string {
	var lines []string
	for _, p := range r.processes {
		if p.Name != "switch" {
			continue
		}
		raw, err := os.ReadFile(p.Log)
		if err != nil {
			return []string{err.Error()}
		}
		for line := range strings.Lines(string(raw)) {
			if strings.Contains(line, "the simulator does not know this") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	return lines
}

// Dir is the temp folder with configuration, store and logs.
func (r *Rig) Dir() string { return r.dir }

// Close ends everything, last started first.
func (r *Rig) Close() {
	for _, p := range []*Process{r.Sidecar, r.Proxy} {
		if p != nil {
			p.Stop(stopTime)
		}
	}
	if r.store != nil {
		r.store.close()
	}
	for _, s := range r.Stages {
		s.close()
	}
	for i := len(r.undo) - 1; i >= 0; i-- {
		r.undo[i]()
	}
}
