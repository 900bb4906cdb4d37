package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
)

func TestSimPostgres(t *testing.T)  { onSimulator(t, postgresql(t)) }
func TestRealPostgres(t *testing.T) { onFreeSWITCH(t, postgresql(t)) }

// postgresql is calls whose subscribers and records are kept in PostgreSQL, which falls silent at last.
func postgresql(t *testing.T) chapter {
	server, err := pgtest.Start()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(server.Stop)
	server.Mine(t)
	return chapter{
		acts: []act{
			{{Name: "postgres-talk", Title: "Two talk; PostgreSQL has the subscriber and the record.", Play: func(ctx context.Context, s *lab.Stage) {
				_, in := talk(ctx, s)
				in.Hangup()
				kept(ctx, s, 1)
			}}, {Name: "postgres-mailbox", Title: "Busy: voicemail takes the call, by PostgreSQL's pilot.", Play: func(ctx context.Context, s *lab.Stage) {
				_, mail := message(ctx, s)
				mail.Hangup()
				kept(ctx, s, 1)
			}}},
			{{Name: "postgres-frozen", Title: "PostgreSQL is silent during a call: the caller notices nothing, and the record comes later.", Alone: true, Play: func(ctx context.Context, s *lab.Stage) {
				s.NextCallWorks(ctx, 0)
				server.Freeze()
				defer server.Thaw()
				s.Deed(lab.ColSidecar, "PostgreSQL is frozen")
				s.Phone.Behave(lab.Answers(100 * time.Millisecond))
				began := time.Now()
				c := s.Call()
				in := s.Rings(ctx, s.Phone, 2)
				s.Check(time.Since(began) < 2*time.Second, "the phone rang after %v", time.Since(began))
				s.WaitAnswered(ctx, c)
				s.Talk(ctx, c, in)
				in.Hangup()
				s.Ended(ctx, c, "them")
				server.Thaw()
				kept(ctx, s, 2)
			}}, {Name: "postgres-frozen-register", Title: "PostgreSQL is silent while a phone registers: it gets its 200 at once, and the next call.", Alone: true,
				Line: lab.Line{Phone: lab.PhoneBehindProxy}, Play: func(ctx context.Context, s *lab.Stage) {
					server.Freeze()
					defer server.Thaw()
					s.Deed(lab.ColSidecar, "PostgreSQL is frozen")
					began := time.Now()
					for range 3 { // a registration, and its refreshes
						s.RegisterByProxy(ctx, 300)
					}
					s.Check(time.Since(began) < time.Second, "three REGISTERs took %v", time.Since(began))
					server.Thaw()
					s.Deed(lab.ColSidecar, "and thawed")
					_, in := talk(ctx, s)
					in.Hangup()
					kept(ctx, s, 1)
					s.RegisterByProxy(ctx, 0)
				}}},
		}, files: operatorSettings,
		configure: func(yaml string) string {
			return edit(t, yaml, "store:\n", fmt.Sprintf("store:\n  postgres: {dsn: %q}\n", server.DSN("")))
		},
	}
}

// kept looks at the record of the stage's nth call.
func kept(ctx context.Context, s *lab.Stage, n int) {
	r := s.Record(ctx, n)
	s.Check(r.Cause == "NORMAL_CLEARING" && r.Result == call.Answered, "the record is %+v", r)
}
