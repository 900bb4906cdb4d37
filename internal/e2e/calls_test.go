package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimStories(t *testing.T)  { onSimulator(t, labStories()) }
func TestRealStories(t *testing.T) { onFreeSWITCH(t, labStories()) }

// labStories are the stories that "signalbox lab" tells.
func labStories() chapter { return chapter{long: true, acts: []act{lab.Stories()}} }

func TestSimCalls(t *testing.T)  { onSimulator(t, calls(t)) }
func TestRealCalls(t *testing.T) { onFreeSWITCH(t, calls(t)) }

// calls are the scenarios that leave every process alone.
func calls(t *testing.T) chapter {
	acts := []act{hostile(), append(leaves(), loops()...)}
	if hasSIPp(t) {
		acts = append(acts, append(sippCalls(), sippShapes()...), load())
	}
	return chapter{
		acts: acts, files: operatorSettings,
		numbers: []string{nobodysNumber, olderNumber, newerNumber},
		after:   commandsWouldRun,
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			for i := range d.Accounts {
				if s := stages["hostile-subscriber"]; s.Number == d.Numbers[i].Number {
					d.Accounts[i].Name = "Eve " + strings.Join(payloads(s), " ")[:100]
				}
			}
		},
	}
}

// commandsWouldRun proves that the search for files which hostile texts ask for could have found one: on a real switch a command
// that does run makes its file there.
func commandsWouldRun(ctx context.Context, t *testing.T, rig *lab.Rig) {
	if !rig.Real() {
		return
	}
	file := filepath.Join(rig.Dir(), "ran-because-we-said-so")
	_, _ = rig.API(ctx, "system touch "+file) // it has no reply, which is an error of its own
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a command that was executed has left nothing: %v", err)
	}
}
