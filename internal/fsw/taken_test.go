package fsw_test

import (
	"context"
	"testing"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
)

// Whoever is taken back from a sidecar that hangs is not marked to be cut by the end of its connection any more when the first application
// runs: FreeSWITCH leaves him in silence else, should the connection end then.
func TestTheGuardFirstTakesOffWhatWouldCutTheCaller(t *testing.T) {
	t.Parallel()
	for name, takesOver := range map[string]bool{"the dialplan's guard": false, "the sidecar's guard": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			defer close(over)
			bench := fswtest.New(t, fswtest.Options{Handler: func(ctx context.Context, s *esl.Session) {
				if takesOver {
					if err := fsw.NewLeg(s, nil).TakeOver(ctx); err != nil {
						t.Error(err)
					}
				}
				<-over
			}})
			link, err := esl.Dial(t.Context(), esl.DialOptions{Addr: bench.Switch.EventSocketAddr().String(), Password: fswtest.Password})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = link.Close() })
			if err := link.Subscribe(t.Context(), "CHANNEL_EXECUTE"); err != nil {
				t.Fatal(err)
			}
			caller := bench.Call(fswtest.Agent(t, "caller", lab.Behaviour{}), number)
			if m := bench.Status(caller, 486); m.Phrase() != fswtest.Fallback {
				t.Errorf("the caller got %d %s", m.Status(), m.Phrase())
			}
			taken := false
			for e := range link.Events() {
				taken = taken || e.Get("Caller-Profile-Index") != "1"
				if taken && e.Var("socket_resume") != "" {
					t.Errorf("socket_resume=%s while %s runs", e.Var("socket_resume"), e.Get("Application"))
				}
				if e.Get("Application") == "respond" {
					break
				}
			}
			if !taken {
				t.Error("the guard did not fire")
			}
		})
	}
}
