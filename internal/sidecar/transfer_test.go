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
