package lint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Beyond a bound nothing is said of further patterns, and that is said.
func TestPatternsBeyondTheBoundAreCounted(t *testing.T) {
	for name, l := range map[string]*linter{"weight": {weight: maxWeight + 1}, "time": {spent: maxAttack + 1}} {
		l.patterns, l.report = map[string]*pattern{}, &Report{}
		if p := l.pattern(`^(\d+)+x$`); p.slow != "" || l.unread != 1 {
			t.Errorf("%s: slow on %q, %d patterns not looked at", name, p.slow, l.unread)
		}
		l.finish()
		if !slices.ContainsFunc(l.report.Findings, func(f Finding) bool { return f.Rule == "too-many" }) {
			t.Errorf("%s: nothing is said: %v", name, l.report.Findings)
		}
	}
	// A large pattern has fewer states in a question, so that each costs about the same.
	large := languageOf("^" + strings.Repeat("[ab]{90}", 40))
	if large == nil {
		t.Fatal("the pattern has no language here")
	}
	if n := room([]term{{large, false}}); n > 1000 || room([]term{{everything(), false}}) != maxStates {
		t.Errorf("%d states for a pattern of %d instructions", n, len(large.prog.Inst))
	}
}

// A line that a global variable makes too long is cut, a directive too.
func TestLinesThatFreeSWITCHCutsAreFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.xml")
	long := "<X-PRE-PROCESS cmd=\"set\" data=\"long=" + strings.Repeat("L", 900) + "\"/>\n"
	text := "<include>\n" + long + "<X-PRE-PROCESS cmd=\"set\" data=\"all=$${long}$${long}$${LONG}\"/>\n<extension name=\"x\"><condition><action application=\"answer\"/></condition></extension>\n</include>\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := Check(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 || report.Findings[0].Rule != "dropped-line" || report.Findings[0].Pos.Line != 3 {
		t.Errorf("found %v, want a dropped-line at line 3", report.Findings)
	}
}
