package docstest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Command is one command line of a page.
type Command struct {
	Where string
	Words []string // the program first; redirections and what stands behind a pipe are left out
	Run   bool     // stands in a block, for the reader to run; otherwise it is only named in the text
}

// Programs whose command lines the tests know how to try.
var programs = []string{"signalbox", "make", "go", "cp"}

// Commands lists the command lines of the page, in blocks without a language or with a shell's, and in code spans.
func (p Page) Commands() []Command {
	var all []Command
	for _, b := range p.Blocks {
		if !slices.Contains([]string{"", "sh", "shell", "bash", "console"}, b.Lang) {
			continue
		}
		whole := strings.ReplaceAll(b.Text, "\\\n", "  ")
		for i, line := range strings.Split(whole, "\n") {
			for one := range strings.SplitSeq(strings.TrimPrefix(strings.TrimSpace(line), "$ "), " && ") {
				if words := Words(one); words != nil {
					all = append(all, Command{p.Where(b.Line + i), words, true})
				}
			}
		}
	}
	for _, s := range p.Spans {
		for _, one := range alternatives(strings.ReplaceAll(s.Text, `\|`, "|")) {
			if words := Words(one); words != nil {
				all = append(all, Command{p.Where(s.Line), words, false})
			}
		}
	}
	return all
}

var shellWord = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)

// Words splits a command line of one of the programs, and gives nil for anything else.
func Words(line string) []string {
	var out []string
	for _, w := range shellWord.FindAllString(line, -1) {
		if w == "|" || w == "&" || w == "&&" || strings.HasPrefix(w, "#") || strings.HasPrefix(w, ">") || strings.HasPrefix(w, "<") || strings.HasPrefix(w, "2>") {
			break
		}
		out = append(out, strings.Trim(w, `'"`))
	}
	for len(out) > 0 && (out[0] == "sudo" || regexp.MustCompile(`^[A-Z_]+=`).MatchString(out[0])) {
		out = out[1:]
	}
	if len(out) < 2 {
		return nil
	}
	if out[0] == "go" && len(out) > 2 && out[1] == "run" && out[2] == "./cmd/signalbox" {
		out = append([]string{"signalbox"}, out[3:]...)
	}
	out[0] = out[0][strings.LastIndex(out[0], "/")+1:]
	if !slices.Contains(programs, out[0]) {
		return nil
	}
	return out
}

var either = regexp.MustCompile(`\S+\|\S+`)

// alternatives writes "provision apply|export" out as two lines.
func alternatives(line string) []string {
	at := either.FindStringIndex(line)
	if at == nil {
		return []string{line}
	}
	var out []string
	for one := range strings.SplitSeq(line[at[0]:at[1]], "|") {
		out = append(out, line[:at[0]]+one+line[at[1]:])
	}
	return out
}

// String is the command line.
func (c Command) String() string { return fmt.Sprintf("%s: %s", c.Where, strings.Join(c.Words, " ")) }
