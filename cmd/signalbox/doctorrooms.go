package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/signalbox/signalbox/dialplan"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/doctor"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/treat/conference"
)

// maxGreetings is how many hosts' own recordings are looked for.
const maxGreetings = 200

// conferencesOf is what the conferences of all numbers of all tenants use.
func conferencesOf(ctx context.Context, s store.Rows) (*doctor.Conferences, error) {
	out := &doctor.Conferences{}
	tenants, err := s.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	for _, tenant := range tenants {
		hosts := map[string]bool{}
		err := everyRow(ctx, s, tenant, account.KindNumber, func(row store.Row) {
			if n := row.Entry.(*account.NumberEntry); n.Conference != nil {
				hosts[n.Account] = true
				countConference(out, tenant, n)
			}
		})
		if err == nil && len(hosts) > 0 {
			err = everyRow(ctx, s, tenant, account.KindAccount, func(row store.Row) {
				a := row.Entry.(*account.AccountEntry)
				if language := freeswitchconf.Language(a.Language); hosts[a.ID] && !slices.Contains(out.Languages, language) {
					out.Languages = append(out.Languages, language)
				}
			})
		}
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out.Languages)
	return out, nil
}

// countConference adds what one number uses.
func countConference(out *doctor.Conferences, tenant string, n *account.NumberEntry) {
	c := n.Conference.Conference()
	out.Numbers++
	if c.Greeting == account.GreetingName {
		out.Named++
	}
	if c.Record {
		out.Recorded++
	}
	if c.ForwardDial != "" {
		out.Dialled++
	}
	if file := c.Greeting.File(); file != "" && len(out.Greetings) < maxGreetings {
		out.Greetings = append(out.Greetings, path.Join(conference.Recordings, tenant, n.Account, file))
	}
}

// everyRow goes through all rows of a kind.
func everyRow(ctx context.Context, s store.Rows, tenant string, kind account.Kind, each func(store.Row)) error {
	for after := ""; ; {
		rows, err := s.List(ctx, tenant, kind, store.ListOptions{After: after, Limit: store.MaxList})
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			each(row)
		}
		after = rows[len(rows)-1].Key
	}
}

// conferences warns of what the configuration's conferences lack in a conf tree.
func (c *checkConfigCmd) conferences(ctx context.Context, cfg *config.Config) error {
	if _, err := dialplan.Load(c.Conf, dialplan.LoadOptions{}); err != nil {
		return fmt.Errorf("--conf: %w", err)
	}
	for _, check := range doctor.Offline(ctx, doctor.Options{Config: cfg, Conf: c.Conf}).Checks {
		if check.Status != doctor.Warn && check.Status != doctor.Fail {
			continue
		}
		fmt.Fprintf(os.Stderr, "warning: %s: %s\n  %s:\n", check.Name, check.Detail, check.Where)
		for _, line := range check.Add {
			fmt.Fprintln(os.Stderr, "    "+line)
		}
	}
	return nil
}
