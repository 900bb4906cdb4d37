package wire

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// longEvent is a plain event with more lines than are looked through one by one, and a body that looks like headers.
func longEvent(lines int) *Event {
	var fields []Field
	for i := range lines {
		fields = append(fields, Field{fmt.Sprintf("variable_%d", i), fmt.Sprintf("value %d", i)})
	}
	fields = append(fields, Field{"variable_twice", "first"}, Field{"variable_twice", "second"}, Field{"variable_colon:inside", "x"})
	return NewEvent(fields, []byte("Hangup-Cause: FORGED\n\nmore"))
}

func TestEveryHeaderIsFoundNearAndFar(t *testing.T) {
	for _, lines := range []int{0, 1, nearLines - 4, nearLines, nearLines + 1, 200} {
		e := longEvent(lines)
		for i := range lines {
			if got, want := e.Get(fmt.Sprintf("variable_%d", i)), fmt.Sprintf("value %d", i); got != want {
				t.Errorf("%d lines: number %d is %q, want %q", lines, i, got, want)
			}
		}
		if got := e.Get("variable_twice"); got != "first" {
			t.Errorf("%d lines: the first of two is %q", lines, got)
		}
		if got := e.Get("variable_colon:inside"); got != "x" {
			t.Errorf("%d lines: a name with a colon is %q", lines, got)
		}
		for _, name := range []string{"Hangup-Cause", "variable_", "variable_99999", "VARIABLE_0", "", "variable_twice: f", "value 0",
			"variable_twice: first\nvariable_twice", strings.Repeat("x", 300)} {
			if v, ok := e.Lookup(name); ok {
				t.Errorf("%d lines: %.40q, which is no header, was found: %q", lines, name, v)
			}
		}
		if got := string(e.Body()); got != "Hangup-Cause: FORGED\n\nmore" {
			t.Errorf("%d lines: body %q", lines, got)
		}
	}
}

// TestEventMayBeReadByMany: the first far look-up makes the index; the race detector looks on.
func TestEventMayBeReadByMany(t *testing.T) {
	e := longEvent(100)
	var readers sync.WaitGroup
	for i := range 16 {
		readers.Go(func() {
			if got := e.Get(fmt.Sprintf("variable_%d", 60+i)); got != fmt.Sprintf("value %d", 60+i) {
				t.Errorf("reader %d got %q", i, got)
			}
		})
	}
	readers.Wait()
}

func BenchmarkFirstFarLookup(b *testing.B) {
	raw := longEvent(150).raw
	b.ReportAllocs()
	for b.Loop() {
		e := Event{raw: raw}
		_ = e.Get("variable_140")
	}
}

func BenchmarkNextFarLookup(b *testing.B) {
	e := longEvent(150)
	b.ReportAllocs()
	for b.Loop() {
		_ = e.Get("variable_140")
	}
}
