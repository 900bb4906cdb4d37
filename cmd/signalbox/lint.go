package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/dialplan/lint"
	"github.com/signalbox/signalbox/internal/lab"
)

type dialplanLintCmd struct {
	Conf    string   `help:"One XML file, or a whole conf tree." type:"path"`
	Context string   `default:"default" help:"Context of extensions that stand in none, as in a file that is meant to be included."`
	Disable []string `help:"Rule that says nothing; may be repeated."`
	FailOn  string   `enum:"error,warning,note,never" default:"error" help:"Exit with status 1 when something of this severity or a higher one is found: ${enum}."`
	Format  string   `enum:"text,json,sarif" default:"text" help:"Output: ${enum}."`
	Rules   bool     `help:"List the rules instead."`
}

// Help is the example in --help.
func (dialplanLintCmd) Help() string {
	return `Example:

  signalbox dialplan lint --conf /etc/freeswitch
  signalbox dialplan lint --conf /etc/freeswitch --format sarif --fail-on warning > lint.sarif

A comment silences a rule for its own line and the next, or for its whole file:

  <!-- signalbox-lint: ignore toll-fraud -->
  <!-- signalbox-lint: ignore-file variable-misspelt -->`
}

// errFindings is the reason of the exit status; the findings themselves are printed already.
var errFindings = errors.New("the dialplan has faults")

// Run lints.
func (c *dialplanLintCmd) Run() error {
	if c.Rules {
		return c.listRules()
	}
	if c.Conf == "" {
		return errors.New("--conf is missing: name one XML file or a conf tree; see signalbox dialplan lint --help")
	}
	report, err := lint.Check(c.Conf, lint.Options{Disable: c.Disable, Load: dialplan.LoadOptions{Context: c.Context}})
	if errors.Is(err, lint.ErrNoRule) {
		return fmt.Errorf("%w; signalbox dialplan lint --rules lists those that there are", err)
	}
	if err != nil {
		return err
	}
	switch c.Format {
	case "json":
		err = report.WriteJSON(os.Stdout)
	case "sarif":
		err = report.WriteSARIF(os.Stdout)
	default:
		err = report.WriteText(os.Stdout, relative(report.Root), wantsColour(os.Stdout))
	}
	if err != nil {
		return err
	}
	least, ok := map[string]lint.Severity{"error": lint.Error, "warning": lint.Warning, "note": lint.Note}[c.FailOn]
	if n := report.Count(least); ok && n > 0 {
		return fmt.Errorf("%w: %d of severity %s or higher", errFindings, n, c.FailOn)
	}
	return nil
}

func (c *dialplanLintCmd) listRules() error {
	if c.Format == "json" {
		return printJSON(lint.Rules())
	}
	out := newFolded(os.Stdout, lab.TerminalWidth(os.Stdout))
	for _, r := range lint.Rules() {
		_, _ = fmt.Fprintf(out, "%-28s %-8s %s\n", r.ID, r.Severity, r.Title)
	}
	return nil
}

// relative is a folder as seen from the working directory, where that is shorter.
func relative(dir string) string {
	here, err := os.Getwd()
	if err != nil {
		return dir
	}
	if rest, ok := strings.CutPrefix(dir, here+"/"); ok {
		return rest
	}
	return dir
}

// wantsColour reports whether people read a stream and want colour.
func wantsColour(f *os.File) bool { return isTerminal(f) && os.Getenv("NO_COLOR") == "" }

// isTerminal reports whether people read a stream as it is written.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
