package likeness

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
)

//go:embed testdata/differences.yaml
var differencesFile []byte

// excuse is an entry of testdata/differences.yaml. In Where, Field, Simulator and Switch "*" stands for any text.
type excuse struct {
	Where     string
	Field     string // "" = the step itself is there or not
	Simulator string
	Switch    string
	Reason    string
	Sometimes bool // not in every run: it depends on which of two threads comes first

	mu   sync.Mutex
	seen int
}

// excuses are the known differences of one part: "recordings" or "scenarios".
type excuses []*excuse

func loadExcuses(t *testing.T, part string) excuses {
	t.Helper()
	var all map[string]excuses
	if err := yaml.Unmarshal(differencesFile, &all); err != nil {
		t.Fatalf("testdata/differences.yaml: %v", err)
	}
	for _, x := range all[part] {
		if x.Reason == "" || x.Where == "" {
			t.Errorf("testdata/differences.yaml: an entry without a reason or a place: %+v", x.Where)
		}
	}
	return all[part]
}

// excuse finds the entries a difference is listed in.
func (x excuses) excuse(d difference) bool {
	found := false
	for _, e := range x {
		if like(e.Where, d.where) && like(e.Field, d.field) && like(e.Simulator, d.simulator) && like(e.Switch, d.origin) {
			e.mu.Lock()
			e.seen++
			e.mu.Unlock()
			found = true
		}
	}
	return found
}

// check fails on what is not listed.
func (x excuses) check(t *testing.T, all []difference) {
	t.Helper()
	var bad []string
	for _, d := range all {
		if !x.excuse(d) {
			bad = append(bad, d.String())
		}
	}
	if len(bad) > 0 {
		t.Errorf("%d differences that testdata/differences.yaml does not list:\n%s", len(bad), strings.Join(bad, "\n"))
	}
}

// unused fails on what is listed and was not seen.
func (x excuses) unused(t *testing.T) {
	t.Helper()
	for _, e := range x {
		if e.seen == 0 && !e.Sometimes {
			t.Errorf("testdata/differences.yaml lists what does not differ any more: %s", fmt.Sprintf("%s / %s: %q, %q", e.Where, e.Field, e.Simulator, e.Switch))
		}
	}
}

// like matches a text with a pattern in which "*" is any text.
func like(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) || !strings.HasSuffix(text, parts[len(parts)-1]) || len(text) < len(parts[0])+len(parts[len(parts)-1]) {
		return false
	}
	text = text[len(parts[0]) : len(text)-len(parts[len(parts)-1])]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return true
}
