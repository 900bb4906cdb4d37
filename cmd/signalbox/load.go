package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/bulk"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/store"
)

type provisionLoadCmd struct {
	configFlag
	Tenant  string `help:"Whose rows the lines are, where they do not say so themselves; none = operator."`
	Restart bool   `help:"Begin with the first line, although an earlier load of the file was interrupted."`
	Format  string `enum:"text,json" default:"text" help:"Summary: ${enum}."`
	File    string `arg:"" help:"File with one subscriber a line (.csv), or one row a line (.jsonl, .ndjson)."`
}

// Help is the example in --help.
func (provisionLoadCmd) Help() string {
	return `Example:

  signalbox provision load subscribers.csv --config signalbox.yaml

with subscribers.csv:

  account,name,number,devices,pilot
  ada,Ada Lovelace,+14155550100,1000@pbx.example.net,+18056377243

Columns: ` + strings.Join(bulk.Columns, ", ") + `. docs/provisioning.md says what each takes.

Lines that cannot be taken go to subscribers.rejected.csv with the reason; correct them there and load that file. After an
interruption, kill -9 included, the same command goes on where it was; loading a file twice changes nothing.`
}

// errRejected ends a load with lines that were not taken.
var errRejected = errors.New("not all lines were taken")

// Run loads the file.
func (c *provisionLoadCmd) Run(ctx context.Context) error {
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		options := bulk.Options{File: c.File, Rows: s, Tenant: c.Tenant, Restart: c.Restart}
		if isTerminal(os.Stderr) {
			bar := progressBar{w: os.Stderr}
			options.Progress = bar.show
			defer bar.clear()
		}
		summary, err := bulk.Load(ctx, options)
		if err != nil {
			return unfinished(err, summary)
		}
		if c.Format == "json" {
			err = printJSON(summary)
		} else {
			printSummary(os.Stdout, summary)
		}
		if err == nil && summary.Rejected > 0 {
			err = fmt.Errorf("%w: %d of %d are in %s, with the reasons", errRejected, summary.Rejected, summary.Lines, summary.Rejects)
		}
		return err
	})
}

// unfinished says how a load that ended early goes on.
func unfinished(err error, s bulk.Summary) error {
	switch {
	case s.Lines == 0:
		return err
	case errors.Is(err, context.Canceled): // by a signal, and yet no success
		return fmt.Errorf("interrupted: %s lines are loaded; run the same command again for the rest", thousands(s.Lines))
	}
	return fmt.Errorf("%w; %s lines are loaded; run the same command again for the rest", err, thousands(s.Lines))
}

func printSummary(w io.Writer, s bulk.Summary) {
	if s.Resumed > 0 {
		_, _ = fmt.Fprintf(w, "went on behind line %s, where the load was interrupted\n", thousands(s.Resumed))
	}
	_, _ = fmt.Fprintf(w, "%s lines: %s done, %s rejected; %s at %s lines/s\n", thousands(s.Lines), thousands(s.Done), thousands(s.Rejected),
		s.Took.Round(time.Millisecond), thousands(int(s.Rate)))
}

// progressBar shows how far a load is, in one line of a terminal.
type progressBar struct {
	w     io.Writer
	shown time.Time
}

const barWidth = 24

func (b *progressBar) show(p bulk.Progress) {
	if now := time.Now(); now.Sub(b.shown) >= 100*time.Millisecond {
		b.shown = now
		_, _ = fmt.Fprint(b.w, "\r\x1b[K"+barLine(p))
	}
}

func (b *progressBar) clear() { _, _ = fmt.Fprint(b.w, "\r\x1b[K") }

func barLine(p bulk.Progress) string {
	full := barWidth
	if p.Total > 0 {
		full = min(barWidth*p.Lines/p.Total, barWidth)
	}
	line := fmt.Sprintf("[%s%s] %s of %s lines, %s/s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		thousands(p.Lines), thousands(p.Total), thousands(int(p.Rate)))
	if p.Left > 0 {
		line += ", " + max(p.Left.Round(time.Second), time.Second).String() + " left"
	}
	if p.Rejected > 0 {
		line += ", " + thousands(p.Rejected) + " rejected"
	}
	return line
}

// thousands writes 99963 as 99,963.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
