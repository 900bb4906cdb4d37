package likeness

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write what the real switch does anew")

// kept is what the real switch did in a scenario.
type kept struct {
	Version    string     `yaml:"version"`
	Transcript transcript `yaml:"transcript"`
}

func keptFile(name string) string { return filepath.Join("testdata", "switch", name+".yaml") }

func load(t *testing.T, name string) transcript {
	t.Helper()
	raw, err := os.ReadFile(keptFile(name))
	if err != nil {
		t.Fatal(err)
	}
	var k kept
	if err := yaml.Unmarshal(raw, &k); err != nil {
		t.Fatal(err)
	}
	return k.Transcript
}

// perform plays all scenarios on one switch at the same time.
func perform(t *testing.T, w *world, then func(t *testing.T, name string, seen transcript)) {
	t.Run("scenarios", func(t *testing.T) {
		for i, sc := range scenarios() {
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				s := &scene{T: t, w: w, number: fmt.Sprintf("7%03d", i), names: &normal{}, streams: transcript{}}
				w.mu.Lock()
				s.log = w.log(s.number)
				w.mu.Unlock()
				sc.play(s)
				then(t, sc.name, s.transcript())
			})
		}
	})
}

// TestScenarios holds the simulator against what the real switch did.
func TestScenarios(t *testing.T) {
	known := loadExcuses(t, "scenarios")
	w := startSimulator(t)
	perform(t, w, func(t *testing.T, name string, seen transcript) {
		known.check(t, compare(name, seen, load(t, name)))
	})
	if flag.Lookup("test.run").Value.String() == "" {
		known.unused(t)
	}
	for _, u := range w.simulator.Unknown() {
		if !slices.ContainsFunc([]string{"nosuch", "command connect", "command filter", "command getvar"},
			func(asked string) bool { return strings.Contains(u, asked) }) {
			t.Errorf("unknown to the simulator: %s", u)
		}
	}
}

// TestRealSwitchIsAsKept measures the real switch again: what is kept of it must be what it does.
func TestRealSwitchIsAsKept(t *testing.T) {
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	if binary == "" {
		t.Skip("SIGNALBOX_FREESWITCH names no freeswitch binary: the simulator was held against what is kept of one, and that was NOT measured again")
	}
	w := startFreeSWITCH(t, binary)
	known := loadExcuses(t, "switch")
	perform(t, w, func(t *testing.T, name string, seen transcript) {
		if *update {
			raw, err := yaml.MarshalWithOptions(kept{w.version, seen}, yaml.UseLiteralStyleIfMultiline(true))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(keptFile(name), raw, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		known.check(t, compare(name, seen, load(t, name)))
	})
}
