package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/store"
)

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// withStore opens the store of a configuration for one command.
func withStore(ctx context.Context, f configFlag, do func(*config.Config, store.Store) error) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	var have, newest int64
	if !app.NoStoreYet(cfg) {
		if have, newest, err = app.StoreVersions(ctx, cfg); err != nil {
			return err
		}
	}
	s, err := app.OpenStore(ctx, cfg)
	if err != nil {
		return err
	}
	if have > 0 && have < newest {
		fmt.Fprintf(os.Stderr, "%s went from version %d to version %d, that of this program; an older one will refuse it\n", app.StoreName(cfg), have, newest)
	}
	return errors.Join(do(cfg, s), s.Shut())
}

type recordsCmd struct {
	configFlag
	Limit  int    `default:"20" help:"How many, newest first, 1 to 10000."`
	Format string `enum:"text,json,jsonl" default:"text" help:"Output: ${enum}. jsonl is that of docs/records.md: finished calls, oldest first."`
}

// Help is the example in --help.
func (recordsCmd) Help() string {
	return "Example:\n\n  signalbox records --limit 5 --format json\n  signalbox records --limit 10000 --format jsonl > calls.jsonl"
}

// Run prints call records.
func (c *recordsCmd) Run(ctx context.Context) error {
	if c.Limit < 1 || c.Limit > store.MaxRecords {
		return fmt.Errorf("--limit %d: write 1 to %d", c.Limit, store.MaxRecords)
	}
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		records, err := s.Records(ctx, c.Limit)
		if err != nil {
			return err
		}
		if c.Format == "jsonl" {
			return printLines(os.Stdout, records)
		}
		if c.Format == "json" {
			return printJSON(export.StoredList(records))
		}
		if len(records) == 0 {
			fmt.Fprintln(os.Stderr, "no call records yet")
		}
		for _, r := range records {
			printRecord(os.Stdout, r)
		}
		return nil
	})
}

// printLines prints the finished ones of records, which come newest first, as they are exported.
func printLines(w io.Writer, records []call.Record) error {
	for _, r := range slices.Backward(records) {
		if r.Open() {
			continue
		}
		line, err := export.Line(r)
		if err != nil {
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func printRecord(w io.Writer, r call.Record) {
	end := "still open"
	if !r.Open() {
		end = fmt.Sprintf("%s after %s", r.Result, r.Ended.Sub(r.Started).Round(10*time.Millisecond))
	}
	_, _ = fmt.Fprintf(w, "%s  %s -> %s  %s  %s\n", r.Started.UTC().Format(time.RFC3339), r.Arrival.From.User, r.Arrival.To, end, r.Cause)
	for _, step := range r.Steps {
		_, _ = fmt.Fprintf(w, "    %-9s %-15s %s\n", step.Kind, step.Result, step.Note)
		for _, a := range step.Attempts {
			_, _ = fmt.Fprintf(w, "        %-50s %-15s %s %s\n", a.Target, a.Result, a.Disposition, a.Note)
		}
	}
	if r.Note != "" {
		_, _ = fmt.Fprintf(w, "    %s\n", r.Note)
	}
}

// maxInput bounds what is read from a file or standard input, in bytes.
const maxInput = 64 << 20

func readInput(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, maxInput))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxInput))
}
