package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// textWidth is where the details are broken.
const textWidth = 100

// WriteText writes the report for people, aligned; colour says whether the states are coloured.
func (r *Report) WriteText(out io.Writer, colour bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "FreeSWITCH at %s\n\n", r.Node)
	width := 0
	for _, c := range r.Checks {
		width = max(width, len(c.Name))
	}
	for _, c := range r.Checks {
		state := fmt.Sprintf("%-4s", c.Status)
		if colour {
			state = map[Status]string{OK: "\x1b[32m", Warn: "\x1b[33;1m", Fail: "\x1b[31;1m", Skip: "\x1b[36m"}[c.Status] + state + "\x1b[0m"
		}
		indent := strings.Repeat(" ", 2+4+2+width+2)
		fmt.Fprintf(&b, "  %s  %-*s  %s\n", state, width, c.Name, strings.Join(wrap(c.Detail, textWidth-len(indent)), "\n"+indent))
		if len(c.Add) > 0 {
			if c.Where != "" {
				fmt.Fprintf(&b, "%s%s:\n", indent, c.Where)
			}
			for _, line := range c.Add {
				fmt.Fprintf(&b, "%s  %s\n", indent, line)
			}
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d warn, %d fail", r.Count(OK), r.Count(Warn), r.Count(Fail))
	if n := r.Count(Skip); n > 0 {
		fmt.Fprintf(&b, ", %d not looked at", n)
	}
	b.WriteString("\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// wrap breaks a text at blanks.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
