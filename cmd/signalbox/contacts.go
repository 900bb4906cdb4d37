package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/book"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

type contactsCmd struct {
	Import contactsImportCmd `cmd:"" help:"Bring an address book (vCard, jCard, CSV) into the contacts of an account."`
	Export contactsExportCmd `cmd:"" help:"Print the contacts of an account as vCard or CSV."`
	Forget contactsForgetCmd `cmd:"" help:"Erase a person from the contacts, scheduled conferences and call records of an account."`

	Leftovers contactsLeftoversCmd `cmd:"" help:"List files with voices or names of people who were removed that are still on a FreeSWITCH's disk."`
}

// Help is the example in --help.
func (contactsCmd) Help() string {
	return `Example:

  signalbox contacts import ada examples/contacts.vcf --dry-run
  signalbox contacts export ada > ada.vcf`
}

type contactsImportCmd struct {
	configFlag
	Tenant  string `default:"operator" help:"Whose account it is."`
	Type    string `enum:"auto,vcard,jcard,csv" default:"auto" help:"How the file is written: ${enum}. auto goes by its name."`
	Country string `help:"Country (ISO 3166, such as GB) of national numbers; none = that of the account's first number, else region of the configuration."`
	Charset string `help:"Character set of a file that is not UTF-8 and has no byte order mark, such as windows-1252."`
	Replace bool   `help:"Remove contacts of earlier imports that the file does not have."`
	DryRun  bool   `help:"Say what would change, and change nothing."`
	Format  string `enum:"text,json" default:"text" help:"Output: ${enum}."`
	Account string `arg:"" help:"Whose contacts they become."`
	File    string `arg:"" help:"The address book; - for standard input."`
}

// Help is the example in --help.
func (contactsImportCmd) Help() string {
	return `Example:

  signalbox contacts import ada examples/contacts.vcf --dry-run --config signalbox.yaml
  signalbox contacts import ada examples/contacts.vcf --config signalbox.yaml
  signalbox contacts import ada outlook.csv --charset windows-1252 --country GB

The file is vCard 2.1, 3.0 or 4.0, jCard, or CSV as Google and Outlook export it. What cannot be read is told with its line and costs
nothing else; the exit status is 1 then. Importing a file again changes nothing: docs/contacts.md says how people are told apart.`
}

// contactsSummary is the output in JSON.
type contactsSummary struct {
	Entries  int                    `json:"entries"`
	Merged   int                    `json:"merged"`
	Silent   int                    `json:"without_number"`
	Rejected int                    `json:"rejected"`
	Added    []account.ContactEntry `json:"added"`
	Changed  []account.ContactEntry `json:"changed"`
	Removed  []account.ContactEntry `json:"removed"`
	Same     int                    `json:"same"`
	DryRun   bool                   `json:"dry_run,omitempty"`
	Problems []book.Problem         `json:"problems"`
	More     int                    `json:"more_problems,omitempty"`
}

// Run imports the file.
func (c *contactsImportCmd) Run(ctx context.Context) error {
	return withStore(ctx, c.configFlag, func(cfg *config.Config, s store.Store) error {
		read, err := c.read(ctx, cfg, s)
		if err != nil {
			return err
		}
		have, err := book.Of(ctx, s, c.Tenant, c.Account)
		if err != nil {
			return noAccount(err, c.Tenant)
		}
		began, plan := time.Now(), book.Compare(have, read.Contacts, c.Replace)
		if !c.DryRun {
			var bar progressBar
			var done func(made, all int)
			if bar.w = os.Stderr; isTerminal(os.Stderr) {
				done = bar.contacts
			}
			if err := book.Import(ctx, s, c.Tenant, plan, len(have), began, done); err != nil {
				return err
			}
			if done != nil {
				bar.clear()
			}
		}
		if c.Format == "json" {
			err = printJSON(c.summary(read, plan))
		} else {
			c.print(os.Stdout, read, plan, time.Since(began))
			c.complain(os.Stderr, read)
		}
		if n := len(read.Problems) + read.More; err == nil && n > 0 {
			err = fmt.Errorf("%s: %d problems; the rest was taken", c.File, n)
		}
		return err
	})
}

// read reads the file in the country of the account.
func (c *contactsImportCmd) read(ctx context.Context, cfg *config.Config, s store.Store) (book.Result, error) {
	opt := book.Options{Account: c.Account, Country: c.Country, Charset: c.Charset}
	if opt.Country == "" {
		var err error
		if opt.Country, err = book.Country(ctx, s, c.Tenant, c.Account); err != nil {
			return book.Result{}, err
		}
	}
	if opt.Country == "" {
		opt.Country = cfg.Region
	}
	in := os.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return book.Result{}, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	r := bufio.NewReader(in)
	format := book.Format(c.Type)
	if c.Type == "auto" {
		begin, _ := r.Peek(64)
		var err error
		if format, err = book.FormatOf(c.File, begin); err != nil {
			return book.Result{}, err
		}
	}
	read, err := book.Read(r, format, opt)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.File, err)
	}
	return read, err
}

func (c *contactsImportCmd) summary(read book.Result, plan book.Plan) contactsSummary {
	out := contactsSummary{
		Entries: read.Entries, Merged: read.Merged, Silent: read.Silent, Rejected: read.Rejected, Same: plan.Same, DryRun: c.DryRun,
		Added: append([]account.ContactEntry{}, plan.Added...), Changed: []account.ContactEntry{}, Removed: append([]account.ContactEntry{}, plan.Removed...),
		Problems: append([]book.Problem{}, read.Problems...), More: read.More,
	}
	for _, change := range plan.Changed {
		out.Changed = append(out.Changed, change.After)
	}
	return out
}

// print tells what changed: each contact when nothing was written yet, else how many.
func (c *contactsImportCmd) print(w io.Writer, read book.Result, plan book.Plan, took time.Duration) {
	if c.DryRun {
		for _, e := range plan.Added {
			_, _ = fmt.Fprintf(w, "+ %s\n", contactLine(e))
		}
		for _, change := range plan.Changed {
			_, _ = fmt.Fprintf(w, "~ %s\n    was %s\n", contactLine(change.After), contactLine(change.Before))
		}
		for _, e := range plan.Removed {
			_, _ = fmt.Fprintf(w, "- %s\n", contactLine(e))
		}
	}
	_, _ = fmt.Fprintf(w, "%s entries: %s merged with others, %s without a number, %s rejected\n", thousands(read.Entries), thousands(read.Merged), thousands(read.Silent), thousands(read.Rejected))
	counts := fmt.Sprintf("%s added, %s changed, %s removed, %s as they were", thousands(len(plan.Added)), thousands(len(plan.Changed)), thousands(len(plan.Removed)), thousands(plan.Same))
	if c.DryRun {
		_, _ = fmt.Fprintf(w, "contacts: %s; nothing was written\n", counts)
		return
	}
	_, _ = fmt.Fprintf(w, "contacts: %s; %s\n", counts, took.Round(time.Millisecond))
}

func (c *contactsImportCmd) complain(w io.Writer, read book.Result) {
	for _, p := range read.Problems {
		_, _ = fmt.Fprintf(w, "%s:%d: %s\n", c.File, p.Line, p.Text)
	}
	if read.More > 0 {
		_, _ = fmt.Fprintf(w, "%s: and %d problems more\n", c.File, read.More)
	}
}

func contactLine(c account.ContactEntry) string {
	line := c.Name
	if c.Label != "" {
		line += " (" + c.Label + ")"
	}
	line += ": " + strings.Join(c.Numbers, " ")
	if c.MayJoin != account.MayJoinInherit {
		line += ", may join: " + string(c.MayJoin)
	}
	if c.Contact().Shared {
		line += ", shared"
	}
	return line
}

func (b *progressBar) contacts(made, all int) {
	if now := time.Now(); now.Sub(b.shown) >= 100*time.Millisecond {
		b.shown = now
		full := barWidth * made / max(all, 1)
		_, _ = fmt.Fprintf(b.w, "\r\x1b[K[%s%s] %s of %s contacts", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), thousands(made), thousands(all))
	}
}

type contactsExportCmd struct {
	configFlag
	Tenant  string `default:"operator" help:"Whose account it is."`
	Type    string `enum:"vcard,csv" default:"vcard" help:"Output: ${enum}. vcard is of version 3.0, which phones and mail programs read."`
	Account string `arg:"" help:"Whose contacts."`
}

// Help is the example in --help.
func (contactsExportCmd) Help() string {
	return `Example:

  signalbox contacts export ada --config signalbox.yaml > ada.vcf
  signalbox contacts export ada --type csv > ada.csv

What is printed is all that import takes: imported again it changes nothing.`
}

// Run prints the contacts.
func (c *contactsExportCmd) Run(ctx context.Context) error {
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		list, err := book.Of(ctx, s, c.Tenant, c.Account)
		if err != nil {
			return noAccount(err, c.Tenant)
		}
		slices.SortStableFunc(list, func(a, b account.ContactEntry) int { return strings.Compare(a.Name, b.Name) })
		return book.Write(os.Stdout, book.Format(c.Type), list)
	})
}

type contactsForgetCmd struct {
	configFlag
	Tenant      string   `default:"operator" help:"Whose account it is."`
	Number      []string `help:"Number of the person; all contacts with it go. May be given more than once."`
	Contact     string   `help:"ID of the person's contact; numbers that others share stay with them."`
	WithNumbers bool     `help:"Erase the numbers from call records too, not only the name."`
	DryRun      bool     `help:"Count what would be erased, and erase nothing."`
	Format      string   `enum:"text,json" default:"text" help:"Output: ${enum}."`
	Account     string   `arg:"" help:"Whose contacts and records."`
}

// Help is the example in --help.
func (contactsForgetCmd) Help() string {
	return `Example:

  signalbox contacts forget ada --number +14155550101 --dry-run --config signalbox.yaml
  signalbox contacts forget ada --contact u-4fbe89 --with-numbers

What was exported before (files of records, address books) is not reached.`
}

// Run erases the person.
func (c *contactsForgetCmd) Run(ctx context.Context) error {
	if len(c.Number) == 0 && c.Contact == "" {
		return errors.New("whom? Say --number or --contact")
	}
	return withStore(ctx, c.configFlag, func(cfg *config.Config, s store.Store) error {
		country, err := book.Country(ctx, s, c.Tenant, c.Account)
		if err != nil {
			return err
		}
		p := store.Person{Contact: c.Contact, WithNumbers: c.WithNumbers}
		for _, raw := range c.Number {
			n, err := tel.ParsePresented(raw, cmp.Or(country, cfg.Region))
			if err != nil {
				return fmt.Errorf("--number: %w", err)
			}
			p.Numbers = append(p.Numbers, n)
		}
		erased, err := s.Forget(ctx, c.Tenant, c.Account, p, time.Now(), c.DryRun)
		if err != nil {
			return noAccount(err, c.Tenant)
		}
		if c.Format == "json" {
			return printJSON(erased)
		}
		verb := "erased"
		if c.DryRun {
			verb = "would erase"
		}
		fmt.Printf("%s: %d contacts, the name in %d call records, %d participants and %d decisions, the number on the lists of %d scheduled conferences, %d texts\n",
			verb, erased.Contacts, erased.Records, erased.Participants, erased.Decisions, erased.Schedules, erased.Messages)
		if erased.Files > 0 && !c.DryRun {
			fmt.Printf("%d files on FreeSWITCH's disk are removed within a minute by the sidecar that is linked to it; signalbox contacts leftovers lists those that are still there\n", erased.Files)
		}
		return nil
	})
}

type contactsLeftoversCmd struct {
	configFlag
	Drop   string `help:"Stop looking after the files of this node, which is gone for good." placeholder:"NODE"`
	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (contactsLeftoversCmd) Help() string {
	return `Example:

  signalbox contacts leftovers --config signalbox.yaml
  signalbox contacts leftovers --drop fs-old --config signalbox.yaml

The sidecar that is linked to a node removes such files and tries again until they are gone. Files of
a node that is in no configuration any more have to be removed by hand. The exit status is 1 while there are some.`
}

// Run lists the files.
func (c *contactsLeftoversCmd) Run(ctx context.Context) error {
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		list, err := s.UnwantedVoiceFiles(ctx, c.Drop, time.Now().AddDate(1, 0, 0), time.Time{}, store.MaxList)
		if err != nil {
			return err
		}
		if c.Drop != "" {
			for _, f := range list {
				if err := s.VoiceFileGone(ctx, f.Node, f.File, time.Time{}); err != nil {
					return err
				}
			}
			fmt.Printf("%d files of node %s are not looked after any more: remove them by hand, if they are anywhere\n", len(list), c.Drop)
			return nil
		}
		if err := c.print(list); err != nil {
			return err
		}
		if len(list) > 0 {
			return fmt.Errorf("%s still there", counted(len(list), "file"))
		}
		return nil
	})
}

func (c *contactsLeftoversCmd) print(list []store.VoiceFile) error {
	if c.Format == "json" {
		return printJSON(append([]store.VoiceFile{}, list...)) // [], not null
	}
	if len(list) == 0 {
		fmt.Println("no such file is known")
	}
	for _, f := range list {
		fmt.Printf("%s  %s  %s  since %s, tried %s  %s\n", f.Node, f.Kind, f.File, f.Unwanted.Format(time.RFC3339), counted(f.Tries, "time"), f.Note)
	}
	return nil
}
