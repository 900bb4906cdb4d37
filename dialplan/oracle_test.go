package dialplan

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

type oracleCase struct {
	Context        string   `json:"context"`
	Destination    string   `json:"destination_number"`
	CallerIDName   string   `json:"caller_id_name"`
	CallerIDNumber string   `json:"caller_id_number"`
	Trace          []string `json:"trace"`
	Executed       []string `json:"executed"`
}

func readCases(t *testing.T, path string) []oracleCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []oracleCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// compare checks that a tree gives the trace and the applications that a real FreeSWITCH logged.
func compareOracle(t *testing.T, xml, file string, atLeast int) {
	t.Helper()
	tree, err := Load(xml, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cases := readCases(t, file)
	if len(cases) < atLeast {
		t.Fatalf("%d cases, want at least %d", len(cases), atLeast)
	}
	for _, c := range cases {
		call := &Call{Context: c.Context, Destination: c.Destination, CallerIDName: c.CallerIDName,
			CallerIDNumber: c.CallerIDNumber, Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
		got, err := tree.Walk(context.Background(), call, WalkOptions{})
		if err != nil {
			t.Errorf("%s/%s: %v", c.Context, c.Destination, err)
			continue
		}
		if !slices.Equal(got.Trace, c.Trace) {
			t.Errorf("%s/%s/%s: trace\n got %q\nwant %q", c.Context, c.Destination, c.CallerIDName, got.Trace, c.Trace)
		}
		if !slices.Equal(got.Executed, c.Executed) {
			t.Errorf("%s/%s/%s: executed\n got %q\nwant %q", c.Context, c.Destination, c.CallerIDName, got.Executed, c.Executed)
		}
	}
}

func TestTraceEqualsRealFreeSWITCH(t *testing.T) {
	compareOracle(t, "testdata/oracle/oracle.xml", "testdata/oracle/cases.json", 50)
}

// TestTreeServesManyCallsAtOnce walks one tree from several goroutines; the race detector watches.
func TestTreeServesManyCallsAtOnce(t *testing.T) {
	tree, err := Load("testdata/oracle/oracle.xml", LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cases := readCases(t, "testdata/oracle/cases.json")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, c := range cases {
				w, err := tree.Walk(context.Background(), &Call{Context: c.Context, Destination: c.Destination, CallerIDName: c.CallerIDName,
					CallerIDNumber: c.CallerIDNumber, Now: time.Unix(1_800_000_000, 0).UTC()}, WalkOptions{})
				if err != nil || !slices.Equal(w.Executed, c.Executed) {
					t.Errorf("%s/%s: executed %q, %v, want %q", c.Context, c.Destination, w.Executed, err, c.Executed)
				}
			}
		})
	}
	wg.Wait()
}
