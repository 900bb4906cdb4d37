package lint

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
)

// Severity says how sure it is that a finding is a fault.
type Severity int

// The severities in rising order.
const (
	Note    Severity = iota // worth knowing; often meant
	Warning                 // works otherwise than it looks, or fails for some calls
	Error                   // cannot be meant
)

// String is "note", "warning" or "error", as in SARIF.
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "note"
}

// MarshalText is String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one fault at one place.
type Finding struct {
	Rule      string       `json:"rule"`
	Severity  Severity     `json:"severity"`
	Pos       dialplan.Pos `json:"place"`
	Context   string       `json:"context,omitempty"`
	Extension string       `json:"extension,omitempty"`
	What      string       `json:"what"`    // what happens
	Instead   string       `json:"instead"` // what to write
}

// Report is what Check found.
type Report struct {
	Findings   []Finding `json:"findings"`             // by file, line, column, rule
	Suppressed int       `json:"suppressed,omitempty"` // findings that a comment in a file silences
	Root       string    `json:"root"`                 // folder that the files of the findings are in, absolute
	Files      int       `json:"files"`                // read
	Extensions int       `json:"extensions"`           // looked at
	sources    map[string][]string
}

// Count is how many findings are at least of a severity.
func (r *Report) Count(least Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity >= least {
			n++
		}
	}
	return n
}

// Options of Check.
type Options struct {
	Disable []string // rules that say nothing
	Load    dialplan.LoadOptions
	// Local reports whether a host of the application socket is on the switch's own machine; nil = loopback addresses and
	// localhost are.
	Local func(host string) bool
}

// maxFindings bounds a report; what is beyond is counted in one last finding.
const maxFindings = 5000

// ErrNoRule means that Options name a rule that is not one of Rules.
var ErrNoRule = errors.New("there is no rule")

// Check reads a file or a conf tree and returns everything that is wrong with it. XML that FreeSWITCH would refuse is a
// finding, not an error.
func Check(path string, opt Options) (*Report, error) {
	for _, id := range opt.Disable {
		if _, ok := ruleOf(id); !ok {
			return nil, fmt.Errorf("%w %q", ErrNoRule, id)
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("linting: %w", err)
	}
	l := &linter{opt: opt, patterns: map[string]*pattern{}, report: &Report{Findings: []Finding{}, Root: abs, sources: map[string][]string{}}, orders: map[string][]order{}, seen: map[string]bool{}}
	if filepath.Ext(abs) == ".xml" {
		l.report.Root = filepath.Dir(abs)
	}
	tree, err := dialplan.Load(path, opt.Load)
	var at *dialplan.Error
	switch {
	case errors.As(err, &at) && at.Pos.Line > 0 && errors.Is(err, dialplan.ErrSyntax):
		l.read(at.Pos.File)
		l.broken(at)
	case err != nil:
		return nil, err
	default:
		l.tree = tree
		for _, file := range tree.Files() {
			l.read(file)
		}
		l.report.Files = len(tree.Files())
		l.run()
	}
	l.finish()
	return l.report, nil
}

// linter is one Check.
type linter struct {
	opt      Options
	tree     *dialplan.Tree
	report   *Report
	contexts []*contextView
	patterns map[string]*pattern
	reads    map[string]bool // variables that some ${...} of the dialplan reads, lower case
	sets     map[string]bool // variables that some action sets, lower case
	orders   map[string][]order
	seen     map[string]bool
	beyond   int
	weight   int           // of the patterns
	spent    time.Duration // on attacks
	unread   int           // patterns of which nothing is said, or not whether they are slow
}

// run applies every rule.
func (l *linter) run() {
	l.files()
	l.view()
	l.structure()
	for _, c := range l.contexts {
		l.shadows(c)
		for i, x := range c.extensions {
			l.extension(c, x, i == len(c.extensions)-1)
		}
		l.early(c)
	}
	l.tollFraud()
	l.roomSounds()
}

// extension applies the rules about one extension.
func (l *linter) extension(c *contextView, x *extension, last bool) {
	l.report.Extensions++
	l.outcome(c, x, last)
	x.each(func(cond *condition) {
		l.condition(x, cond)
		l.times(x, cond.el)
		for _, a := range cond.all() {
			l.action(x, cond, a)
		}
	})
	l.exclusive(x)
	l.afterEnd(x)
	l.sockets(x)
	l.bridges(x)
}

// found adds a finding.
func (l *linter) found(rule string, pos dialplan.Pos, x *extension, what, instead string) {
	r, ok := ruleOf(rule)
	if !ok {
		panic("lint: rule " + rule + " is not in the table")
	}
	l.add(r.Severity, rule, pos, x, what, instead)
}

func (l *linter) add(severity Severity, rule string, pos dialplan.Pos, x *extension, what, instead string) {
	f := Finding{Rule: rule, Severity: severity, Pos: pos, What: what, Instead: instead}
	if x != nil {
		f.Context, f.Extension = x.context, x.name
	}
	key := fmt.Sprint(f.Pos, f.Rule, f.What)
	switch {
	case slices.Contains(l.opt.Disable, rule) || l.seen[key]:
	case l.silenced(pos, rule):
		l.seen[key] = true
		l.report.Suppressed++
	case len(l.report.Findings) >= maxFindings:
		l.beyond++
	default:
		l.seen[key] = true
		l.report.Findings = append(l.report.Findings, f)
	}
}

// finish sorts the findings and writes their files as seen from the root.
func (l *linter) finish() {
	list := l.report.Findings
	for i := range list {
		if rel, err := filepath.Rel(l.report.Root, list[i].Pos.File); err == nil && filepath.IsLocal(rel) {
			list[i].Pos.File = filepath.ToSlash(rel)
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col),
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.What, b.What))
	})
	if l.beyond > 0 {
		list = append(list, Finding{Rule: "too-many", Severity: Warning, What: fmt.Sprintf("%d more findings", l.beyond), Instead: "mend those that are shown, or silence a rule"})
	}
	if l.unread > 0 {
		list = append(list, Finding{Rule: "too-many", Severity: Warning, What: fmt.Sprintf("%d patterns were not looked at as closely as others: this dialplan's are too large together, or too slow", l.unread), Instead: "check the parts of this tree by themselves"})
	}
	l.report.Findings = list
}

// order is a comment that silences rules.
type order struct {
	line  int // 0 = everywhere in the file
	rules []string
}

// orders reads "signalbox-lint: ignore RULE", which holds for its line and the next, and "ignore-file RULE".
func orders(lines []string) (out []order) {
	for i, line := range lines {
		_, text, ok := strings.Cut(line, "signalbox-lint:")
		if !ok {
			continue
		}
		words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,:\t", r) })
		switch {
		case len(words) < 2:
		case words[0] == "ignore":
			out = append(out, order{i + 1, words[1:]})
		case words[0] == "ignore-file":
			out = append(out, order{0, words[1:]})
		}
	}
	return out
}

// silenced reports whether a comment silences a rule at a place.
func (l *linter) silenced(pos dialplan.Pos, rule string) bool {
	return slices.ContainsFunc(l.orders[pos.File], func(o order) bool {
		return (o.line == 0 || pos.Line == o.line || pos.Line == o.line+1) && slices.Contains(o.rules, rule)
	})
}
