package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/dialplan/lint"
)

const faulty = `<include>
  <context name="public">
    <extension name="a">
      <condition field="destination_number" expression="^1000$">
        <action application="set" data="hangup_after_brige=true"/>
        <action application="log" data="INFO $1"/>
      </condition>
    </extension>
  </context>
</include>
`

func TestLintFindsFaultsAndItsExitStatusSaysSo(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("faulty.xml", faulty)
	r := f.run("", "dialplan", "lint", "--conf", "faulty.xml")
	if r.status != 1 || !strings.Contains(r.out, "faulty.xml:6:35: error: $1 stays as it is") || !strings.Contains(r.out, "faulty.xml:5:35: warning: ") || !strings.Contains(r.err, "1 of severity error") {
		t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	if r := f.run("", "dialplan", "lint", "--conf", "faulty.xml", "--disable", "capture-missing"); r.status != 0 {
		t.Errorf("a warning ends with status %d: %s", r.status, r.err)
	}
	if r := f.run("", "dialplan", "lint", "--conf", "faulty.xml", "--disable", "capture-missing", "--fail-on", "warning"); r.status != 1 {
		t.Error("--fail-on warning takes a warning for good")
	}
	for _, format := range []string{"json", "sarif"} {
		if out := f.good("dialplan", "lint", "--conf", "faulty.xml", "--fail-on", "never", "--format", format); !json.Valid([]byte(out)) || !strings.Contains(out, "variable-misspelt") {
			t.Errorf("%s: %s", format, out)
		}
	}
	if out := f.good("dialplan", "lint", "--rules"); !strings.Contains(out, "toll-fraud ") {
		t.Errorf("--rules: %s", out)
	}
}

// TestTheDoctorsPageNamesEveryCheck reads the names that the package gives out of its source, and those of the page.
func TestTheDoctorsPageNamesEveryCheck(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(top, "docs", "doctor.md"))
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob(filepath.Join(top, "internal", "doctor", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]bool{}
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(path, "_test.go") {
			for _, m := range regexp.MustCompile(`(?:d\.(?:say|taken|said|skip|denied)\(|const name(?:, \w+)? = )"([a-z-]+)"`).FindAllStringSubmatch(string(text), -1) {
				given[m[1]] = true
			}
		}
	}
	if len(given) < 15 {
		t.Fatalf("found only %d checks: the search is broken", len(given))
	}
	for name := range given {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/doctor.md does not name %s", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| (`[a-z`, -]+`) \\|").FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(strings.ReplaceAll(m[1], "`", ""), ", ") {
			if !given[name] {
				t.Errorf("docs/doctor.md names %s, which no check is called", name)
			}
		}
	}
}

func TestThePageListsEveryRule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(top, "docs", "dialplan.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") && (strings.Contains(line, "| error |") || strings.Contains(line, "| warning |") || strings.Contains(line, "| note |")) {
			rows++
		}
	}
	listed := 0
	for _, r := range lint.Rules() {
		if r.ID == "too-many" {
			continue
		}
		listed++
		if row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", r.ID, r.Severity, strings.ReplaceAll(r.Title, "|", `\|`), r.Known); !strings.Contains(string(text), row) {
			t.Errorf("docs/dialplan.md has no row\n%s", row)
		}
	}
	if rows != listed {
		t.Errorf("docs/dialplan.md lists %d rules, there are %d", rows, listed)
	}
}
