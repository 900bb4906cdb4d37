package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/api"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/store"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a token for the API and print it, once."`
	List   tokenListCmd   `cmd:"" help:"List the tokens of the API; the tokens themselves are kept nowhere."`
	Revoke tokenRevokeCmd `cmd:"" help:"Make a token count no more, at once."`
}

// Help is the example in --help.
func (tokenCmd) Help() string {
	return `Example:

  signalbox token create --tenant acme --name CRM --scopes provisioning,accounts:read
  signalbox token list
  signalbox token revoke 0123456789ab`
}

type tokenCreateCmd struct {
	configFlag
	Tenant  string        `required:"" help:"Whose rows it reaches; operator for your own."`
	Name    string        `help:"Who has it, for people."`
	Scopes  []string      `required:"" help:"What it may do, of accounts:read, accounts:write, pilots:read, pilots:write, provisioning, records:read, and admin (all of these, for every tenant; of operator alone)."`
	Numbers []string      `help:"Beginnings of the numbers it may write, such as +1415555, and of accounts that have no others; none = all."`
	Account string        `help:"The one account that it reaches, with its conferences, contacts and schedules; none = all of the tenant."`
	Expires time.Duration `default:"8760h" help:"For how long it counts; 0 = for ever."`
	Format  string        `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (tokenCreateCmd) Help() string {
	return `Example:

  signalbox token create --tenant acme --name CRM --scopes provisioning,accounts:read --numbers +1415555

The token is printed on standard output and kept nowhere: the store has its SHA-256 alone. pilots:write lets a tenant say which
hosts FreeSWITCH calls for its voicemail, and a token without --numbers lets it take any number that nobody has: give both to
whom you trust with it.`
}

// Run makes a token.
func (c *tokenCreateCmd) Run(ctx context.Context) error {
	if c.Expires < 0 {
		return fmt.Errorf("--expires %s: write a duration such as 720h, or 0", c.Expires)
	}
	now := time.Now()
	t := store.Token{Tenant: c.Tenant, Name: c.Name, Scopes: c.Scopes, Numbers: c.Numbers, Account: c.Account, Created: now}
	if c.Expires > 0 {
		t.Expires = now.Add(c.Expires)
	}
	text, t, err := api.NewToken(t)
	if err != nil {
		return err
	}
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		if err := s.AddToken(ctx, t); err != nil {
			return err
		}
		if c.Format == "json" {
			return printJSON(struct {
				store.Token
				Text string `json:"token"`
			}{t, text})
		}
		fmt.Fprintf(os.Stderr, "token %s of tenant %s; it is shown this once:\n", t.ID, t.Tenant)
		fmt.Println(text)
		return nil
	})
}

type tokenListCmd struct {
	configFlag
	Tenant string `help:"Those of this tenant alone."`
	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (tokenListCmd) Help() string { return "Example:\n\n  signalbox token list --tenant acme" }

// Run lists tokens.
func (c *tokenListCmd) Run(ctx context.Context) error {
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		all := []store.Token{}
		for after := ""; ; after = all[len(all)-1].ID {
			page, err := s.Tokens(ctx, c.Tenant, after, store.MaxList)
			if err != nil {
				return err
			}
			all = append(all, page...)
			if len(page) < store.MaxList {
				break
			}
		}
		if c.Format == "json" {
			return printJSON(all)
		}
		if len(all) == 0 {
			fmt.Fprintln(os.Stderr, "no tokens yet; signalbox token create makes one")
		}
		for _, t := range all {
			fmt.Printf("%s  %-16s %-20s %s", t.ID, t.Tenant, t.Name, strings.Join(t.Scopes, ","))
			if t.Account != "" {
				fmt.Printf("  account %s", t.Account)
			}
			if len(t.Numbers) > 0 {
				fmt.Printf("  numbers %s", strings.Join(t.Numbers, ","))
			}
			fmt.Printf("  %s\n", tokenState(t, time.Now()))
		}
		return nil
	})
}

func tokenState(t store.Token, now time.Time) string {
	used := "never used"
	if !t.Used.IsZero() {
		used = "used " + t.Used.UTC().Format(time.RFC3339)
	}
	switch {
	case !t.Revoked.IsZero():
		return "revoked " + t.Revoked.UTC().Format(time.RFC3339) + ", " + used
	case t.Expires.IsZero():
		return "does not expire, " + used
	case !now.Before(t.Expires):
		return "expired " + t.Expires.UTC().Format(time.RFC3339) + ", " + used
	}
	return "until " + t.Expires.UTC().Format(time.RFC3339) + ", " + used
}

type tokenRevokeCmd struct {
	configFlag
	ID string `arg:"" help:"The token's public part, as token list shows it."`
}

// Help is the example in --help.
func (tokenRevokeCmd) Help() string { return "Example:\n\n  signalbox token revoke 0123456789ab" }

// Run revokes a token.
func (c *tokenRevokeCmd) Run(ctx context.Context) error {
	return withStore(ctx, c.configFlag, func(_ *config.Config, s store.Store) error {
		if err := s.RevokeToken(ctx, c.ID, time.Now()); err != nil {
			return fmt.Errorf("%w (signalbox token list shows those that there are)", err)
		}
		fmt.Printf("token %s counts no more\n", c.ID)
		return nil
	})
}
