package e2e

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimProxy(t *testing.T)  { onSimulator(t, proxies(t)) }
func TestRealProxy(t *testing.T) { onFreeSWITCH(t, proxies(t)) }

// proxies is what callers and subscribers notice when the proxy is killed and started again on the same ports.
func proxies(t *testing.T) chapter {
	return chapter{
		acts: []act{proxyKilled().act(), {
			{Name: "invite-of-ten-kilobytes", Title: "On its own host FreeSWITCH takes a large INVITE by UDP, so that a restart of the proxy does not lose its answer.", Play: playLarge},
		}},
		provision: func(d *account.Document, _ map[string]*lab.Stage) {
			for i := range d.Numbers {
				d.Numbers[i].NoAnswer = account.Duration(longRing)
			}
		},
	}
}

// proxyKilled is the death of a proxy that was frozen a moment before, so that some messages are in it and nowhere else.
func proxyKilled() *stroke {
	frozen := make(chan struct{})
	var inside sync.WaitGroup // stories that send something into the frozen proxy
	st := newStroke("proxy-killed", func(ctx context.Context, s *lab.Stage) {
		s.Must(s.Rig.Proxy.Signal(syscall.SIGSTOP))
		close(frozen)
		sent := make(chan struct{})
		go func() { inside.Wait(); close(sent) }()
		wait(ctx, s, sent, "messages are in the frozen proxy")
		s.Must(s.Rig.Proxy.Kill())
		s.Must(s.Rig.StartProxy(ctx))
	}, func(context.Context, *lab.Stage) {})
	// within has a story do something while the proxy is frozen.
	within := func(ctx context.Context, s *lab.Stage, m *moment, do func()) {
		defer inside.Done()
		m.ready.Do(m.st.ready.Done)
		wait(ctx, s, frozen, "the proxy is frozen")
		do()
	}
	for _, network := range []string{"udp", "tcp"} {
		proxyKilledTalking(st, network)
		proxyKilledWaiting(st, network)
	}
	inside.Add(3)
	st.meets("proxy-killed-with-the-invite-in-it", "The INVITE is in the dead proxy's socket: it is sent again, and the new one takes it.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			s.Phone.Behave(lab.Answers(100 * time.Millisecond))
			var c *lab.Call
			within(ctx, s, m, func() { c = s.Call() })
			m.strikes(ctx, s)
			in := s.Rings(ctx, s.Phone, 1)
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, in)
			c.Hangup()
			s.Ended(ctx, in, "them")
		})
	st.meets("proxy-killed-with-the-invite-in-it-tcp", "The INVITE is lost with its connection, which is the carrier's stack's business: the caller who tries again gets through.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			within(ctx, s, m, func() { placeOver(s, "tcp", lab.Invite{}) })
			m.strikes(ctx, s)
			s.Phone.Behave(lab.Answers(100 * time.Millisecond))
			c := placeOver(s, "tcp", lab.Invite{})
			in := s.Rings(ctx, s.Phone, 1)
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, in)
			c.Hangup()
			s.Ended(ctx, in, "them")
			s.Check(s.Phone.Invited() == 1, "the phone got %d calls, want the second alone", s.Phone.Invited())
		})
	st.meets("proxy-killed-with-the-answer-in-it", "The 200 is in the dead proxy's socket: FreeSWITCH sends it again, and the new one passes it.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			c, in := ring(ctx, s)
			within(ctx, s, m, func() {
				in.Answer()
				s.Must(in.WaitAcknowledged(ctx)) // FreeSWITCH answers its caller now
			})
			m.strikes(ctx, s)
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, in)
			in.Hangup()
			s.Ended(ctx, c, "them")
			s.Steps(s.Record(ctx, 1), "ring answered")
		})
	return st
}

// placeOver places the story's call over a transport.
func placeOver(s *lab.Stage, network string, inv lab.Invite) *lab.Call {
	return s.Place(inv.Through(network, s.Rig.ProxyAddr()))
}

func proxyKilledTalking(st *stroke, network string) {
	name := "-" + network
	st.meets("proxy-killed-while-two-talk"+name, "The dialog goes on: INVITEs inside it and the hangup of the caller pass the new proxy.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			s.Phone.Behave(lab.Answers(100 * time.Millisecond))
			c := placeOver(s, network, lab.Invite{})
			in := s.Rings(ctx, s.Phone, 1)
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, in)
			m.strikes(ctx, s)
			s.Must(c.Reinvite(ctx))
			s.Talk(ctx, c, in)
			c.Hangup()
			s.Ended(ctx, in, "them")
			s.Steps(s.Record(ctx, 1), "ring answered")
		})
	st.meets("proxy-killed-while-two-talk-b-hangs-up"+name, "The hangup of the subscriber passes the new proxy.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			s.Phone.Behave(lab.Answers(100 * time.Millisecond))
			c := placeOver(s, network, lab.Invite{})
			in := s.Rings(ctx, s.Phone, 1)
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, in)
			m.strikes(ctx, s)
			in.Hangup()
			s.Ended(ctx, c, "them")
			s.Steps(s.Record(ctx, 1), "ring answered")
		})
	st.meets("proxy-killed-before-the-ack"+name, "The ACK of the 200 finds its way past the new proxy.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			s.Phone.Behave(lab.Answers(100 * time.Millisecond))
			c := placeOver(s, network, lab.Invite{HoldACK: true})
			in := s.Rings(ctx, s.Phone, 1)
			s.WaitAnswered(ctx, c)
			m.strikes(ctx, s)
			c.Acknowledge()
			s.Talk(ctx, c, in)
			in.Hangup()
			s.Ended(ctx, c, "them")
			s.Steps(s.Record(ctx, 1), "ring answered")
		})
}

// proxyKilledWaiting are the calls that nobody has answered when the proxy is killed.
func proxyKilledWaiting(st *stroke, network string) {
	name := "-" + network
	st.meets("proxy-killed-while-it-rings-then-answered"+name, "The answer of the phone finds the caller past a proxy that knows nothing of the call.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			s.Phone.Behave(lab.Behaviour{Ring: true})
			c := placeOver(s, network, lab.Invite{})
			in := s.Rings(ctx, s.Phone, 1)
			s.Status(ctx, c, 180)
			m.strikes(ctx, s)
			in.Answer()
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, in)
			c.Hangup()
			s.Ended(ctx, in, "them")
			s.Steps(s.Record(ctx, 1), "ring answered")
		})
	st.meets("proxy-killed-while-it-rings-then-refused"+name, "The phone refuses, voicemail answers.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			s.Phone.Behave(lab.Behaviour{Ring: true, After: 3 * time.Second, Status: 486})
			c := placeOver(s, network, lab.Invite{})
			s.Rings(ctx, s.Phone, 1)
			s.Status(ctx, c, 180)
			m.strikes(ctx, s)
			mail := s.Rings(ctx, s.Mail[0], 1)
			s.WaitAnswered(ctx, c)
			s.Talk(ctx, c, mail)
			c.Hangup()
			s.Ended(ctx, mail, "them")
		})
	st.meets("proxy-killed-while-it-rings-then-given-up"+name, "The caller gives up: the phone stops ringing, and nothing is left of the call.", lab.Line{},
		func(ctx context.Context, s *lab.Stage, m *moment) {
			s.Phone.Behave(lab.Behaviour{Ring: true})
			c := placeOver(s, network, lab.Invite{})
			in := s.Rings(ctx, s.Phone, 1)
			s.Status(ctx, c, 180)
			m.strikes(ctx, s)
			began := time.Now()
			c.Cancel()
			s.Ended(ctx, c, "487")
			s.Must(in.WaitEnded(ctx))
			s.Check(in.Cancelled() && time.Since(began) < 2*time.Second, "the phone rang on for %s and ended with %q", time.Since(began), in.EndedBy())
			s.Untouched(s.Mail[:]...)
			s.Record(ctx, 1)
			s.NextCallWorks(ctx, 1)
		})
}

func playLarge(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	c := placeOver(s, "tcp", lab.Invite{Headers: []string{"X-Padding: " + strings.Repeat("0123456789", 1000)}})
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	uuid, err := s.Rig.Leg(ctx, c)
	s.Must(err)
	if s.Rig.Real() {
		by := variables(ctx, s, uuid)["sip_via_protocol"]
		s.Check(by == "udp", "the INVITE came by %q", by)
	}
	c.Hangup()
	s.Ended(ctx, in, "them")
}
