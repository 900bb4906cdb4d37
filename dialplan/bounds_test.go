package dialplan

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestACallHasFewSlowPatternsWhereverTheyStand: conditions, functions and captures count together, through
// execute_extension and transfers too. Each takes a quarter of a second.
func TestACallHasFewSlowPatternsWhereverTheyStand(t *testing.T) {
	const slow = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab|^(a+)+$"
	for name, action := range map[string]string{
		"function":          `<action application="set" data="x=${regex(` + slow + `)}"/>`,
		"inline":            `<action application="set" data="x=${regex(` + slow + `)}" inline="true"/>`,
		"capture":           `<action application="capture" data="x|` + slow + `"/>`,
		"execute_extension": `<action application="execute_extension" data="inner XML default"/>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, map[string]string{"d.xml": "<include>\n<extension name=\"inner\"><condition field=\"destination_number\" expression=\"^inner$\">\n" +
				"<action application=\"set\" data=\"y=${regex(" + slow + ")}\"/></condition></extension>\n" +
				"<extension name=\"x\"><condition>\n" + action + "\n<action application=\"eval\" data=\"behind\"/></condition></extension>\n</include>\n"})
			tree := load(t, filepath.Join(dir, "d.xml"), LoadOptions{})
			w, err := tree.Walk(context.Background(), &Call{Destination: "1", slow: maxSlow}, WalkOptions{})
			if !errors.Is(err, ErrLimit) || strings.Contains(fmt.Sprint(w.Executed), "behind") {
				t.Errorf("%v, executed %q", err, w.Executed)
			}
			if w, err = tree.Walk(context.Background(), &Call{Destination: "1", slow: maxSlow - 1}, WalkOptions{}); err != nil {
				t.Errorf("one slow pattern fewer: %v, executed %q", err, w.Executed)
			}
		})
	}
}

// TestPatternsThatAreKeptHaveABound: what a{1000} is compiled to is a thousand times as large as a.
func TestPatternsThatAreKeptHaveABound(t *testing.T) {
	large, err := CompilePattern("(?:x)?" + strings.Repeat("a{1000}", 2000))
	if err != nil || large.fast != nil || large.Size() > 100_000 {
		t.Errorf("a pattern with counts of 2,000,000 together: %v, size %d", err, large.Size())
	}
	cache := newPatternCache()
	for i := range 2000 {
		if _, err := cache.perform("aaa", fmt.Sprintf("(?:%d)?a{1000}a{900}", i)); err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, p := range cache.have {
			held += p.Size()
		}
		if held > maxPatterns {
			t.Fatalf("patterns of the size %d are held, at most %d", held, maxPatterns)
		}
	}
	if len(cache.have) > 1500 {
		t.Errorf("%d patterns are kept", len(cache.have))
	}
}
