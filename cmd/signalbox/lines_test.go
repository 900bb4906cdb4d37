package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// lines reads what a program logs.
type lines struct{ scanner *bufio.Scanner }

func newLines(r io.Reader) *lines { return &lines{bufio.NewScanner(r)} }

// until reads up to the line that contains text.
func (l *lines) until(t *testing.T, text string) string {
	t.Helper()
	var seen []string
	for l.scanner.Scan() {
		if seen = append(seen, l.scanner.Text()); strings.Contains(l.scanner.Text(), text) {
			return l.scanner.Text()
		}
	}
	t.Fatalf("the program never said %q, only\n%s", text, strings.Join(seen, "\n"))
	return ""
}

func (l *lines) rest() {
	for l.scanner.Scan() {
		continue
	}
}

func signalTo(t *testing.T, c *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
