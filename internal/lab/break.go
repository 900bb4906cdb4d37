package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
)

// What follows breaks and mends the processes of a rig, for stories in which more than the sidecar fails. A switch is killed and
// started while no other story uses the rig's Event Socket connection.

// errNotOurs means that a story wants to kill a switch that the lab has not started.
var errNotOurs = errors.New("lab: the switch was not started by the lab")

// KillSwitch ends the switch at once, with all its calls.
func (r *Rig) KillSwitch() error {
	if r.at.process == nil {
		return errNotOurs
	}
	r.watch.close()
	return r.at.process.Kill()
}

// StartSwitch starts the switch again on the ports it had.
func (r *Rig) StartSwitch(ctx context.Context) (err error) {
	if r.at.again == nil {
		return errNotOurs
	}
	if r.at.process, err = r.at.again(ctx); err != nil {
		return err
	}
	r.at.PID = r.at.process.PID()
	w, err := openWatch(ctx, r.at)
	if err != nil {
		return err
	}
	w.resume(r.watch)
	r.watch = w
	return nil
}

// FreezeSwitch stops the switch's process without ending it.
func (r *Rig) FreezeSwitch() error {
	if r.at.process == nil {
		return errNotOurs
	}
	return r.at.process.Signal(syscall.SIGSTOP)
}

// ThawSwitch lets a frozen switch go on.
func (r *Rig) ThawSwitch() error { return r.at.process.Signal(syscall.SIGCONT) }

// StartProxy starts a proxy after the one before has ended, and waits until it takes SIP.
func (r *Rig) StartProxy(ctx context.Context) error { return r.startProxy(ctx) }

// Another is a second sidecar beside the rig's own, with an address and a store of its own in which the same is provisioned.
type Another struct {
	*Process // nil before Start
	Addr     string

	rig     *Rig
	environ []string
	store   *records
}

// NewAnother prepares a second sidecar for an address; Start starts it.
func (r *Rig) NewAnother(ctx context.Context, addr string) (*Another, error) {
	a := &Another{Addr: addr, rig: r, environ: append(os.Environ(), "SIGNALBOX_SIDECAR_LISTEN="+addr, "SIGNALBOX_STORE_SQLITE="+filepath.Join(r.dir, "another.db"))}
	apply := exec.CommandContext(ctx, r.opts.Program, "provision", "apply", filepath.Join(r.dir, "accounts.yaml"), "--config", r.config)
	apply.Env = a.environ
	if out, err := apply.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("provision apply: %w\n%s", err, out)
	}
	cfg, err := config.Load(r.config, a.environ)
	if err != nil {
		return nil, fmt.Errorf("reading our own configuration: %w", err)
	}
	s, err := app.OpenStore(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	a.store = &records{s}
	r.undo = append(r.undo, func() {
		if a.Process != nil {
			a.Stop(stopTime)
		}
		a.store.close()
	})
	return a, nil
}

// Start starts it, after an earlier one has ended, and waits until it listens.
func (a *Another) Start(ctx context.Context) (err error) {
	if a.Process, err = spawn(a.rig.dir, "another", a.environ, a.rig.opts.Program, "serve", "--config", a.rig.config, "--role", "sidecar"); err != nil {
		return err
	}
	a.rig.processes = append(a.rig.processes, a.Process)
	return a.rig.until(ctx, a.Process, func() error { return dialOnce(ctx, a.Addr) })
}

// Records reads its call records, newest first.
func (a *Another) Records(ctx context.Context) ([]call.Record, error) { return a.store.all(ctx) }

// FreeAddr is an address on loopback that nobody uses.
func FreeAddr() (netip.AddrPort, error) { return freePort() }

// Reinvite sends an INVITE inside the dialog of an answered call and waits for its answer.
func (c *Call) Reinvite(ctx context.Context) error { return c.renegotiate(ctx, "INVITE") }

// Update is the same by UPDATE (RFC 3311).
func (c *Call) Update(ctx context.Context) error { return c.renegotiate(ctx, "UPDATE") }

// Refer sends the far end of an answered call elsewhere (RFC 3515), to a Refer-To as on the wire.
func (c *Call) Refer(ctx context.Context, to string) error {
	return c.ask(ctx, "REFER", 202, false, "Refer-To: "+to, "Referred-By: "+stripTag(c.localURI))
}

func (c *Call) renegotiate(ctx context.Context, method string) error {
	return c.ask(ctx, method, 200, true)
}

// ask sends a request inside the dialog, with an offer or without, and waits for the answer that it wants.
func (c *Call) ask(ctx context.Context, method string, want int, offers bool, headers ...string) error {
	answers := make(chan *Message, 8)
	c.agent.do(func() {
		c.seq++
		seq, sdp := c.seq, ""
		if offers {
			sdp = c.agent.sdp(c.media)
		}
		c.sendTyped(method, seq, "application/sdp", sdp, func(m *Message) {
			if m != nil && method == "INVITE" && m.Status() >= 200 && m.Status() < 300 {
				c.send("ACK", seq, nil)
			}
			if m == nil || m.Status() >= 200 {
				select {
				case answers <- m:
				default:
				}
			}
		}, headers...)
	})
	select {
	case m := <-answers:
		if m == nil {
			return fmt.Errorf("%w: %s: the %s inside the dialog is answered; nobody did", ErrNever, c.agent.opts.Name, method)
		}
		if m.Status() != want {
			return fmt.Errorf("the %s of %s inside the dialog was answered %d %s", method, c.agent.opts.Name, m.Status(), m.Phrase())
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %s: the %s inside the dialog is answered (%w)", ErrNever, c.agent.opts.Name, method, context.Cause(ctx))
	}
}
