package lab

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ladder draws a story as the ladder every telephone engineer reads: one column for each party, one row for each message.
// It keeps no state, so that rows can be drawn while the story runs.
type Ladder struct {
	Columns []string // from left to right
	Spacing int      // characters from one column to the next, at least 14
	Colour  bool     // ANSI colours
}

// gutter is what stands left of the first column: the time in milliseconds.
const gutter = 9

// The colours, by meaning.
const (
	ansiReset  = "\x1b[0m"
	ansiBold   = "\x1b[1m"
	ansiDim    = "\x1b[2m"
	ansiRed    = "\x1b[31m"
	ansiGreen  = "\x1b[32m"
	ansiYellow = "\x1b[33m"
	ansiPurple = "\x1b[35m"
	ansiCyan   = "\x1b[36m"
)

func (l Ladder) paint(colour, s string) string {
	if !l.Colour || colour == "" || s == "" {
		return s
	}
	return colour + s + ansiReset
}

func (l Ladder) spacing() int { return max(l.Spacing, 14) }

func (l Ladder) at(column int) int { return gutter + 2 + column*l.spacing() }

// column finds the column of a party: "voicemail-2" stands in "voicemail".
func (l Ladder) column(party string) (int, string) {
	if i := slices.Index(l.Columns, party); i >= 0 {
		return i, ""
	}
	base, n, ok := strings.Cut(party, "-")
	if i := slices.Index(l.Columns, base); ok && i >= 0 {
		return i, "[" + n + "] "
	}
	return -1, ""
}

// Header is the row with the names of the columns.
func (l Ladder) Header() string {
	line := blanks(l.at(len(l.Columns)-1) + l.spacing()/2)
	put(line, 0, fmt.Sprintf("%*s", gutter-1, "ms"))
	for i, c := range l.Columns {
		put(line, max(l.at(i)-utf8.RuneCountInString(c)/2, gutter), c)
	}
	return l.paint(ansiBold, strings.TrimRight(string(line), " "))
}

// Rail is a row on which nothing happens.
func (l Ladder) Rail() string { return l.paint(ansiDim, strings.TrimRight(string(l.rails()), " ")) }

func (l Ladder) rails() []rune {
	line := blanks(l.at(len(l.Columns)-1) + 1)
	for i := range l.Columns {
		line[l.at(i)] = '│'
	}
	return line
}

func blanks(n int) []rune { return []rune(strings.Repeat(" ", n)) }

// put writes text into a line as far as it fits.
func put(line []rune, at int, text string) {
	for _, r := range text {
		if at >= len(line) {
			return
		}
		line[at] = r
		at++
	}
}

// Row draws one event. Events that do not concern the columns become a line of text.
func (l Ladder) Row(e Event) string {
	summary := printable(e.Summary)
	stamp := fmt.Sprintf("%*d ", gutter-1, e.At.Milliseconds())
	from, fromTag := l.column(e.From)
	to, toTag := l.column(e.To)
	switch {
	case e.Kind == Tell:
		return stamp + l.paint(ansiCyan, "» "+summary)
	case e.Kind == Deed:
		return stamp + l.paint(ansiBold+ansiRed, "✱ "+summary)
	case e.Kind == Proof:
		return stamp + l.paint(ansiGreen, "♪ "+summary)
	case from < 0 || to < 0 || from == to:
		return stamp + l.paint(ansiDim, fmt.Sprintf("· %s → %s: %s", e.From, e.To, summary))
	}
	return stamp + l.arrow(from, to, toTag+fromTag+summary, e)
}

// arrow draws a message from one column to another; what the Event Socket reported is dashed.
func (l Ladder) arrow(from, to int, label string, e Event) string {
	line := l.rails()
	left, right := l.at(min(from, to)), l.at(max(from, to))
	stroke := '─'
	if e.Kind == Switch {
		stroke = '╌'
	}
	for x := left + 1; x < right; x++ {
		line[x] = stroke
	}
	if from < to {
		line[right-1] = '▶'
	} else {
		line[left+1] = '◀'
	}
	room := right - left - 3 // the head of the arrow and one stroke stay
	if n := utf8.RuneCountInString(label); n > room {
		label = string([]rune(label)[:room-1]) + "…"
	} else if n+2 <= room {
		label = " " + label + " "
	}
	start := left + 1 + (room-utf8.RuneCountInString(label))/2
	if from > to || utf8.RuneCountInString(label) < room {
		start++
	}
	put(line, start, label)
	head, middle, tail := string(line[gutter:left+1]), string(line[left+1:right]), string(line[right:])
	return l.paint(ansiDim, head) + l.paint(colourOf(e), middle) + l.paint(ansiDim, tail)
}

// colourOf gives a message the colour of its meaning.
func colourOf(e Event) string {
	switch {
	case e.Kind == Switch:
		return ansiDim
	case strings.HasPrefix(e.Summary, "INVITE"):
		return ansiBold
	case strings.HasPrefix(e.Summary, "1"):
		return ansiYellow
	case strings.HasPrefix(e.Summary, "2"):
		return ansiGreen
	case strings.HasPrefix(e.Summary, "BYE"), strings.HasPrefix(e.Summary, "CANCEL"):
		return ansiPurple
	case e.Summary != "" && e.Summary[0] >= '3' && e.Summary[0] <= '6':
		return ansiRed
	}
	return ""
}

// printable keeps text from a caller from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}
