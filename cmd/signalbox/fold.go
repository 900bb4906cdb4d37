package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/signalbox/signalbox/internal/store"
)

// folded breaks long lines at blanks for a terminal. What follows stands below the last column of the line's left half: behind
// two blanks or an arrow, or where the line begins.
type folded struct {
	out   io.Writer
	width int
	line  []byte
}

// newFolded folds for a terminal of so many characters; 0 = no terminal, and lines stay as they are, for grep.
func newFolded(out io.Writer, width int) io.Writer {
	if width == 0 {
		return out
	}
	return &folded{out: out, width: width}
}

// Write writes whole lines, and keeps the beginning of one until its end comes.
func (f *folded) Write(p []byte) (int, error) {
	f.line = append(f.line, p...)
	for {
		line, rest, ended := bytes.Cut(f.line, []byte("\n"))
		if !ended {
			return len(p), nil
		}
		if _, err := io.WriteString(f.out, fold(string(line), f.width)+"\n"); err != nil {
			return 0, err
		}
		f.line = rest
	}
}

func fold(line string, width int) string {
	hang := len(line) - len(strings.TrimLeft(line, " "))
	for _, column := range []string{"  ", "-> "} {
		if at := strings.LastIndex(line[:min(len(line), width/2)], column); at >= hang {
			hang = at + len(column)
		}
	}
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	for hang < len(line) && line[hang] == ' ' {
		hang++
	}
	indent := strings.Repeat(" ", utf8.RuneCountInString(line[:hang]))
	rows, row, used := line[:hang], "", len(indent)
	for i, word := range strings.Fields(line[hang:]) {
		size := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+size > width:
			rows, row, used = rows+row+"\n"+indent, "", len(indent)
		default:
			row, used = row+" ", used+1
		}
		row, used = row+word, used+size
	}
	return rows + row
}

// counted is "1 check" or "2 checks".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// noAccount says what to do when an account was not found; err names it.
func noAccount(err error, tenant string) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w among those of tenant %s; signalbox provision export lists them, --tenant names another", err, cmp.Or(tenant, "operator"))
}

// instant is a flag with a time.
type instant struct{ time.Time }

// UnmarshalText reads RFC 3339.
func (i *instant) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q: write a time with its zone, such as 2026-12-24T18:00:00+01:00", text)
	}
	i.Time = t
	return nil
}
