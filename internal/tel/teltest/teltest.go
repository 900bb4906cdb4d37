// Package teltest holds the one table of telephone numbers by which every package that accepts numbers is tested: what
// people, phones and carriers write, and what it has to be read as. A package that read a number in its own way would
// route a call to somebody whom no other part of the product knows.
//
// The table is testdata/numbers.tsv; its first lines say what the columns mean. Everything here is for tests, and safe for
// concurrent use.
package teltest

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:embed testdata/numbers.tsv
var table string

// atLeast is how many cases the table has to hold; a loader that reads nothing must not pass.
const atLeast = 450

// Case is one line of the table.
type Case struct {
	Line      int
	Written   string
	Region    string // where it is written; "" = nowhere, so that only international forms count
	Number    string // in E.164, as tel.ParseNumber has to read it; "" = it must refuse it
	Err       string // why it must: "not" (tel.ErrNotNumber) or "impossible" (tel.ErrImpossible); "" = it must not
	Presented string // in E.164, as tel.ParsePresented has to read it; "" = as no number
	Withheld  bool   // as the address of a caller it says that he hides his number
	Short     bool   // a short code that may be the key of a pilot
	Emergency bool   // an emergency number, which never may
}

// Cases reads the table.
func Cases(t testing.TB) []Case {
	t.Helper()
	var out []Case
	for i, line := range strings.Split(strings.TrimSuffix(table, "\n"), "\n") {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		columns := strings.Split(line, "\t")
		if len(columns) < 3 || len(columns) > 5 {
			t.Fatalf("line %d of the table: %q has %d columns, want 3 to 5", i+1, line, len(columns))
		}
		columns = append(columns, "", "")
		written, err := strconv.Unquote(`"` + strings.ReplaceAll(columns[0], `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("line %d of the table: %q: %v", i+1, columns[0], err)
		}
		c := Case{Line: i + 1, Written: written, Region: columns[1], Number: columns[2], Presented: columns[3]}
		if !strings.HasPrefix(c.Number, "+") {
			c.Number, c.Err = "", c.Number
		}
		if c.Presented == "" {
			c.Presented = c.Number
		}
		flags := strings.Fields(columns[4])
		c.Withheld, c.Short, c.Emergency = slices.Contains(flags, "withheld"), slices.Contains(flags, "short"), slices.Contains(flags, "emergency")
		out = append(out, c)
	}
	if len(out) < atLeast {
		t.Fatalf("the table has %d cases, want at least %d", len(out), atLeast)
	}
	return out
}
