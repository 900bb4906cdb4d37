package dialplan

import "fmt"

// frame is an open group, the last one is the innermost. PCRE wants to know how many bytes each alternative of a
// lookbehind takes, and inside of it each group has to take the same in all of its alternatives.
type frame struct {
	begin    int  // in out
	look     bool // a lookbehind
	nothing  bool // an assertion, which takes no bytes
	size     int  // of the alternative so far
	first    int  // of the first alternative, -1 while it lasts
	variable bool
}

// take adds an atom of n bytes, -1 when that differs, to the innermost group.
func (t *translator) take(n int) {
	t.last = n
	if len(t.groups) == 0 {
		return
	}
	f := &t.groups[len(t.groups)-1]
	f.size += max(n, 0)
	f.variable = f.variable || n < 0
}

// alternative ends one alternative of the innermost group.
func (t *translator) alternative() error {
	if len(t.groups) == 0 {
		return nil
	}
	f := &t.groups[len(t.groups)-1]
	switch {
	case f.look && f.variable:
		return fmt.Errorf("lookbehind assertion is not fixed length: %w", errPattern)
	case f.first < 0:
		f.first = f.size
	case f.first != f.size && !f.look:
		f.variable = true
	}
	f.size = 0
	return nil
}
