package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
)

type provisionReconcileCmd struct {
	configFlag
	Repair bool   `help:"Make mailboxes be as the profiles want them; those that nobody reaches are closed, and deleted after the retention."`
	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (provisionReconcileCmd) Help() string {
	return `Example:

  signalbox provision reconcile --config signalbox.yaml
  signalbox provision reconcile --repair --config signalbox.yaml

Compared are the mailboxes that the numbers' profiles want at the voicemail systems of voicemail.mailboxes, those that the systems
list, and, where a node has an event_socket, FreeSWITCH's directory. It may run beside a running Signalbox. The exit status is 1 when
something differs that was not repaired, or a system could not be asked.`
}

// The reasons of the exit status; what differs, or was not looked at, is printed already.
var (
	errDisagree  = errors.New("profiles and mailboxes disagree")
	errNotLooked = errors.New("not everything could be looked at: what could not, and why, is printed")
)

// Run reconciles.
func (c *provisionReconcileCmd) Run(ctx context.Context) error {
	return withStore(ctx, c.configFlag, func(cfg *config.Config, s store.Store) error {
		if len(cfg.Voicemail.Mailboxes) == 0 {
			fmt.Fprintln(os.Stderr, "no voicemail system is told of its mailboxes (voicemail.mailboxes): only the directory can be asked")
		}
		all := []provision.Difference{}
		opt := provision.ReconcileOptions{Repair: c.Repair, Each: func(d provision.Difference) {
			if c.Format == "json" {
				all = append(all, d)
				return
			}
			clearLine()
			printDifference(os.Stdout, d, c.Repair)
		}}
		var shown time.Time
		opt.Progress = func(looked int) {
			if now := time.Now(); isTerminal(os.Stderr) && now.Sub(shown) > 100*time.Millisecond {
				shown = now
				clearLine()
				fmt.Fprintf(os.Stderr, "%s looked at", thousands(looked))
			}
		}
		found, err := app.Reconcile(ctx, cfg, s, opt, zap.NewNop())
		clearLine()
		if err != nil {
			return err
		}
		if c.Format == "json" {
			err = printJSON(struct {
				provision.Reconciliation
				All []provision.Difference `json:"all"`
			}{found, all})
		} else {
			printReconciliation(os.Stdout, found)
		}
		switch {
		case err != nil:
			return err
		case found.Left() > 0:
			return errDisagree
		case len(found.NotLooked) > 0:
			return errNotLooked
		}
		return nil
	})
}

// clearLine takes the progress off a terminal.
func clearLine() {
	if isTerminal(os.Stderr) {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

func printDifference(w io.Writer, d provision.Difference, repair bool) {
	what := d.FQDN + " mailbox " + d.Mailbox
	if d.FQDN == "" {
		what = "number " + d.Number
	}
	owner := ""
	if d.User != "" {
		owner = fmt.Sprintf(" (%s, account %s)", d.Tenant, d.User)
	}
	_, _ = fmt.Fprintf(w, "%-24s %s%s\n%24s %s\n", d.Kind, what, owner, "", d.Says)
	switch {
	case d.Repaired:
		_, _ = fmt.Fprintf(w, "%24s repaired\n", "")
	case repair:
		_, _ = fmt.Fprintf(w, "%24s NOT repaired: %s\n", "", d.Problem)
	}
}

func printReconciliation(w io.Writer, r provision.Reconciliation) {
	for _, problem := range r.NotLooked {
		_, _ = fmt.Fprintln(w, "NOT looked at:", problem)
	}
	_, _ = fmt.Fprintf(w, "%s numbers with voicemail, %s mailboxes, %s phones: ", thousands(r.Numbers), thousands(r.Mailboxes), thousands(r.Phones))
	switch left := r.Left(); {
	case left == 0 && r.Repaired == 0:
		_, _ = fmt.Fprintln(w, "nothing differs")
	case r.Repaired == 0:
		_, _ = fmt.Fprintf(w, "%s differences; --repair repairs those that are ours\n", thousands(left))
	default:
		_, _ = fmt.Fprintf(w, "%s differences repaired, %s left\n", thousands(r.Repaired), thousands(left))
	}
}
