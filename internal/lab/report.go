package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/export"
)

// Text tells stories on a terminal, or in a file, while they run: the first story that has not been told to its end is shown
// live, what the others do meanwhile is shown as soon as it is their turn. It is safe for concurrent use.
type Text struct {
	out    io.Writer
	colour bool
	width  int

	mu    sync.Mutex
	tales map[string]*tale
	order []string
	next  int // index into order of the story that is being told
}

// tale is what is still to be printed of one story.
type tale struct {
	ladder Ladder
	lines  []string
	begun  bool
	ended  bool
}

// NewText tells the stories in the order in which they are given. width is that of the terminal in characters; 0 = 132.
func NewText(out io.Writer, stories []Story, colour bool, width int) *Text {
	if width <= 0 {
		width = 132
	}
	t := &Text{out: out, colour: colour, width: width, tales: make(map[string]*tale)}
	for _, s := range stories {
		columns := s.Columns()
		spacing := min(max((width-gutter-6)/(len(columns)-1), 14), 26)
		t.tales[s.Name] = &tale{ladder: Ladder{Columns: columns, Spacing: spacing, Colour: colour}}
		t.order = append(t.order, s.Name)
	}
	return t
}

// Begin prints the headline.
func (t *Text) Begin(s Story) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.tales[s.Name]
	one.begun = true
	l := one.ladder
	rule := strings.Repeat("━", max(t.width-len(s.Name)-5, 3))
	one.lines = append(one.lines, "", l.paint(ansiBold, "━━ "+s.Name+" "+rule), "   "+s.Title, "", l.Header(), l.Rail())
	t.flush()
}

// Event draws one row.
func (t *Text) Event(s Story, e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.tales[s.Name]
	one.lines = append(one.lines, one.ladder.Row(e))
	t.flush()
}

// End prints the plan, the record and the verdict.
func (t *Text) End(s Story, r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.tales[s.Name]
	l := one.ladder
	one.lines = append(one.lines, l.Rail())
	var done []call.StepRecord
	if n := len(r.Records); n > 0 {
		done = r.Records[n-1].Steps
	}
	one.lines = append(one.lines, planLines(l, r.Plan, done, t.width)...)
	for i, rec := range r.Records {
		one.lines = append(one.lines, recordLines(i, len(r.Records), rec)...)
	}
	verdict := l.paint(ansiBold+ansiGreen, "   ✓ "+s.Name) + fmt.Sprintf(" in %.1f s", r.Took.Seconds())
	if r.Err != nil {
		verdict = l.paint(ansiBold+ansiRed, "   ✗ "+s.Name+": ") + printable(r.Err.Error())
		if r.Logs != "" {
			verdict += "\n" + r.Logs
		}
	}
	one.lines = append(one.lines, verdict)
	one.ended = true
	t.flush()
}

// flush prints what may be printed now.
func (t *Text) flush() {
	for t.next < len(t.order) {
		one := t.tales[t.order[t.next]]
		for _, line := range one.lines {
			_, _ = fmt.Fprintln(t.out, line) // a reader that went away misses the rest
		}
		one.lines = nil
		if !one.ended {
			return
		}
		t.next++
	}
}

// planLines is the plan of the sidecar with its reasons: what ran stands out, what was kept in reserve is shown in one line each.
func planLines(l Ladder, p *call.Plan, done []call.StepRecord, width int) []string {
	if p == nil {
		return []string{l.paint(ansiDim, "   plan    none: no account owns the number, or the call never reached the sidecar")}
	}
	ran := ranSteps(*p, done)
	var lines []string
	for i, step := range p.Steps {
		label := "   plan    "
		if i > 0 {
			label = "           "
		}
		when := ""
		if len(step.On) > 0 {
			var on []string
			for _, r := range step.On {
				on = append(on, string(r))
			}
			when = "on " + strings.Join(on, ", ") + ": "
		}
		text := fmt.Sprintf("%d. %-8s ", i+1, step.Kind) + when + printable(step.Reason.Sentence)
		if ran[i] {
			lines = append(lines, l.paint(ansiDim, label)+l.paint(ansiBold, "▸ "+text))
			continue
		}
		lines = append(lines, l.paint(ansiDim, label+"  "+cutTo(text, width-utf8.RuneCountInString(label)-2)))
	}
	return lines
}

// ranSteps follows the plan through the results of the record and says which of its steps ran.
func ranSteps(p call.Plan, done []call.StepRecord) map[int]bool {
	ran := make(map[int]bool)
	i := 0
	for _, d := range done {
		if i < 0 || i >= len(p.Steps) {
			break
		}
		ran[i] = true
		i = p.Next(i, d.Result)
	}
	return ran
}

func cutTo(s string, n int) string {
	if r := []rune(s); len(r) > n && n > 1 {
		return string(r[:n-1]) + "…"
	}
	return s
}

// recordLines is what the call record says happened.
func recordLines(i, n int, r call.Record) []string {
	label := "   record  "
	if n > 1 {
		label = fmt.Sprintf("   record%d ", i+1)
	}
	var lines []string
	for _, step := range r.Steps {
		line := fmt.Sprintf("%s%-8s %s", label, step.Kind, step.Result)
		if !step.Ended.IsZero() {
			line += fmt.Sprintf(" after %.1f s", step.Ended.Sub(step.Started).Seconds())
			if step.Note != "" {
				line += ": " + step.Note
			}
		}
		lines = append(lines, line)
		label = "           "
		for _, a := range step.Attempts {
			detail := strings.TrimSpace(fmt.Sprintf("%s %s", a.Disposition, a.Note))
			lines = append(lines, printable(fmt.Sprintf("             %s: %s %s", a.Target, a.Result, detail)))
		}
	}
	end := fmt.Sprintf("%sover: %s %s", label, r.Result, r.Cause)
	if r.Note != "" {
		end += "; " + r.Note
	}
	return append(lines, printable(strings.TrimRight(end, " ")))
}

// Summary is the table at the end.
func Summary(out io.Writer, results []Result, took time.Duration, colour bool) {
	l := Ladder{Colour: colour}
	good := 0
	_, _ = fmt.Fprintln(out)
	for _, r := range results {
		mark, why := l.paint(ansiGreen, "✓"), ""
		if r.Err != nil {
			mark, why = l.paint(ansiRed, "✗"), "  "+l.paint(ansiRed, printable(firstLine(r.Err.Error())))
		} else {
			good++
		}
		_, _ = fmt.Fprintf(out, " %s %-40s %5.1f s%s\n", mark, r.Story, r.Took.Seconds(), why)
	}
	_, _ = fmt.Fprintf(out, "\n%s\n", l.paint(ansiBold, fmt.Sprintf("%d of %d stories as told, in %.0f s", good, len(results), took.Seconds())))
}

func firstLine(s string) string { line, _, _ := strings.Cut(s, "\n"); return line }

// JSON hears nothing; WriteJSON prints at the end.
type JSON struct{}

// Begin does nothing.
func (JSON) Begin(Story) {}

// Event does nothing.
func (JSON) Event(Story, Event) {}

// End does nothing.
func (JSON) End(Story, Result) {}

// WriteJSON prints the results as an array of {"story","ok","seconds","plan","records","events","error"}.
func WriteJSON(out io.Writer, results []Result) error {
	type row struct {
		Story   string          `json:"story"`
		OK      bool            `json:"ok"`
		Seconds float64         `json:"seconds"`
		Plan    *export.Plan    `json:"plan"`
		Records []export.Stored `json:"records"`
		Events  []Event         `json:"events"`
		Error   string          `json:"error,omitempty"`
	}
	rows := make([]row, 0, len(results))
	for _, r := range results {
		one := row{Story: r.Story, OK: r.Err == nil, Seconds: float64(r.Took.Milliseconds()) / 1000, Records: export.StoredList(r.Records), Events: r.Events}
		if r.Plan != nil {
			plan := export.PlanOf(*r.Plan)
			one.Plan = &plan
		}
		if one.Events == nil {
			one.Events = []Event{}
		}
		if r.Err != nil {
			one.Error = r.Err.Error()
		}
		rows = append(rows, one)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(rows)
}
