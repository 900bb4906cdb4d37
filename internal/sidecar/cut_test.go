package sidecar_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/lab"
)

// cutRig is a rig whose calls come through a cutter: the phone is busy, voicemail answers.
type cutRig struct {
	*rig
	cutter *fswtest.Cutter
}

func newCutRig(t *testing.T) *cutRig {
	t.Helper()
	r := &cutRig{}
	r.rig = newRig(t, options{linked: true, through: func(addr string) string {
		cutter, err := fswtest.NewCutter(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cutter.Close)
		r.cutter = cutter
		return cutter.Addr()
	}})
	r.phone.Behave(lab.Refuses(486))
	return r
}

// cutCall is one call of the voicemail story whose connection was cut.
type cutCall struct {
	id       string
	what     string
	answered bool // the caller was
	passage  *fswtest.Passage
}

// play is the voicemail story with a cut in it: a caller is answered by voicemail, which hangs up after a moment, or gets the
// operator's own extension. Talking parties are not to notice the cut.
func (r *cutRig) play(cut fswtest.Cut) cutCall {
	r.t.Helper()
	passage := r.cutter.Next(cut)
	c := r.Call(r.caller, served)
	began := time.Now()
	m := r.Status(c, 200, 486, 480)
	if m.Status() != 200 {
		if m.Phrase() != fswtest.Fallback {
			r.t.Errorf("the caller got %d %s, want voicemail or the operator's extension", m.Status(), m.Phrase())
		}
		if took := time.Since(began); took > 4*time.Second {
			r.t.Errorf("the caller waited %s", took)
		}
		return cutCall{id: c.ID(), passage: passage}
	}
	mail := r.Incoming(r.vm, r.vm.Invited())
	// Until the answer is through the connection, or it is cut: then the parties hang up.
	r.eventually("the answer has passed", func() bool { return passage.WasCut() || answerAt(passage.Messages()) >= 0 })
	if passage.WasCut() {
		r.eventually("the sidecar is through with the call", func() bool { return r.Server.Stats().Active == 0 })
	}
	if !c.Ended().IsZero() || !mail.Ended().IsZero() {
		r.t.Errorf("the caller was ended by %q, voicemail by %q", c.EndedBy(), mail.EndedBy())
	}
	mail.Hangup()
	r.Ended(c)
	if c.EndedBy() != "them" {
		r.t.Errorf("when voicemail hung up the caller was ended by %q", c.EndedBy())
	}
	return cutCall{id: c.ID(), answered: true, passage: passage}
}

// answerAt is where in a conversation the caller's answer is told, -1 if nowhere.
func answerAt(messages []fswtest.Passed) int {
	return slices.IndexFunc(messages, func(p fswtest.Passed) bool { return p.Name() == "CHANNEL_ANSWER" })
}

// bridgeAt is where voicemail is called: the second bridge.
func bridgeAt(messages []fswtest.Passed) int {
	bridges := 0
	return slices.IndexFunc(messages, func(p fswtest.Passed) bool {
		if p.From == fswtest.Listener && strings.Contains(string(p.Text), "execute-app-name: bridge") {
			bridges++
		}
		return bridges == 2
	})
}

// The connection of a call is cut at every message boundary and in the middle of every message. It counts the goroutines of the whole
// process, so nothing runs beside it.
func TestTheConnectionIsCutAnywhere(t *testing.T) {
	r := newCutRig(t)
	whole := r.play(fswtest.Cut{})
	<-whole.passage.Over()
	messages := whole.passage.Messages()
	answer, bridge := answerAt(messages), bridgeAt(messages)
	if len(messages) < 25 || !whole.answered || answer < 0 || bridge < 0 {
		t.Fatalf("the story has only %d messages, voicemail is called at %d, the answer told at %d", len(messages), bridge, answer)
	}
	r.eventually("all is quiet", r.quiet)
	before := runtime.NumGoroutine()

	calls := map[string]cutCall{}
	seen := map[fswtest.Side]int{}
	for at, message := range messages {
		seen[message.From]++
		for _, middle := range []bool{false, true} {
			cut := fswtest.Cut{From: message.From, Message: seen[message.From], Middle: middle}
			c := r.play(cut)
			c.what = fmt.Sprintf("cut at message %d of %d (middle: %v), %s", at+1, len(messages), middle, message.Name())
			calls[c.id] = c
			if through := c.passage.Through(); bridgeAt(through) < 0 && c.answered || answerAt(through) >= 0 && !c.answered {
				t.Errorf("answered %v", c.answered)
			}
			if t.Failed() {
				t.Fatal(c.what)
			}
		}
	}
	r.eventually("all is quiet", r.quiet)
	r.eventually("no goroutine is left over", func() bool { return runtime.NumGoroutine() <= before+2 })
	cuts, answered, closed := 0, 0, 0
	for _, c := range calls {
		if c.passage.WasCut() {
			cuts++
		}
		if c.answered {
			answered++
		}
	}
	t.Logf("%d messages, %d calls cut, %d of them answered", len(messages), cuts, answered)
	if cuts < len(messages)*2-10 {
		t.Errorf("only %d of %d cuts happened", cuts, len(messages)*2)
	}
	records, err := r.store.Records(t.Context(), 10000)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		c, ours := calls[rec.Arrival.CallID]
		if !ours {
			continue
		}
		want := call.Broken
		if c.answered {
			want = call.Answered
			closed++
		}
		if rec.Open() || rec.Result != want {
			t.Errorf("%s: open %v, result %s, cause %q, note %q, want %s", c.what, rec.Open(), rec.Result, rec.Cause, rec.Note, want)
		}
	}
	if closed != answered {
		t.Errorf("%d of %d answered calls are on record", closed, answered)
	}
}

// quiet is when no call is left, and no record waits or is open.
func (r *cutRig) quiet() bool {
	if r.Server.Stats().Active != 0 || r.ledger.Waiting() != 0 {
		return false
	}
	open, err := r.store.OpenRecords(r.t.Context(), "")
	return err == nil && len(open) == 0 && strings.ReplaceAll(r.API("show channels as json"), " ", "") == `{"row_count":0}`
}

// The link to a node is cut at every message boundary and in the middle of every message. It comes back, and the record that a
// dead sidecar left is closed.
func TestTheNodesLinkIsCutAnywhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	play := func(id string, cut fswtest.Cut) *fswtest.Passage {
		rec := call.Record{ID: id, Owner: "dead", UUID: uuid.NewString(), Node: id, Started: time.Now(), Updated: time.Now()}
		if err := r.store.Open(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		cutter, err := fswtest.NewCutter(r.Switch.EventSocketAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cutter.Close)
		passage := cutter.Next(cut)
		r.link(id, cutter.Addr())
		return passage
	}
	closed := func(id string) bool {
		rec, err := r.store.Record(t.Context(), id)
		return err == nil && !rec.Open() && strings.HasPrefix(rec.Note, "ended between")
	}
	whole := play("whole", fswtest.Cut{})
	r.eventually("the record is closed", func() bool { return closed("whole") })
	messages := whole.Messages()
	if len(messages) < 12 {
		t.Fatalf("the link's story has only %d messages", len(messages))
	}
	cuts := map[string]*fswtest.Passage{}
	seen := map[fswtest.Side]int{}
	for at, message := range messages {
		seen[message.From]++
		for _, middle := range []bool{false, true} {
			id := fmt.Sprintf("cut at message %d (middle: %v), %s", at+1, middle, message.Name())
			cuts[id] = play(id, fswtest.Cut{From: message.From, Message: seen[message.From], Middle: middle})
		}
	}
	for id, passage := range cuts {
		r.eventually(id+": the record is closed", func() bool { return closed(id) })
		if !passage.WasCut() {
			t.Errorf("%s: was not cut", id)
		}
	}
	t.Logf("%d messages", len(messages))
}
