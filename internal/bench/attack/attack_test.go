package attack

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/bench/sipp"
)

// TestEveryGoalCanBeMissed: a goal that no run can miss is none.
func TestEveryGoalCanBeMissed(t *testing.T) {
	good := func() *Report {
		calls := sipp.Tally{Created: 100, Good: 100}
		return &Report{Placed: 200, Reached: 203, Before: 30 << 20, After: 40 << 20, Phases: []Phase{{Name: "calm", Calls: calls, P99: 2 * time.Millisecond}, {Name: "flood", Calls: calls, P99: 4 * time.Millisecond}}}
	}
	var out bytes.Buffer
	if met, err := good().Print(&out); !met || err != nil {
		t.Errorf("a good run misses a goal: %v\n%s", err, &out)
	}
	for want, spoil := range map[string]func(*Report){
		"failed calls":       func(r *Report) { r.Phases[1].Calls.Failed = 1 },
		"99th percentile":    func(r *Report) { r.Phases[1].P99 = 20 * time.Millisecond },
		"MB resident":        func(r *Report) { r.Phases[1].Resident = 300 << 20 },
		"more at rest":       func(r *Report) { r.After = 100 << 20 },
		"calls of attackers": func(r *Report) { r.Reached = 400 },
		"panics, want 0":     func(r *Report) { r.Panics = 1 },
	} {
		r := good()
		spoil(r)
		out.Reset()
		if met, _ := r.Print(&out); met || strings.Count(out.String(), "MISSED") != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s:\n%s", want, &out)
		}
	}
}
