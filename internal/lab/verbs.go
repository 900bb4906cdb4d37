package lab

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
)

// What follows are the verbs and checks of a story for those who tell stories in other packages. A check that fails ends the
// story that it belongs to; it must be called on the goroutine of that story, or inside Together.

// Fail ends the story with a failure.
func (s *Stage) Fail(format string, args ...any) { s.fail(format, args...) }

// Check ends the story unless ok.
func (s *Stage) Check(ok bool, format string, args ...any) { s.check(ok, format, args...) }

// Must ends the story on an error.
func (s *Stage) Must(err error) { s.must(err) }

// Tell adds a sentence to the story.
func (s *Stage) Tell(format string, args ...any) { s.tell(format, args...) }

// Deed tells what was done to a process, named by its column.
func (s *Stage) Deed(party, format string, args ...any) { s.deed(party, format, args...) }

// Together runs parts of a story at the same time, waits for all and fails with the first failure.
func (s *Stage) Together(parts ...func()) {
	failures := make(chan any, len(parts))
	var running sync.WaitGroup
	for _, part := range parts {
		running.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					failures <- r
				}
			}()
			part()
		})
	}
	running.Wait()
	select {
	case first := <-failures:
		panic(first)
	default:
	}
}

// Through says by which transport ("udp" or "tcp") and to which address the INVITE is sent.
func (i Invite) Through(network string, addr netip.AddrPort) Invite {
	i.Via = hop{network, addr}
	return i
}

// follow has the switch watched for a call.
func (s *Stage) follow(callID string) { s.Rig.watch.follow(callID, s.Trace) }

// Place places a call as inv says. What inv leaves empty is the story's: its number, its caller, the proxy over UDP.
func (s *Stage) Place(inv Invite) *Call {
	return s.PlaceBy(s.Caller, inv)
}

// Party is a further caller, at the carrier's address, whose voice is a tone and whose telephone has keys. hz sets him apart from the others:
// 50 Hz and more from each, and no multiple of another. He answers calls at once.
func (s *Stage) Party(name string, hz float64) *Agent {
	return s.party(AgentOptions{Name: name, Hz: hz})
}

// PBX is Party for a private exchange, which speaks A-law.
func (s *Stage) PBX(name string, hz float64) *Agent {
	return s.party(AgentOptions{Name: name, Hz: hz, ALaw: true})
}

func (s *Stage) party(o AgentOptions) *Agent {
	o.Voice, o.IP, o.Trace, o.Names, o.Behaviour = voiceCaller, carrierLoopback, s.Trace, s.Rig.names, answersAtOnce()
	a, err := NewAgent(o)
	s.must(err)
	s.parties = append(s.parties, a)
	return a
}

// PlaceBy is Place for any agent of the story.
func (s *Stage) PlaceBy(a *Agent, inv Invite) *Call {
	if inv.To == "" {
		inv.To = s.Number
	}
	if inv.From == "" {
		inv.From = s.From
	}
	if inv.Via == (hop{}) {
		inv = inv.Through("udp", s.Rig.proxyAddr)
	}
	inv.placed = s.follow
	c, err := a.Place(inv)
	s.must(err)
	s.calls, s.last = append(s.calls, c.id), c
	return c
}

// Call places an ordinary call to the story's number.
func (s *Stage) Call() *Call { return s.call() }

// Rings waits until an agent has its n-th INVITE, counted from 1, and gives up soon after the story's last call has ended.
func (s *Stage) Rings(ctx context.Context, a *Agent, n int) *Call { return s.rings(ctx, a, n) }

// Status waits for a response with one of the codes.
func (s *Stage) Status(ctx context.Context, c *Call, codes ...int) *Message {
	return s.status(ctx, c, codes...)
}

// WaitAnswered waits until a call is answered.
func (s *Stage) WaitAnswered(ctx context.Context, c *Call) { s.must(c.WaitAnswered(ctx)) }

// Ended waits for the end of a call and checks who ended it: "us", "them", or a status.
func (s *Stage) Ended(ctx context.Context, c *Call, by string) { s.ended(ctx, c, by) }

// Talk proves that two parties hear each other now.
func (s *Stage) Talk(ctx context.Context, a, b *Call) { s.talk(ctx, a, b) }

// Leaves waits until a caller who was answered before hears voicemail, and ends the call.
func (s *Stage) Leaves(ctx context.Context, c, mail *Call) { s.leaves(ctx, c, mail) }

// Untouched checks that agents got no call at all; nil agents have none.
func (s *Stage) Untouched(agents ...*Agent) { s.untouched(agents...) }

// Clean checks that an INVITE which left the switch carries neither our token nor a header made of a caller's text.
func (s *Stage) Clean(c *Call) { s.clean(c) }

// Mailbox checks the INVITE a voicemail target got: pilot, name, target, cause, diversion, history, caller.
func (s *Stage) Mailbox(c *Call, cause int, reason string) { s.mailbox(c, cause, reason) }

// Deposit checks the INVITE that a voicemail system other than the lab's got, as Mailbox does.
func (s *Stage) Deposit(m *Message, fqdn string, cause int, reason string) {
	s.deposit(m, fqdn, cause, reason)
}

// Apply has the operator's command change what is provisioned, and waits until it counts.
func (s *Stage) Apply(ctx context.Context, d account.Document) { s.apply(ctx, d) }

// Row is the number's row as it was provisioned at first.
func (s *Stage) Row() account.NumberEntry { return s.row }

// Register has the phone register at the switch, for so many seconds; 0 = no longer.
func (s *Stage) Register(ctx context.Context, seconds int) {
	s.must(s.Phone.Register(ctx, s.Rig.registration(s.user, seconds)))
}

// RegisterAs has the phone register at the switch as another user, with a password; the error says how it was refused.
func (s *Stage) RegisterAs(ctx context.Context, user, password string, seconds int) error {
	r := s.Rig.registration(user, seconds)
	r.Password = password
	return s.Phone.Register(ctx, r)
}

// RegisterByProxy is Register through the proxy, by TCP.
func (s *Stage) RegisterByProxy(ctx context.Context, seconds int) {
	s.must(s.Phone.Register(ctx, s.Rig.registrationByProxy(s.user, seconds)))
}

// Notify has the voicemail system, which must notify, say how many messages the story's number has, as "2/1 (0/0)".
func (s *Stage) Notify(ctx context.Context, counts string) {
	status, err := s.Notifier.Summary(ctx, hop{"udp", s.Rig.proxyAddr}, s.Rig.at.Domain, s.FQDN, s.Number, counts)
	s.must(err)
	s.check(status == 200, "the NOTIFY was answered %d, want 200", status)
}

// LampShows waits until the last that the phone was told of messages is these counts.
func (s *Stage) LampShows(ctx context.Context, counts string) { s.lampShows(ctx, counts) }

// Record waits until the record of the story's n-th call, counted from 1, is closed.
func (s *Stage) Record(ctx context.Context, n int) call.Record { return s.record(ctx, n) }

// Opened waits until the store has the record of the story's n-th call: who kills the sidecar sooner takes it with him.
func (s *Stage) Opened(ctx context.Context, n int) { s.opened(ctx, n) }

// Placed says how many calls the story has placed so far.
func (s *Stage) Placed() int { return len(s.calls) }

// NoRecord checks that the sidecar kept none of the story's calls.
func (s *Stage) NoRecord(ctx context.Context) { s.noRecord(ctx) }

// Steps checks the kinds and results of a record's steps: "ring no-answer", "mailbox answered".
func (s *Stage) Steps(r call.Record, want ...string) { s.steps(r, want...) }

// NextCallWorks places another call, has the phone, which had n calls so far, answer it, and checks its record.
func (s *Stage) NextCallWorks(ctx context.Context, n int) { nextCallWorks(ctx, s, n+1) }

// Fallback waits until the operator's own extension has answered a call, within 4 s, that they talk, and ends the call. The
// extension had n calls so far.
func (s *Stage) Fallback(ctx context.Context, c *Call, n int) { fallback(ctx, s, c, n+1) }

// User is the stage's user of FreeSWITCH's directory.
func (s *Stage) User() string { return s.user }

// At says where the switch is.
func (r *Rig) At() SwitchAt { return r.at }

// SecondAt says where the second switch is.
func (r *Rig) SecondAt() SwitchAt { return r.second }

// Publish puts records of a name into the test DNS, as "5 IN A 127.0.0.1".
func (r *Rig) Publish(name string, records ...string) error { return r.dns.Set(name, records...) }

// ProxyAddr is where the proxy listens, over UDP and TCP.
func (r *Rig) ProxyAddr() netip.AddrPort { return r.proxyAddr }

// ProxyTLSAddr is where the proxy listens for TLS.
func (r *Rig) ProxyTLSAddr() netip.AddrPort { return r.proxyTLS }

// DevicesAddr is where the proxy takes phones, over UDP and TCP.
func (r *Rig) DevicesAddr() netip.AddrPort { return r.devices }

// SidecarAddr is where the dialplan hands calls to.
func (r *Rig) SidecarAddr() string { return r.sidecar }

// DNS is the name server that knows the voicemail systems' names.
func (r *Rig) DNS() *resolvetest.Server { return r.dns }

// Config is the path of the configuration file of proxy and sidecar.
func (r *Rig) Config() string { return r.config }

// Real reports whether the switch sends and relays voice itself, as the simulator does not.
func (r *Rig) Real() bool { return r.realVoice }

// Records reads all call records, newest first.
func (r *Rig) Records(ctx context.Context) ([]call.Record, error) { return r.records(ctx) }

// API asks the switch on the lab's own Event Socket connection.
func (r *Rig) API(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return r.watch.conn.API(ctx, command)
}

// Leg is the UUID of the caller's leg of a call on the switch; it waits until the leg exists.
func (r *Rig) Leg(ctx context.Context, c *Call) (uuid string, err error) {
	if err := r.watch.arrived(ctx, c.id); err != nil {
		return "", err
	}
	return r.watch.leg(c.id), nil
}

// StartSidecar starts a sidecar after the one before has ended, and waits until it listens.
func (r *Rig) StartSidecar(ctx context.Context) error { return r.startSidecar(ctx) }

// FreezeSidecar stops the sidecar's process without ending it.
func (r *Rig) FreezeSidecar() error { return r.freezeSidecar() }

// ThawSidecar lets a frozen sidecar go on.
func (r *Rig) ThawSidecar() error { return r.thawSidecar() }

// ID is the Call-ID.
func (c *Call) ID() string { return c.id }

// Agent is the party the call belongs to.
func (c *Call) Agent() *Agent { return c.agent }

// WaitHeardAnything waits until n voice packets have arrived, whoever sent them.
func (c *Call) WaitHeardAnything(ctx context.Context, n int64) error {
	return c.agent.wait(ctx, fmt.Sprintf("%d voice packets arrive", n), func() bool { return c.media.total() >= n })
}
