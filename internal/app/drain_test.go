package app_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
)

const longDrain = 10 * time.Minute

func drains(c *config.Config) { c.Sidecar.Drain = longDrain }

// said waits until a message was logged, and gives its fields.
func said(t *testing.T, logged *observer.ObservedLogs, message string) map[string]any {
	t.Helper()
	var fields map[string]any
	eventually(t, "the log says "+message, func() bool {
		for _, e := range logged.FilterMessage(message).All() {
			fields = maps.Clone(e.ContextMap())
		}
		return fields != nil
	})
	return fields
}

// A stop waits for callers who wait, and for nobody else: a talking call is let go at once, one that is answered meanwhile too.
func TestAStopWaitsForThoseWhoWaitAlone(t *testing.T) {
	t.Parallel()
	var link *fswtest.Passage
	r := newRig(t, app.Sidecar, drains, func(c *config.Config) {
		between, err := fswtest.NewCutter(c.Nodes[0].EventSocket.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(between.Close)
		link, c.Nodes[0].EventSocket.Addr = between.Next(fswtest.Cut{}), between.Addr()
	})
	talking := r.Place(r.carrier, invite(), r.Switch.ExternalAddr())
	r.Incoming(r.phone, 1).Answer()
	r.Status(talking, 200)
	ringing := r.Place(r.carrier, invite(), r.Switch.ExternalAddr())
	r.Status(ringing, 180)
	phone := r.Incoming(r.phone, 2)
	eventually(t, "the answer is in the record", func() bool { recs := r.records(t); return len(recs) == 2 && !recs[1].Answered.IsZero() })

	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	if f := said(t, r.logged, "stopping"); f["calls"] != int64(2) || f["at_most"] != longDrain || !strings.Contains(f["reason"].(string), "cancel") {
		t.Errorf("the stop begins with %v", f)
	}
	if f := said(t, r.logged, "call left to freeswitch"); f["talking"] != true {
		t.Errorf("left first: %v", f)
	}
	// New calls find nobody.
	fresh := r.Place(r.carrier, invite(), r.Switch.ExternalAddr())
	if m := r.Status(fresh, 486, 480); m.Phrase() != fswtest.Fallback {
		t.Errorf("a call that comes while we stop got %d %s, want the operator's extension", m.Status(), m.Phrase())
	}
	select {
	case err := <-stopped:
		t.Fatalf("the stop did not wait for the caller who waits: %v", err)
	case <-link.Over(): // who is called into a conference would be lost to who waits for him
		t.Fatal("the node's link has gone, and a caller still waits")
	default:
	}
	phone.Answer()
	r.Status(ringing, 200)
	if err := fswtest.Wait(t, "the end of the stop", stopped); err != nil {
		t.Error(err)
	}
	if f := said(t, r.logged, "signalbox has stopped"); f["calls_left_talking"] != int64(2) || f["calls_left_to_the_dialplan"] != int64(0) || f["records_not_written"] != int64(0) {
		t.Errorf("the stop ends with %v", f)
	}
	if !talking.Ended().IsZero() || !ringing.Ended().IsZero() {
		t.Errorf("talking calls ended by %q and %q", talking.EndedBy(), ringing.EndedBy())
	}
	for _, rec := range r.records(t) {
		if !rec.Open() || rec.Result != call.Answered || rec.Answered.IsZero() || len(rec.Steps) != 1 || rec.Steps[0].Result != call.Answered {
			t.Errorf("record of a call that was let go: %+v", rec)
		}
	}
	talking.Hangup()
	r.Ended(r.Incoming(r.phone, 1))
	phone.Hangup()
	r.Ended(ringing)
}

func TestEndNowSendsThoseWhoWaitToTheFallback(t *testing.T) {
	t.Parallel()
	r := newRig(t, app.All, drains)
	ringing := r.call(served, caller)
	r.Status(ringing, 180)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	said(t, r.logged, "stopping")
	r.app.EndNow()
	r.app.EndNow() // a third signal may come as well
	if err := fswtest.Wait(t, "the end of the stop", stopped); err != nil {
		t.Error(err)
	}
	if f := said(t, r.logged, "signalbox has stopped"); f["calls_left_to_the_dialplan"] != int64(1) || f["calls_left_talking"] != int64(0) {
		t.Errorf("the stop ends with %v", f)
	}
}

// Nobody will see the end of a call on a switch that has no link: its record is closed, and says so.
func TestARecordIsNotLeftOpenWhereNobodyWillCloseIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, app.Sidecar, drains, func(c *config.Config) { c.Nodes[0].EventSocket = config.EventSocket{} })
	talking := r.Place(r.carrier, invite(), r.Switch.ExternalAddr())
	r.Incoming(r.phone, 1).Answer()
	r.Status(talking, 200)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	rec := r.records(t)[0]
	if rec.Open() || rec.Result != call.Answered || !strings.Contains(rec.Note, "its end was not seen") {
		t.Errorf("record %+v", rec)
	}
	if !talking.Ended().IsZero() {
		t.Errorf("the talking call was ended by %q", talking.EndedBy())
	}
	talking.Hangup()
	r.Ended(r.Incoming(r.phone, 1))
}
