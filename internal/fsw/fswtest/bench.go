// Package fswtest is a bench for tests of what stands behind FreeSWITCH: the simulator with the dialplan that Signalbox
// ships, an operator's own extensions behind it, callers and phones with real SIP on loopback, and a view of the switch
// over an inbound connection.
//
// A Bench ends with its test, waits for everything it started, and fails the test on anything the simulator was asked for
// and does not know. Its methods may be called from any goroutine of the test, but those that fail it only from the
// test's own.
//
//	phone := fswtest.Agent(t, "phone", lab.Refuses(486))
//	bench := fswtest.New(t, fswtest.Options{Handler: sidecar.Serve})
//	caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), "14155550100")
//	answer := bench.Status(caller, 486)
package fswtest

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/fssim"
	"github.com/signalbox/signalbox/internal/lab"
)

const (
	// Patience is how long a bench waits for a fact before the test fails.
	Patience = 15 * time.Second
	// Password is that of the switch's Event Socket.
	Password = "ClueCon"
	// Fallback is the phrase with which the operator's own extension answers 486 to every call to a number that begins
	// with 1415555. Numbers that begin with 1415556 it keeps waiting instead, so that their variables can be looked at.
	Fallback = "Operator Ran"
)

// operator is the dialplan an operator had before Signalbox came.
const operator = `<include>
  <extension name="operator">
    <condition field="destination_number" expression="^\+?1415555\d{4}$">
      <action application="set" data="operator=ran"/>
      <action application="respond" data="486 Operator Ran"/>
    </condition>
  </extension>
  <extension name="operator-waits">
    <condition field="destination_number" expression="^\+?1415556\d{4}$">
      <action application="set" data="operator=ran"/>
      <action application="sleep" data="60000"/>
    </condition>
  </extension>
</include>
`

// Options of a Bench.
type Options struct {
	// Handler drives the calls, as that of an esl.Server. nil = the calls go to Socket.
	Handler func(ctx context.Context, s *esl.Session)
	// Socket is the address the dialplan hands calls to when there is no Handler: one of a sidecar that the test runs, or
	// one where nobody listens.
	Socket string
	// Through is given the address of the Handler's server and returns the one the dialplan hands calls to, that of something
	// in between; nil = calls come straight.
	Through func(addr string) string
	// Users are the switch's directory.
	Users []fssim.User
	// Mischief is what makes the switch nasty. Without any, SIGNALBOX_MISCHIEF may name the seed of a bad day.
	Mischief fssim.Mischief
	// Logger gets what server and switch log; nil = nothing.
	Logger *zap.Logger
}

// Bench is one running switch with everything around it.
type Bench struct {
	Switch *fssim.Switch
	Server *esl.Server // nil without a Handler

	t      testing.TB
	ctx    context.Context
	socket string
	conn   *esl.Conn
}

// New starts a bench for the length of a test.
func New(t testing.TB, o Options) *Bench {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 4*Patience, errors.New("the bench's patience is at its end"))
	t.Cleanup(cancel)
	b := &Bench{t: t, ctx: ctx, socket: o.Socket}
	if o.Handler != nil {
		b.serve(o)
	}
	b.runSwitch(o)
	conn, err := esl.Dial(ctx, esl.DialOptions{Addr: b.Switch.EventSocketAddr().String(), Password: Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	b.conn = conn
	return b
}

// serve runs the far end of the socket application.
func (b *Bench) serve(o Options) {
	b.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.socket = listener.Addr().String()
	if o.Through != nil {
		b.socket = o.Through(b.socket)
	}
	b.Server, err = esl.NewServer(esl.ServerOptions{Listener: listener, Handler: o.Handler, DrainTimeout: time.Millisecond, Logger: o.Logger})
	if err != nil {
		b.t.Fatal(err)
	}
	b.run("server", b.Server.Run)
}

func (b *Bench) runSwitch(o Options) {
	b.t.Helper()
	dir := b.t.TempDir()
	write(b.t, freeswitchconf.Files, dir)
	if err := os.WriteFile(filepath.Join(dir, "50_operator.xml"), []byte(operator), 0o600); err != nil {
		b.t.Fatal(err)
	}
	public := filepath.Join(dir, "dialplan", "public")
	if seed, err := strconv.ParseUint(os.Getenv("SIGNALBOX_MISCHIEF"), 10, 64); err == nil && o.Mischief == (fssim.Mischief{}) {
		o.Mischief = fssim.BadDay(seed)
	}
	sw, err := fssim.New(fssim.Options{
		Public:     []string{filepath.Join(public, "05_signalbox.xml"), filepath.Join(dir, "50_operator.xml"), filepath.Join(public, "zz_signalbox.xml")},
		Contexts:   []string{filepath.Join(dir, "dialplan", "*.xml")},
		Substitute: []string{"127.0.0.1:8084", b.socket},
		Password:   Password, Users: o.Users, Digest: true, Logger: o.Logger, Mischief: o.Mischief,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Switch = sw
	b.run("switch", sw.Run)
	b.t.Cleanup(func() {
		for _, what := range sw.Unknown() {
			b.t.Errorf("the simulator does not know %s", what)
		}
	})
}

// run runs something until the test ends, and waits for it.
func (b *Bench) run(what string, do func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.ctx))
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				b.t.Errorf("%s: %v", what, err)
			}
		case <-time.After(Patience):
			b.t.Errorf("%s does not stop", what)
		}
	})
}

// write lays the shipped files out in a folder.
func write(t testing.TB, files fs.FS, dir string) {
	t.Helper()
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(path))
		if entry.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Context ends with the bench's patience.
func (b *Bench) Context() context.Context { return b.ctx }

// Agent starts a caller, phone or voicemail system. It needs no Bench, so that a Handler can be given one that is there
// already.
func Agent(t testing.TB, name string, behaviour lab.Behaviour) *lab.Agent {
	t.Helper()
	agent, err := lab.NewAgent(lab.AgentOptions{Name: name, Voice: name[0], Behaviour: behaviour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(agent.Close)
	return agent
}

// Call places a call from +12125550123 at the carrier-side profile, over UDP.
func (b *Bench) Call(from *lab.Agent, to string, headers ...string) *lab.Call {
	b.t.Helper()
	return b.Place(from, lab.Invite{To: to, From: "+12125550123", Display: `"Ada Attendee"`, Headers: headers}, b.Switch.ExternalAddr())
}

// Place places any call over UDP, to an address of the switch or of a proxy.
func (b *Bench) Place(from *lab.Agent, inv lab.Invite, to netip.AddrPort) *lab.Call {
	b.t.Helper()
	c, err := from.Place(inv.Through("udp", to))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// Status waits for a response to a call and returns it.
func (b *Bench) Status(c *lab.Call, codes ...int) *lab.Message {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	m, err := c.WaitStatus(ctx, codes...)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// Incoming waits for the n-th call that comes in at an agent, counted from 1.
func (b *Bench) Incoming(a *lab.Agent, n int) *lab.Call {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	c, err := a.Incoming(ctx, n)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// Ended waits until a call is over.
func (b *Bench) Ended(c *lab.Call) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if err := c.WaitEnded(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// API asks the switch over an inbound connection; an answer that begins with -ERR is returned like any other.
func (b *Bench) API(command string) string {
	b.t.Helper()
	answer, err := b.conn.API(b.ctx, command)
	var refused *esl.ReplyError
	if err != nil && !errors.As(err, &refused) {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

// Guards takes the guards off a call and returns how many there were: the way to see one without waiting for it.
func (b *Bench) Guards(uuid string) string {
	b.t.Helper()
	return strings.TrimPrefix(b.API("sched_del signalbox-"+uuid), "+OK Deleted: ")
}

// Wait waits for a value from a channel.
func Wait[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Patience):
		t.Fatalf("waited in vain: %s", what)
	}
	panic("unreachable")
}

// Until asks again and again until something is so.
func Until(t testing.TB, what string, so func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(Patience); !so(); <-again.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
