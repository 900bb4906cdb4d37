package trace

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// Options say how a walk is shown.
type Options struct {
	Colour bool
	// Root is taken off the names of files: the folder of the tree.
	Root string
}

// maxPlace is the widest column of places; a longer place pushes its line to the right.
const maxPlace = 48

// WriteText writes a walk for people: FreeSWITCH's own lines, each with its place, the applications that would be
// executed, what was assumed on the way, what could not be told, and how the call leaves the dialplan.
func WriteText(out io.Writer, w *dialplan.Walk, o Options) error {
	p := newPage(w, o)
	for i, line := range w.Trace {
		p.line(w.Places[i], "Dialplan: ", line, colourOf(line))
	}
	if len(w.Actions) > 0 {
		p.text("\napplications:\n")
	}
	for _, a := range w.Actions {
		p.line(a.Pos, "", a.Application+"("+a.Data+")", bold)
	}
	p.notices("assumed", w.Notices, func(n dialplan.Notice) bool { return n.Kind == dialplan.NoticeAssumed })
	p.notices("note", w.Notices, func(n dialplan.Notice) bool { return n.Kind != dialplan.NoticeAssumed })
	switch {
	case w.End != "":
		p.text("\nends: " + clean(w.End) + "\n")
	default:
		p.text("\nends: the last application has returned, FreeSWITCH hangs up with NORMAL_CLEARING\n")
	}
	_, err := io.WriteString(out, p.b.String())
	return err
}

// page is text under construction with a column of places on the left.
type page struct {
	b     strings.Builder
	o     Options
	width int
}

func newPage(w *dialplan.Walk, o Options) *page {
	p := &page{o: o}
	for _, pos := range w.Places {
		p.width = max(p.width, len(p.place(pos)))
	}
	for _, a := range w.Actions {
		p.width = max(p.width, len(p.place(a.Pos)))
	}
	p.width = min(p.width, maxPlace)
	return p
}

func (p *page) text(s string) { p.b.WriteString(s) }

func (p *page) place(pos dialplan.Pos) string {
	if rel, err := filepath.Rel(p.o.Root, pos.File); p.o.Root != "" && err == nil && !strings.HasPrefix(rel, "..") {
		pos.File = rel
	}
	return clean(pos.String())
}

func (p *page) line(pos dialplan.Pos, word, text, colour string) {
	p.b.WriteString(p.paint(dim, fmt.Sprintf("%-*s", p.width, p.place(pos))) + "  " + word + p.paint(colour, clean(text)) + "\n")
}

func (p *page) notices(word string, list []dialplan.Notice, want func(dialplan.Notice) bool) {
	seen := map[string]bool{}
	for _, n := range list {
		text := p.place(n.Pos) + ": " + clean(n.Text)
		if n.Pos.File == "" {
			text = clean(n.Text)
		}
		if !want(n) || seen[text] {
			continue
		}
		if len(seen) == 0 {
			p.text("\n")
		}
		seen[text] = true
		p.text(p.paint(yellow, word+":") + " " + text + "\n")
	}
}

const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (p *page) paint(code, s string) string {
	if !p.o.Colour || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// colourOf is the colour of a line of the trace.
func colourOf(line string) string {
	line = strings.TrimLeft(line, "|- ")
	switch {
	case strings.HasPrefix(line, "parsing ["), strings.HasPrefix(line, "Processing "):
		return bold
	case strings.HasPrefix(line, "Action "):
		return cyan
	case strings.HasPrefix(line, "ANTI-Action "):
		return yellow
	case strings.HasPrefix(line, "Regex (PASS)"), strings.HasPrefix(line, "Absolute "), strings.HasPrefix(line, "Date/Time Match (PASS)"):
		return green
	case strings.HasPrefix(line, "Regex (FAIL)"), strings.HasPrefix(line, "Date/TimeMatch (FAIL)"):
		return red
	}
	return ""
}

// clean keeps text from steering a terminal, and on one line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return '⏎'
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
