package stores

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestASmallRunMeasuresEverything(t *testing.T) {
	figures, err := Run(t.Context(), Options{Sizes: []int{20, 40}, Rounds: 1, Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if f.Load <= 0 || f.Cached <= 0 || f.Read < f.Read50 || f.Open <= 0 || f.Kind == "SQLite" && f.Size == 0 {
			t.Errorf("not measured: %+v", f)
		}
	}
	if len(figures) < 2 || figures[1].Users != 40 {
		t.Errorf("figures are %+v", figures)
	}
}

func TestMissedGoalsAreNamed(t *testing.T) {
	var out strings.Builder
	missed := Report(&out, []Figures{
		{Kind: "SQLite", Users: 1, Cached: 100, Read: time.Millisecond}, {Kind: "SQLite", Users: 2, Cached: 109, Read: 11 * time.Millisecond},
		{Kind: "PostgreSQL", Users: 1, Cached: 200, Read: time.Millisecond}, {Kind: "PostgreSQL", Users: 2, Cached: 240, Read: time.Millisecond},
	})
	if len(missed) != 2 || !strings.Contains(missed[0], "SQLite with 2 users: p99 from the store is 11ms") || !strings.Contains(missed[1], "PostgreSQL with 2 users: p99 from memory is 1.20 times") {
		t.Errorf("missed are %q\n%s", missed, out.String())
	}
}
