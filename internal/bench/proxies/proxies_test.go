package proxies

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/bench/proc"
	"github.com/signalbox/signalbox/internal/bench/sipp"
)

// TestEveryGoalCanBeMissed: a goal that no run can miss is none.
func TestEveryGoalCanBeMissed(t *testing.T) {
	rows := func() []Row {
		calls := sipp.Tally{Created: 100, Good: 100}
		return []Row{
			{Name: "signalbox", Rate: 300, Rounds: []Round{{Calls: calls, PerCall: 100 * time.Microsecond, Memory: proc.Memory{All: 20 << 20}}}},
			{Name: "kamailio", Rate: 300, Rounds: []Round{{Calls: calls, PerCall: 100 * time.Microsecond, Memory: proc.Memory{All: 40 << 20}}}},
		}
	}
	var out bytes.Buffer
	if met, err := Print(&out, rows()); !met || err != nil {
		t.Errorf("a good run misses a goal: %v\n%s", err, &out)
	}
	for want, spoil := range map[string]func(*Round){
		"failed calls":      func(r *Round) { r.Calls.Failed = 1 },
		"processor time":    func(r *Round) { r.PerCall *= 2 },
		"Kamailio's memory": func(r *Round) { r.Memory.All *= 2 },
	} {
		r := rows()
		spoil(&r[0].Rounds[0])
		out.Reset()
		if met, _ := Print(&out, r); met || strings.Count(out.String(), "MISSED") != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s:\n%s", want, &out)
		}
	}
	out.Reset()
	if _, err := Print(&out, rows()[:1]); err != nil || !strings.Contains(out.String(), "SKIPPED") {
		t.Errorf("without Kamailio it says %q", &out)
	}
}

func TestPlaceholdersAreReplacedWhereTheyStandAlone(t *testing.T) {
	if got := replaceWord("listen=LISTEN NODE NODEADDR", "NODE", "x"); got != "listen=LISTEN x NODEADDR" {
		t.Error(got)
	}
}
