package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/store"
)

func TestSimDialled(t *testing.T)  { onSimulator(t, dialled(t)) }
func TestRealDialled(t *testing.T) { onFreeSWITCH(t, dialled(t)) }

// dialled is a host who calls somebody of his address book by keys.
func dialled(t *testing.T) chapter {
	c := conferences()
	c.acts = []act{linked(hostDials())}
	c.configure = func(yaml string) string {
		return edit(t, yaml, "conference: {", fmt.Sprintf("conference: {gateway: %s, ", peopleGateway))
	}
	return c
}

// bensClip is Ben's recorded name in those stories where he has one.
var bensClip = map[string]string{"rooms-dialled": annasClip}

func hostDials() lab.Story {
	return lab.Story{Name: "rooms-dialled", Line: hostLine(), Title: "The host calls Ben by *5 and the end of his number; he alone hears it, no digit of it is a command, and nobody is called by half of it.", Play: func(ctx context.Context, s *lab.Stage) {
		recordsClip(ctx, s)
		ben := s.Party("ben", toneC)
		opensGateway(ctx, s, ben)
		host, anna, name := together(ctx, s)
		host.Sing(0)
		anna.Sing(0)
		s.Must(host.WaitSound(ctx)) // somebody has joined
		s.Must(host.WaitQuiet(ctx))
		s.Must(anna.WaitQuiet(ctx))
		number := benOf(s)
		end := number[len(number)-8:]

		alone(ctx, s, anna, func() {
			s.Must(host.Press(ctx, "*5", lab.KeysAsInfo))
			s.Must(host.WaitSound(ctx))
			s.Must(host.Press(ctx, strings.Repeat("9", 64)+"#", lab.KeysAsInfo)) // 9 ends a conference, behind a star
			s.Must(host.WaitSound(ctx))
			s.Must(host.Press(ctx, "77*9", lab.KeysAsInfo))
			s.Must(host.WaitQuiet(ctx))
			s.Must(host.Press(ctx, "*5"+end+"#", lab.KeysAsInfo))
			s.Must(host.WaitHears(ctx, []float64{annasName}, annasName))
			s.Must(host.Press(ctx, "*1", lab.KeysAsInfo)) // it is not he
			s.Must(host.WaitHears(ctx, nil, annasName))
			s.Must(host.WaitQuiet(ctx))
		})
		room, _ := roster(ctx, s, "nothing has changed", func(r store.Room, p []store.Participant) bool {
			return r.Closed.IsZero() && !r.Locked && in(p) == 2 && len(p) == 2 && !slices.ContainsFunc(p, func(p store.Participant) bool { return p.Muted })
		})
		s.Check(room.Name() == name && ben.Invited() == 0, "Ben was called %d times", ben.Invited())

		var called *lab.Call
		var took time.Duration
		alone(ctx, s, anna, func() {
			s.Must(host.Press(ctx, "*5"+end+"#", lab.KeysAsInfo))
			s.Must(host.WaitHears(ctx, []float64{annasName}, annasName))
			s.Must(host.Press(ctx, "1", lab.KeysAsInfo))
			yes := time.Now()
			called = s.Rings(ctx, ben, 1)
			took = time.Since(yes)
			s.Check(strings.Contains(called.Invite().URI(), number), "the gateway is asked for %s", called.Invite().URI())
			s.Check(strings.Contains(called.Invite().Get("from"), strings.TrimPrefix(s.Number, "+")), "Ben is called from %s, want the host's number", called.Invite().Get("from"))
			s.Must(called.WaitHeardAnything(ctx, 10))
			s.Must(host.WaitQuiet(ctx))
		})
		fmt.Fprintf(os.Stderr, "rooms-dialled: %d ms from the key to Ben's telephone\n", took.Milliseconds())
		s.Must(called.Press(ctx, "1", lab.KeysAsInfo))
		roster(ctx, s, "Ben is in", func(_ store.Room, p []store.Participant) bool {
			return in(p) == 3 && slices.ContainsFunc(p, func(p store.Participant) bool {
				return p.Contact == "ben" && p.Present() && string(p.Number) == number
			})
		})
		host.Sing(toneA)
		anna.Sing(toneB)
		hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{anna, tones(toneA, toneC)}, hearing{called, tones(toneA, toneB)})

		s.Must(host.Press(ctx, "*50"+strings.TrimPrefix(number, "+49")+"#", lab.KeysAsInfo)) // as his country writes it
		s.Must(host.WaitHears(ctx, []float64{annasName}, annasName))
		host.Hangup()
		roster(ctx, s, "the host has left", func(r store.Room, p []store.Participant) bool { return r.Closed.IsZero() && in(p) == 2 })
		hear(ctx, s, hearing{anna, tones(toneC)}, hearing{called, tones(toneB)})
		s.Check(ben.Invited() == 1, "Ben was called %d times", ben.Invited())
		called.Hangup()
		anna.Hangup()
		awaitMembers(ctx, s, name, 0)
		s.Steps(s.Record(ctx, 1), "conference answered")
	}}
}

// alone does something of which somebody must hear nothing.
func alone(ctx context.Context, s *lab.Stage, other *lab.Call, do func()) {
	done := make(chan struct{})
	s.Together(func() { defer close(done); do() }, func() {
		for ctx.Err() == nil {
			s.Check(!other.Sounds(), "%s hears what is said to the host alone", other.Agent().Name())
			select {
			case <-done:
				s.Tell("%s has heard nothing of it", other.Agent().Name())
				return
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}
