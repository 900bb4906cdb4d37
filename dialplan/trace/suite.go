package trace

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
)

// ErrSuite is wrapped by errors about a file of test calls that cannot be read.
var ErrSuite = errors.New("not a file of test calls")

const (
	maxSuite = 8 << 20
	maxTests = 100_000
)

// Test is one call of a file of test calls and what is expected of it.
type Test struct {
	Line           int
	Context        string
	Destination    string
	CallerIDNumber string
	CallerIDName   string
	At             time.Time // zero = when it is run
	Vars, Fields   map[string]string
	Known, Assume  map[string]string
	// Extension has to be among those that contribute an action; "-" = none matches; "" = any will do.
	Extension string
	// Applications have to be executed in this order, others may stand between: a name, or name(data).
	Applications []string
	// End is how the call leaves the dialplan, such as USER_BUSY; "" = anyhow.
	End string
}

// Result is what came of one Test.
type Result struct {
	Line       int      `json:"line"`
	Call       string   `json:"call"`
	Passed     bool     `json:"passed"`
	Why        string   `json:"why,omitempty"` // it did not pass
	Extensions []string `json:"extensions"`
	Executed   []string `json:"executed"`
}

// ReadSuite reads test calls from CSV. The first line names the columns: destination (needed), context, caller_id_number,
// caller_id_name, at (RFC 3339), extension, applications (separated by "|" outside parentheses), end, and any number of
// var:NAME, field:NAME, assume:APPLICATION and known:FUNCTION(ARGUMENTS). A line that begins with "#" is a comment. An
// empty cell says nothing. defaultContext stands for an empty context.
func ReadSuite(r io.Reader, defaultContext string) ([]Test, error) {
	in := csv.NewReader(io.LimitReader(r, maxSuite))
	in.Comment, in.TrimLeadingSpace = '#', true
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w; its first line names the columns, such as destination,extension", ErrSuite, err)
	}
	for i, name := range header {
		header[i] = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		if err := checkColumn(header[i]); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(header, "destination") {
		return nil, fmt.Errorf("%w: no column is called destination", ErrSuite)
	}
	var tests []Test
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSuite, err)
		}
		if len(tests) >= maxTests {
			return nil, fmt.Errorf("more than %d test calls: %w", maxTests, dialplan.ErrLimit)
		}
		line, _ := in.FieldPos(0)
		test := Test{Line: line, Context: defaultContext}
		for i, value := range row {
			if value = strings.TrimSpace(value); value == "" {
				continue
			}
			if err := test.set(header[i], value); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
		}
		if test.Destination == "" {
			return nil, fmt.Errorf("line %d: %w: no destination", line, ErrSuite)
		}
		tests = append(tests, test)
	}
	if len(tests) == 0 {
		return nil, fmt.Errorf("%w: it has no calls", ErrSuite)
	}
	if in.InputOffset() >= maxSuite {
		return nil, fmt.Errorf("a file of test calls of more than %d bytes: %w", maxSuite, dialplan.ErrLimit)
	}
	return tests, nil
}

func checkColumn(name string) error {
	kind, rest, ok := strings.Cut(name, ":")
	switch {
	case ok && rest != "" && slices.Contains([]string{"var", "assume", "known"}, kind):
		return nil
	case ok && kind == "field":
		if !dialplan.IsField(rest) {
			return fmt.Errorf("%w: FreeSWITCH knows no field %q; a variable is var:%s", ErrSuite, rest, rest)
		}
		return nil
	case slices.Contains([]string{"destination", "context", "caller_id_number", "caller_id_name", "at", "extension", "applications", "end", "note"}, name):
		return nil
	}
	return fmt.Errorf("%w: no column is called %q; there are destination, context, caller_id_number, caller_id_name, at, extension, "+
		"applications, end, note, var:NAME, field:NAME, assume:APPLICATION, known:FUNCTION(ARGUMENTS)", ErrSuite, name)
}

func (t *Test) set(column, value string) error {
	put := func(m *map[string]string, name string) {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[name] = value
	}
	switch column {
	case "destination":
		t.Destination = value
	case "context":
		t.Context = value
	case "caller_id_number":
		t.CallerIDNumber = value
	case "caller_id_name":
		t.CallerIDName = value
	case "extension":
		t.Extension = value
	case "applications":
		t.Applications = splitOutside(value)
	case "end":
		t.End = value
	case "note":
	case "at":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return fmt.Errorf("at: %q is no time like 2026-11-27T09:00:00+01:00: %w", value, ErrSuite)
		}
		t.At = at
	default:
		kind, name, _ := strings.Cut(column, ":")
		switch kind {
		case "var":
			put(&t.Vars, name)
		case "field":
			put(&t.Fields, strings.ToLower(name))
		case "assume":
			put(&t.Assume, strings.ToLower(name))
		case "known":
			put(&t.Known, name)
		}
	}
	return nil
}

// splitOutside splits at "|", but not inside parentheses.
func splitOutside(s string) []string {
	var out []string
	depth, begin := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth = max(0, depth-1)
		case '|':
			if depth == 0 {
				out = append(out, strings.TrimSpace(s[begin:i]))
				begin = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(s[begin:]))
}

// Run walks the calls and compares. now stands for a time that a test does not say.
func Run(ctx context.Context, tree *dialplan.Tree, tests []Test, assume map[string]string, now time.Time) ([]Result, error) {
	results := make([]Result, 0, len(tests))
	for _, t := range tests {
		at := t.At
		if at.IsZero() {
			at = now
		}
		opt := dialplan.WalkOptions{Assume: map[string]string{}}
		for _, from := range []map[string]string{assume, t.Assume} {
			for name, outcome := range from {
				opt.Assume[name] = outcome
			}
		}
		w, err := tree.Walk(ctx, &dialplan.Call{Context: t.Context, Destination: t.Destination, CallerIDNumber: t.CallerIDNumber,
			CallerIDName: t.CallerIDName, Fields: t.Fields, Vars: dialplan.NewVars(t.Vars), Known: t.Known, Now: at}, opt)
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		why := t.judge(w)
		if err != nil {
			why = err.Error()
		}
		results = append(results, Result{Line: t.Line, Call: t.Context + "/" + t.Destination, Passed: why == "", Why: why,
			Extensions: append([]string{}, w.Extensions...), Executed: append([]string{}, w.Executed...)})
	}
	return results, nil
}

// judge says why a walk is not what is expected, "" when it is.
func (t *Test) judge(w *dialplan.Walk) string {
	matched := slices.Compact(slices.Clone(w.Extensions))
	found := "none matched"
	if len(matched) > 0 {
		found = "got " + strings.Join(matched, ", ")
	}
	switch {
	case t.Extension == "-" && len(matched) > 0:
		return "expected that no extension matches, " + found
	case t.Extension != "" && t.Extension != "-" && !slices.Contains(matched, t.Extension):
		return fmt.Sprintf("expected extension %q, %s", t.Extension, found)
	}
	next := 0
	for _, a := range w.Actions {
		if next < len(t.Applications) && (t.Applications[next] == a.Application || t.Applications[next] == a.Application+"("+a.Data+")") {
			next++
		}
	}
	if next < len(t.Applications) {
		return fmt.Sprintf("expected application %s, executed were %s", t.Applications[next], strings.Join(w.Executed, ", "))
	}
	if t.End != "" && t.End != w.End {
		return fmt.Sprintf("expected that the call ends with %s, it ends with %s", t.End, ending(w))
	}
	return ""
}

// WriteResults writes what failed, and how many passed. It returns the number that failed.
func WriteResults(out io.Writer, file string, results []Result, o Options) (failed int, err error) {
	p := &page{o: o}
	for _, r := range results {
		if r.Passed {
			continue
		}
		failed++
		p.text(p.paint(red, "FAIL") + " " + clean(file) + ":" + itoa(r.Line) + ": " + clean(r.Call) + ": " + clean(r.Why) + "\n")
	}
	p.text(count(len(results), "call") + ", " + itoa(failed) + " failed\n")
	_, err = io.WriteString(out, p.b.String())
	return failed, err
}

func itoa(n int) string { return strconv.Itoa(n) }
