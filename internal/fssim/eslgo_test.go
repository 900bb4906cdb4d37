//go:build !race

// Without the race detector: eslgo v1.5.2 races with itself when it closes, and that is not ours to mend.

package fssim

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/percipia/eslgo"
	eslcommand "github.com/percipia/eslgo/command"
)

// TestEslgoDialsTheSimulator: a client written by others, one command at a time, is a second opinion on whether the
// simulator speaks as FreeSWITCH does.
func TestEslgoDialsTheSimulator(t *testing.T) {
	s := startSwitch(t, Options{}, "api nosuchapi")
	o := eslgo.DefaultInboundOptions
	o.Logger = eslgo.NilLogger{}
	conn, err := o.Dial(s.EventSocketAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.ExitAndClose()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, c := range []struct {
		command eslcommand.Command
		want    string
	}{
		{eslcommand.Event{Format: "plain", Listen: []string{"BACKGROUND_JOB"}}, "+OK event listener enabled plain"},
		{eslcommand.API{Command: "status"}, "UP 0 years"},
		{eslcommand.API{Command: "uuid_exists", Arguments: "00000000-0000-0000-0000-000000000000"}, "false"},
		{eslcommand.API{Command: "nosuchapi"}, "-ERR nosuchapi Command not found!"},
		{eslcommand.Filter{EventHeader: "Event-Name", FilterValue: "BACKGROUND_JOB"}, "+OK filter added. [Event-Name]=[BACKGROUND_JOB]"},
	} {
		r, err := conn.SendCommand(ctx, c.command)
		if err != nil {
			t.Fatalf("%s: %v", c.command.BuildMessage(), err)
		}
		if got := r.GetReply(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: eslgo reads %q, want %q", c.command.BuildMessage(), got, c.want)
		}
	}
	events := make(chan *eslgo.Event, 1)
	conn.RegisterEventListener(eslgo.EventListenAll, func(e *eslgo.Event) { events <- e })
	r, err := conn.SendCommand(ctx, eslcommand.API{Command: "create_uuid", Background: true})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-events:
		if e.GetName() != "BACKGROUND_JOB" || e.GetHeader("Job-UUID") != r.GetHeader("Job-UUID") || len(strings.TrimSpace(string(e.Body))) != 36 {
			t.Errorf("eslgo reads the event as %s", e)
		}
	case <-ctx.Done():
		t.Error("eslgo saw no event")
	}
}
