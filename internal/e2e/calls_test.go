package e2e

import (
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimStories(t *testing.T)  { onSimulator(t, labStories()) }
func TestRealStories(t *testing.T) { onFreeSWITCH(t, labStories()) }

// labStories are the stories that "signalbox lab" tells.
func labStories() chapter { return chapter{acts: []act{lab.Stories()}, voice: 18000} }

func TestSimCalls(t *testing.T)  { onSimulator(t, calls(t)) }
func TestRealCalls(t *testing.T) { onFreeSWITCH(t, calls(t)) }

// calls are the scenarios that leave every process alone.
func calls(t *testing.T) chapter {
	acts := []act{hostile(), append(leaves(), loops()...)}
	if hasSIPp(t) {
		acts = append(acts, sippCalls(), load())
	}
	return chapter{
		acts: acts, voice: 19000, files: operatorSettings,
		numbers: []string{nobodysNumber, olderNumber, newerNumber},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			for i := range d.Accounts {
				if s := stages["hostile-subscriber"]; s.Number == d.Numbers[i].Number {
					d.Accounts[i].Name = "Eve " + strings.Join(payloads(s), " ")[:100]
				}
			}
		},
	}
}
