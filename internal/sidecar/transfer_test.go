package sidecar_test

import (
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
)

// A call in which the guard fires, or that somebody transfers away, is not ours any more: the record says so and is closed.
func TestACallThatFreeSWITCHTakesAwayIsClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	c := r.Call(r.caller, served)
	r.Status(c, 180)
	open := r.record("open", func(rec call.Record) bool { return rec.Open() })
	if answer := r.API("uuid_transfer " + open.UUID + " 'execute_extension:signalbox-unserved XML signalbox,transfer:" + served + " XML public' inline"); !strings.HasPrefix(answer, "+OK") {
		t.Fatal(answer)
	}
	if m := r.Status(c, 486, 480); m.Phrase() != fswtest.Fallback {
		t.Errorf("the caller got %d %s", m.Status(), m.Phrase())
	}
	rec := r.record("closed", closed)
	if rec.ID != open.ID || rec.Result == call.Answered || rec.Result == "" {
		t.Errorf("record %+v", rec)
	}
}

// A caller who has talked and is transferred to somewhere else has left us then, and not when we stop waiting for his hangup.
func TestATransferEndsTheRecordOfThoseWhoTalked(t *testing.T) {
	t.Parallel()
	r := newRig(t, options{})
	c := r.Call(r.caller, served)
	phone := r.Incoming(r.phone, 1)
	phone.Answer()
	r.Status(c, 200)
	open := r.record("answered", func(rec call.Record) bool { return !rec.Answered.IsZero() })
	transferred := time.Now()
	if answer := r.API("uuid_transfer " + open.UUID + " 'park:' inline"); !strings.HasPrefix(answer, "+OK") {
		t.Fatal(answer)
	}
	r.Ended(phone)
	rec := r.record("closed", closed)
	if late := rec.Ended.Sub(transferred); rec.Result != call.Answered || late > 3*time.Second || !strings.Contains(rec.Note, "transferred") {
		t.Errorf("%s after the transfer the record was closed as %s: %q", late, rec.Result, rec.Note)
	}
	if !c.Ended().IsZero() {
		t.Errorf("the caller was ended by %s", c.EndedBy())
	}
	c.Hangup()
}

// Whoever is sent to the very number that he has called, by the phone that answered or while it rings, has left the call that we had: the
// next one has the switch for itself, for as long as it rings.
func TestATransferToTheNumberThatWasCalledIsOne(t *testing.T) {
	for name, answers := range map[string]bool{"while they talk": true, "while it rings": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, options{})
			c := r.Call(r.caller, served)
			phone := r.Incoming(r.phone, 1)
			if answers {
				phone.Answer()
				r.Status(c, 200)
			} else {
				r.Status(c, 180)
			}
			first := r.record("open", func(rec call.Record) bool { return rec.Answered.IsZero() != answers })
			transferred := time.Now()
			if answer := r.API("uuid_transfer " + first.UUID + " " + served + " XML public"); !strings.HasPrefix(answer, "+OK") {
				t.Fatal(answer)
			}
			r.Ended(phone)
			again := r.Incoming(r.phone, 2)
			fswtest.Until(t, "the record of the first call is closed", func() bool { rec, _ := twoRecords(t, r, first.ID); return closed(rec) })
			if late := time.Since(transferred); late > 3*time.Second {
				t.Errorf("the record of the first call was closed %s after the transfer", late)
			}
			// For the fallback there is what was before the first call, which had set it to true.
			if was := r.API("uuid_getvar " + first.UUID + " signalbox_was_continue_on_fail"); was != "_undef_" {
				t.Errorf("continue_on_fail was %q before, the second call says", was)
			}
			again.Answer()
			r.Status(c, 200)
			if err := again.WaitAcknowledged(r.Context()); err != nil {
				t.Fatal(err)
			}
			again.Hangup()
			r.Ended(c)
			fswtest.Until(t, "the record of the second call is closed", func() bool { _, rec := twoRecords(t, r, first.ID); return closed(rec) })
			if n := r.phone.Invited(); n != 2 {
				t.Errorf("the phone was called %d times, want 2", n)
			}
			one, two := twoRecords(t, r, first.ID)
			if (one.Result == call.Answered) != answers || len(one.Steps) != 1 {
				t.Errorf("the first call's record says %s, %q, %d steps", one.Result, one.Note, len(one.Steps))
			}
			if two.Result != call.Answered || len(two.Steps) != 1 {
				t.Errorf("the second call's record says %s, %q, %d steps", two.Result, two.Note, len(two.Steps))
			}
		})
	}
}

// twoRecords are the record of that ID and another one, zero when there is none.
func twoRecords(t *testing.T, r *rig, id string) (first, second call.Record) {
	t.Helper()
	records, err := r.store.Records(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if rec.ID == id {
			first = rec
		} else {
			second = rec
		}
	}
	return first, second
}
