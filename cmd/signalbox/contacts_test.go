package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestContactsComeAndGo imports a book, with a look before, and again; then what is exported.
func TestContactsComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.good("provision", "apply", "provision.yaml")
	f.write("book.csv", "Name,Phone\nAnna,(415) 555-0101\nNobody,12\n\"=Zoë, \"\"Z\"\"\",+44 20 7946 0958\n")
	for _, step := range []struct{ args, out, err string }{
		{"--dry-run", "+ Anna: +14155550101\n", "book.csv:3: \"12\" is no telephone number of country US"},
		{"", "contacts: 2 added, 0 changed, 0 removed, 0 as they were", "book.csv: 1 problems; the rest was taken"},
		{"--dry-run", "contacts: 0 added, 0 changed, 0 removed, 2 as they were; nothing was written", "book.csv:3:"},
	} {
		r := f.run("", append([]string{"contacts", "import", "ada", "book.csv"}, strings.Fields(step.args)...)...)
		if r.status != 1 || !strings.Contains(r.out, step.out) || !strings.Contains(r.err, step.err) {
			t.Errorf("import %s: status %d\n%s\n%s\nwant %s\nand %s", step.args, r.status, r.out, r.err, step.out, step.err)
		}
	}
	if out := f.good("contacts", "leftovers", "--format", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("no files, as JSON: %s", out)
	}
	for _, format := range []string{"vcard", "csv"} {
		text := f.good("contacts", "export", "ada", "--type", format)
		name := "again." + map[string]string{"vcard": "vcf", "csv": "csv"}[format]
		f.write(name, text)
		var again contactsSummary
		if err := json.Unmarshal([]byte(f.good("contacts", "import", "ada", name, "--replace", "--format", "json")), &again); err != nil {
			t.Fatal(err)
		}
		if again.Same != 2 || len(again.Added)+len(again.Changed)+len(again.Removed) > 0 {
			t.Errorf("what was exported as %s, imported: %+v", format, again)
		}
	}
	if out := f.good("contacts", "forget", "ada", "--number", "(415) 555-0199", "--dry-run"); !strings.Contains(out, "would erase: 0 contacts") {
		t.Errorf("a number that nobody has: %s", out)
	}
	if out := f.good("contacts", "forget", "ada", "--number", "+442079460958"); !strings.Contains(out, "erased: 1 contacts") {
		t.Errorf("forgotten: %s", out)
	}
	f.write("short.csv", "Name,Phone\nAnna,(415) 555-0101\n")
	if out := f.good("contacts", "import", "ada", "short.csv", "--replace"); !strings.Contains(out, "0 added, 0 changed, 0 removed, 1 as they were") {
		t.Errorf("a book in place of the last: %s", out)
	}
	if r := f.run("", "contacts", "import", "nobody", "short.csv"); r.status != 1 || !strings.Contains(r.err, "account nobody") {
		t.Errorf("an account that there is not: %d %s", r.status, r.err)
	}
	if r := f.run("BEGIN:VCARD\nFN:Ben\nTEL:4155550103\nEND:VCARD\n", "contacts", "import", "ada", "-"); r.status != 0 || !strings.Contains(r.out, "1 added") {
		t.Errorf("from standard input: %d %s %s", r.status, r.out, r.err)
	}
}
