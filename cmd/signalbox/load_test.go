package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/bulk"
)

// subscribers is a file of lines, every hundredth of which is bad.
func subscribers(lines int) (text string, bad int) {
	var b strings.Builder
	b.WriteString("account,name,number,devices,pilot\n")
	for i := range lines {
		number, pilot := fmt.Sprintf("+1415%07d", 2_000_000+i), "+18056377243"
		switch i % 300 {
		case 50:
			number, bad = "12", bad+1
		case 150:
			pilot, bad = "+18056377999", bad+1
		case 250:
			b.WriteString(`"never closed,`)
			bad++
		}
		fmt.Fprintf(&b, "s%d,Subscriber %d,%s,%d@pbx.example.net,%s\n", i, i, number, i, pilot)
	}
	return b.String(), bad
}

// TestLoadSurvivesKills kills the load again and again, each time when its journal has come some way further.
func TestLoadSurvivesKills(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.good("provision", "apply", "provision.yaml")
	const lines = 8000
	text, bad := subscribers(lines)
	f.write("subscribers.csv", text)
	journal := filepath.Join(f.dir, bulk.JournalOf("subscribers.csv"))
	line := func() int {
		var j struct{ Line int }
		if raw, err := os.ReadFile(journal); err == nil {
			_ = json.Unmarshal(raw, &j)
		}
		return j.Line
	}
	kills, resumed := 0, 0
	var summary struct{ Lines, Done, Rejected, Resumed int }
	for {
		var out, errs bytes.Buffer
		c := f.command(t.Context(), "provision", "load", "subscribers.csv", "--format", "json")
		c.Stdout, c.Stderr = &out, &errs
		until := line() + 1 + rand.IntN(2500)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		look := time.NewTicker(time.Millisecond)
		killed := false
		for running := true; running; {
			select {
			case <-ended:
				running = false
			case <-look.C:
				if !killed && line() >= until {
					killed = c.Process.Kill() == nil
				}
			}
		}
		look.Stop()
		if killed && !c.ProcessState.Success() && out.Len() == 0 {
			kills++
			continue
		}
		if err := json.Unmarshal(out.Bytes(), &summary); err != nil {
			t.Fatalf("%v: %s %s", err, out.String(), errs.String())
		}
		resumed = summary.Resumed
		break
	}
	if kills == 0 || resumed == 0 {
		t.Fatalf("the load was killed %d times and went on behind line %d: nothing was tested", kills, resumed)
	}
	t.Logf("killed %d times", kills)
	if summary.Lines != lines || summary.Done != lines-bad || summary.Rejected != bad {
		t.Errorf("%+v, want %d lines, %d of them rejected", summary, lines, bad)
	}
	rows := map[string]int{}
	for l := range strings.Lines(f.good("provision", "export", "--format", "jsonl")) {
		var row struct{ Kind string }
		if err := json.Unmarshal([]byte(l), &row); err != nil {
			t.Fatal(err)
		}
		rows[row.Kind]++
	}
	if want := lines - bad + 1; rows["number"] != want || rows["account"] != want {
		t.Errorf("rows %v, want %d numbers and accounts", rows, want)
	}
	raw, err := os.ReadFile(filepath.Join(f.dir, bulk.RejectsOf("subscribers.csv")))
	if err != nil || strings.Count(string(raw), "\n") != bad+1 {
		t.Errorf("%d lines of rejects, want %d and a header: %v", strings.Count(string(raw), "\n"), bad, err)
	}
	if _, err := os.Stat(journal); !os.IsNotExist(err) {
		t.Errorf("the journal of a finished load is left: %v", err)
	}
	// Loaded again it changes nothing, and the exit status says that lines were rejected.
	before := f.good("provision", "export", "--format", "jsonl")
	if r := f.run("", "provision", "load", "subscribers.csv"); r.status != 1 || !strings.Contains(r.err, "subscribers.rejected.csv") || strings.Contains(r.err, "\r") {
		t.Errorf("exit status %d: %s", r.status, r.err)
	}
	if f.good("provision", "export", "--format", "jsonl") != before {
		t.Error("the second load changed rows")
	}
}

func TestDryRunShowsEachField(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.good("provision", "apply", "provision.yaml")
	before := f.good("provision", "export")
	f.write("next.yaml", strings.NewReplacer("Lovelace", "King", "conditions: [no-answer, busy]", "mailbox: \"77\"",
		"accounts:\n", "prune: true\naccounts:\n  - {id: bob}\n").Replace(provisioned))
	text := f.good("provision", "apply", "next.yaml", "--dry-run")
	for _, want := range []string{
		"+ account bob\n", "~ account ada\n    ~ name: Ada Lovelace -> Ada King\n", "    + voicemail.mailbox: 77\n", "    + voicemail.conditions[2]: not-registered\n",
		"1 to add, 2 to change, 0 to remove; nothing was written\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	var plan bulk.Plan
	if err := json.Unmarshal([]byte(f.good("provision", "apply", "next.yaml", "--dry-run", "--format", "json")), &plan); err != nil {
		t.Fatal(err)
	}
	if len(plan.Added) != 1 || len(plan.Changed) != 2 || len(plan.Removed) != 0 || plan.Changed[0].Fields[0].Before != "Ada Lovelace" {
		t.Errorf("%+v", plan)
	}
	f.write("less.yaml", "prune: true\n")
	if text := f.good("provision", "apply", "less.yaml", "--dry-run"); !strings.Contains(text, "- number +14155550100") || !strings.Contains(text, "0 to add, 0 to change, 4 to remove") {
		t.Errorf("%s", text)
	}
	f.write("bad.yaml", "numbers: [{number: \"+14155550199\", account: nobody}]\n")
	if r := f.run("", "provision", "apply", "bad.yaml", "--dry-run"); r.status != 1 || !strings.Contains(r.err, "no account nobody is known") {
		t.Errorf("exit status %d: %s", r.status, r.err)
	}
	if f.good("provision", "export") != before {
		t.Error("a dry run changed rows")
	}
}

func TestTenantsAreExportedAndAppliedByThemselves(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.good("provision", "apply", "provision.yaml")
	f.write("acme.yaml", "accounts: [{id: ada}]\nnumbers: [{number: \"+14155550111\", account: ada, voicemail: {pilot: \"+18056377243\"}}]\n")
	f.good("provision", "apply", "acme.yaml", "--tenant", "acme")
	acme := f.good("provision", "export", "--tenant", "acme")
	if !strings.Contains(acme, "tenant: acme\n") || !strings.Contains(acme, "+14155550111") || strings.Contains(acme, "+14155550100") {
		t.Errorf("tenant acme exports\n%s", acme)
	}
	if operator := f.good("provision", "export"); strings.Contains(operator, "+14155550111") {
		t.Errorf("the operator exports\n%s", operator)
	}
	f.write("export.yaml", acme)
	if r := f.run("", "provision", "apply", "export.yaml", "--tenant", "umbrella"); r.status != 1 || !strings.Contains(r.err, "of tenant acme") {
		t.Errorf("exit status %d: %s", r.status, r.err)
	}
	if out := f.good("provision", "apply", "export.yaml"); out != "no change\n" {
		t.Errorf("applying an export says %s", out)
	}
	all := f.good("provision", "export", "--all", "--format", "jsonl")
	other := newFolder(t)
	other.write("all.jsonl", all)
	other.good("provision", "load", "all.jsonl")
	if got := other.good("provision", "export", "--all", "--format", "jsonl"); got != all || strings.Count(all, "\n") != 6 {
		t.Errorf("a store loaded from an export exports\n%s\nwant\n%s", got, all)
	}
}

func TestProgressBar(t *testing.T) {
	for _, c := range []struct {
		p    bulk.Progress
		want string
	}{
		{bulk.Progress{Lines: 50_000, Total: 100_000, Rejected: 37, Rate: 18_232.4, Left: 2700 * time.Millisecond},
			"[############............] 50,000 of 100,000 lines, 18,232/s, 3s left, 37 rejected"},
		{bulk.Progress{Lines: 500, Total: 500, Rate: 999}, "[########################] 500 of 500 lines, 999/s"},
		{bulk.Progress{}, "[########################] 0 of 0 lines, 0/s"},
	} {
		if got := barLine(c.p); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 99_963: "99,963", 1_000_007: "1,000,007"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}
