package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/bulk"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/store"
)

type provisionCmd struct {
	Apply  provisionApplyCmd  `cmd:"" help:"Make the store hold what a file says, all of it or nothing."`
	Export provisionExportCmd `cmd:"" help:"Print what the store holds, as a file that apply or load takes."`
	Load   provisionLoadCmd   `cmd:"" help:"Load a file of any length line by line; a bad line costs only itself."`

	Reconcile provisionReconcileCmd `cmd:"" help:"Compare profiles, mailboxes and FreeSWITCH's directory, and repair what differs."`
}

// Help is the example in --help.
func (provisionCmd) Help() string {
	return `Example:

  signalbox provision apply examples/provision.yaml --dry-run
  signalbox provision export > backup.yaml
  signalbox provision load subscribers.csv
  signalbox provision reconcile --repair`
}

type provisionApplyCmd struct {
	configFlag
	Tenant string `help:"Whose rows the file has, where it does not say so itself; none = operator."`
	DryRun bool   `help:"Say field by field what would change, and change nothing."`
	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
	File   string `arg:"" help:"YAML file with accounts, numbers, pilots and voicemail systems; - for standard input."`
}

// Help is the example in --help.
func (provisionApplyCmd) Help() string {
	return `Example:

  signalbox provision apply examples/provision.yaml --dry-run --config signalbox.yaml
  signalbox provision apply examples/provision.yaml --config signalbox.yaml

All or nothing: a file with a fault changes nothing, and every fault is named. Applying it again changes nothing either.`
}

// Run applies the file.
func (c *provisionApplyCmd) Run(ctx context.Context) error {
	text, err := readInput(c.File)
	if err != nil {
		return err
	}
	document, err := account.ParseDocument(text)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Tenant != "" && document.Tenant != "" && c.Tenant != document.Tenant {
		return fmt.Errorf("%s is of tenant %s, and --tenant says %s", c.File, document.Tenant, c.Tenant)
	}
	if document.Tenant == "" {
		document.Tenant = c.Tenant
	}
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		if c.DryRun {
			return c.preview(ctx, s, document)
		}
		changes, err := s.Apply(ctx, document, time.Now())
		if err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		if c.Format == "json" {
			plan, err := bulk.Done(changes)
			if err != nil {
				return err
			}
			return printJSON(plan)
		}
		printChanges(os.Stdout, changes)
		return nil
	})
}

func (c *provisionApplyCmd) preview(ctx context.Context, s store.Store, document account.Document) error {
	plan, err := bulk.Preview(ctx, s, document, time.Now())
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Format == "json" {
		return printJSON(plan)
	}
	printDifferences(os.Stdout, plan)
	return nil
}

func printChanges(w io.Writer, changes store.Changes) {
	for _, kind := range []struct {
		mark  string
		lines []string
	}{{"+", changes.Added}, {"~", changes.Changed}, {"-", changes.Removed}} {
		for _, line := range kind.lines {
			_, _ = fmt.Fprintln(w, kind.mark, line)
		}
	}
	if changes.None() {
		_, _ = fmt.Fprintln(w, "no change")
	}
}

func printDifferences(w io.Writer, plan bulk.Plan) {
	for _, kind := range []struct {
		mark string
		rows []bulk.Difference
	}{{"+", plan.Added}, {"~", plan.Changed}, {"-", plan.Removed}} {
		for _, row := range kind.rows {
			_, _ = fmt.Fprintln(w, kind.mark, row.Line)
			for _, f := range row.Fields {
				switch {
				case f.Before == nil:
					_, _ = fmt.Fprintf(w, "    + %s: %v\n", f.Name, f.After)
				case f.After == nil:
					_, _ = fmt.Fprintf(w, "    - %s: %v\n", f.Name, f.Before)
				default:
					_, _ = fmt.Fprintf(w, "    ~ %s: %v -> %v\n", f.Name, f.Before, f.After)
				}
			}
		}
	}
	_, _ = fmt.Fprintf(w, "%d to add, %d to change, %d to remove; nothing was written\n", len(plan.Added), len(plan.Changed), len(plan.Removed))
}

type provisionExportCmd struct {
	configFlag
	Tenant  string `default:"operator" help:"Whose rows."`
	All     bool   `help:"The rows of all tenants, in jsonl."`
	Format  string `enum:"yaml,jsonl" default:"yaml" help:"Output: ${enum}. yaml is for apply, jsonl for load."`
	Secrets bool   `help:"With the hashes of phones' passwords: whoever has the file can register as they do."`
}

// Help is the example in --help.
func (provisionExportCmd) Help() string {
	return `Example:

  signalbox provision export --config signalbox.yaml > backup.yaml
  signalbox provision export --all --format jsonl > backup.jsonl

What is printed is all that a tenant has, but with --secrets alone the hashes of phones' passwords: applied to an empty store it
makes that the same, applied again it changes nothing, for phones keep the hash they have when none is given. With
a line "prune: true" added to the file, apply removes what the file does not have. jsonl has no bound of rows.`
}

// Run prints the store's content as it is read.
func (c *provisionExportCmd) Run(ctx context.Context) error {
	if c.All && c.Format != "jsonl" {
		return fmt.Errorf("--all: a YAML file is one tenant's; write --format jsonl")
	}
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		tenants, err := s.Tenants(ctx)
		if err != nil {
			return err
		}
		if !c.All && !slices.Contains(tenants, c.Tenant) { // a backup of nobody is not taken for one
			fmt.Fprintf(os.Stderr, "note: tenant %s never had a row; those that had: %s\n", c.Tenant, cmp.Or(strings.Join(tenants, ", "), "none"))
		}
		if c.Format == "yaml" {
			return bulk.WriteYAML(ctx, s, c.Tenant, c.Secrets, os.Stdout)
		}
		if !c.All {
			tenants = []string{c.Tenant}
		}
		return bulk.WriteJSONL(ctx, s, tenants, c.Secrets, os.Stdout)
	})
}
