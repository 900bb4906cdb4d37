package sidecar

import (
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// A clock that is stepped back by hours during a call does not hide the states that follow.
func TestTheStatesOfARecordKeepTheirOrderOverAClockStep(t *testing.T) {
	var o order
	now := time.Now()
	last := time.Time{}
	for i, clock := range []time.Time{now, now.Add(time.Second), now.Add(-3 * time.Hour), now.Add(-3 * time.Hour), now.Add(5 * time.Hour), now} {
		r := o.next(call.Record{Updated: clock})
		if !r.Updated.After(last) {
			t.Errorf("state %d is of %s, the one before of %s", i, r.Updated, last)
		}
		last = r.Updated
	}
	if r := o.next(call.Record{Updated: now.Add(6 * time.Hour)}); !r.Updated.Equal(now.Add(6 * time.Hour)) {
		t.Errorf("a state in its order is of %s, want what the clock said", r.Updated)
	}
}
