package lint

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// maxSource bounds a file that is read a second time for its comments, in bytes.
const maxSource = 8 << 20

// read keeps the lines of a file, for comments that silence findings.
func (l *linter) read(path string) {
	f, err := os.Open(path)
	if err != nil {
		return // it was read a moment ago; without it no comment counts
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSource))
	if err == nil {
		lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
		l.report.sources[path], l.orders[path] = lines, orders(lines)
	}
}

// broken reports XML that FreeSWITCH refuses.
func (l *linter) broken(err *dialplan.Error) {
	what := strings.TrimSuffix(err.Err.Error(), ": "+dialplan.ErrSyntax.Error())
	instead := "mend this line; FreeSWITCH's parser knows only a small part of XML"
	if strings.Contains(what, `"--"`) {
		instead = `write no "--" inside a comment, and end it with -->`
	}
	l.found("xml-syntax", err.Pos, nil, what+": FreeSWITCH refuses the whole tree; a reloadxml keeps the old one, a restart does not come up", instead)
}

// files reports what the preprocessor found, and directives in comments.
func (l *linter) files() {
	computed := l.computed()
	for _, n := range l.tree.Notices() {
		inside := l.commentAt(n.Pos)
		switch n.Kind {
		case dialplan.NoticeDropped:
			if !l.harmless(n.Pos) {
				l.found("dropped-line", n.Pos, nil, n.Text, "write <include>, </include> and each X-PRE-PROCESS on lines of their own")
			}
		case dialplan.NoticeCut:
			l.found("dropped-line", n.Pos, nil, n.Text, "put the value on a line of its own where it is used, or part it into shorter ones")
		case dialplan.NoticeGlobal: // a file alone does not say what vars.xml sets
			if name := globalName.FindStringSubmatch(n.Text); !inside && !l.lone() && (name == nil || !computed[name[1]]) {
				l.found("global-undefined", n.Pos, nil, n.Text, `set it before, in vars.xml: <X-PRE-PROCESS cmd="set" data="NAME=VALUE"/>; for a variable of the channel write ${NAME}`)
			}
		case dialplan.NoticeInclude:
			l.found("include-missing", n.Pos, nil, n.Text, "correct the path, which begins at the folder of this file, or take the directive away")
		case dialplan.NoticeExec:
			l.found("exec-directive", n.Pos, nil, n.Text, "write what the program prints into a file and include that")
		case dialplan.NoticeDirective:
			if !inside && !strings.Contains(n.Text, `"comment"`) { // <!--#comment is how it is written in FreeSWITCH's own files
				l.found("preprocess-bad", n.Pos, nil, n.Text, `write <X-PRE-PROCESS cmd="include|set|env-set" data="..."/>`)
			}
		}
	}
	for _, file := range l.tree.Files() {
		l.commented(file)
	}
}

var (
	globalName  = regexp.MustCompile(`\$\$\{([^}]*)\}`)
	directive   = regexp.MustCompile(`(?i)<X-PRE-PROCESS\s[^>]*cmd\s*=\s*"[^"]*"[^>]*data\s*=\s*"[^"]*"`)
	switchedOff = regexp.MustCompile(`(?i)<X?X-(?:NO-)?PRE-PROCESS[^>]*>|</?include>`)
	asking      = regexp.MustCompile(`(?i)cmd\s*=\s*"(?:stun-set|exec-set|env-set)"\s+data\s*=\s*"\s*([^="\s]+)\s*=`)
)

// computed are the globals that directives set to what is not known here.
func (l *linter) computed() map[string]bool {
	out := map[string]bool{}
	for _, lines := range l.report.sources {
		for _, line := range lines {
			if m := asking.FindStringSubmatch(line); m != nil {
				out[m[1]] = true
			}
		}
	}
	return out
}

// outside returns a line without its comments, and whether a comment is open behind it.
func outside(line string, open bool) (string, bool) {
	var b strings.Builder
	for line != "" {
		mark := "<!--"
		if open {
			mark = "-->"
		}
		before, rest, found := strings.Cut(line, mark)
		if !open {
			b.WriteString(before)
		}
		if !found {
			break
		}
		open, line = !open, rest
	}
	return b.String(), open
}

// commentAt reports whether a place is inside a comment.
func (l *linter) commentAt(pos dialplan.Pos) bool {
	open := false
	for i, line := range l.report.sources[pos.File] {
		if i+1 == pos.Line {
			_, open = outside(line[:min(max(pos.Col-1, 0), len(line))], open)
			return open
		}
		_, open = outside(line, open)
	}
	return false
}

// harmless reports whether a line that FreeSWITCH drops, as a whole or in part, holds nothing but directives, complete
// comments, or the inside of one. <XX-PRE-PROCESS is the usual way of switching a directive off.
func (l *linter) harmless(pos dialplan.Pos) bool {
	lines := l.report.sources[pos.File]
	if pos.Line > len(lines) {
		return false
	}
	line := lines[pos.Line-1]
	before := l.commentAt(dialplan.Pos{File: pos.File, Line: pos.Line, Col: 1})
	rest, after := outside(line, before)
	return before == after && strings.TrimSpace(switchedOff.ReplaceAllString(rest, "")) == ""
}

// commented reports directives that stand inside a comment.
func (l *linter) commented(file string) {
	for i, line := range l.report.sources[file] {
		for _, at := range directive.FindAllStringIndex(line, -1) {
			if pos := (dialplan.Pos{File: file, Line: i + 1, Col: at[0] + 1}); l.commentAt(pos) {
				l.found("preprocess-in-comment", pos, nil, fmt.Sprintf("FreeSWITCH carries this out although it stands in a comment: %s/>", clip(line[at[0]:at[1]])),
					"delete the line, or switch the directive off by writing XX-PRE-PROCESS")
			}
		}
	}
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// place shows a position in a text, short.
func (l *linter) place(p dialplan.Pos) string {
	if rel, err := filepath.Rel(l.report.Root, p.File); err == nil && filepath.IsLocal(rel) {
		p.File = filepath.ToSlash(rel)
	}
	return p.String()
}
