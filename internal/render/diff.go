package render

import (
	"bytes"
	"fmt"
	"strings"
)

// around is how many lines a diff shows around a change.
const around = 3

// Diff is the unified diff of one file, "" when nothing changes. nil stands for a file that does not exist. It is what
// "patch -p1" and "git apply" take. Of a sound it says only that it changes.
func Diff(path string, before, after []byte) string {
	if string(before) == string(after) && (before == nil) == (after == nil) {
		return ""
	}
	from, to := "a/"+path, "b/"+path
	if before == nil {
		from = "/dev/null"
	}
	if after == nil {
		to = "/dev/null"
	}
	if bytes.IndexByte(before, 0) >= 0 || bytes.IndexByte(after, 0) >= 0 { // a sound: said as diff says it, and left out by patch
		return fmt.Sprintf("Binary files %s and %s differ\n", from, to)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", from, to)
	ops := compare(lines(before), lines(after))
	for begin := 0; begin < len(ops); {
		if ops[begin].kind == ' ' {
			begin++
			continue
		}
		end := begin // behind the last change of this hunk
		for i := begin; i < len(ops) && i-end <= 2*around; i++ {
			if ops[i].kind != ' ' {
				end = i + 1
			}
		}
		hunk(&b, ops, max(begin-around, 0), min(end+around, len(ops)))
		begin = end
	}
	return b.String()
}

// op is one line of a comparison: kept, removed or added.
type op struct {
	kind byte // ' ', '-', '+'
	text string
}

func hunk(b *strings.Builder, ops []op, begin, end int) {
	oldStart, newStart, oldCount, newCount := 0, 0, 0, 0
	for i, o := range ops[:end] {
		inside := i >= begin
		if o.kind != '+' {
			if inside {
				oldCount++
			} else {
				oldStart++
			}
		}
		if o.kind != '-' {
			if inside {
				newCount++
			} else {
				newStart++
			}
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", span(oldStart, oldCount), span(newStart, newCount))
	for _, o := range ops[begin:end] {
		b.WriteByte(o.kind)
		b.WriteString(o.text)
		if !strings.HasSuffix(o.text, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// span is "start,count" of a hunk; start counts from 1, and is the line before when there are none.
func span(before, count int) string {
	if count == 0 {
		return fmt.Sprintf("%d,0", before)
	}
	return fmt.Sprintf("%d,%d", before+1, count)
}

func lines(text []byte) []string {
	var out []string
	for line := range strings.Lines(string(text)) {
		out = append(out, line)
	}
	return out
}

// compare is the longest common subsequence of two short files.
func compare(a, b []string) []op {
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var out []op
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, op{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			out = append(out, op{'-', a[i]})
			i++
		default:
			out = append(out, op{'+', b[j]})
			j++
		}
	}
	return out
}
