package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/render"
)

type dialplanRenderCmd struct {
	Conf       string   `required:"" help:"FreeSWITCH's conf folder, such as /etc/freeswitch." type:"path"`
	Context    []string `help:"Context whose calls are handed to the sidecar; may be repeated; public when left out."`
	Numbers    string   `help:"Pattern of the numbers that are handed over, such as '^\\+1415\\d{7}$'."`
	Prefix     []string `help:"Or: numbers that begin so; may be repeated."`
	Socket     []string `help:"A sidecar on this machine as HOST:PORT; may be repeated, tried in order; 127.0.0.1:8084 when left out."`
	Config     string   `short:"c" help:"Take the sidecar's address from this configuration file (sidecar.listen)." type:"path"`
	Guard      int      `default:"3" help:"Seconds after which a call is taken back from a sidecar that hangs."`
	FileNumber int      `default:"5" help:"Number in the file's name, which decides its place among yours."`
	With       []string `enum:"last,profile,phones,user,sounds" help:"Also: phones (pilots and *86 for those who dial in context default), last (zz_signalbox.xml, a tone for calls that nobody took), profile (a SIP profile of its own), user (of the Event Socket), sounds (the prompts of conferences)."`
	Try        []string `help:"Number that must come to the sidecar afterwards; may be repeated."`
	DryRun     bool     `help:"Print what would change as a unified diff, change nothing."`
	Undo       bool     `help:"Bring back exactly what the last run changed."`
}

// Help is the example in --help.
func (dialplanRenderCmd) Help() string {
	return `Example:

  signalbox dialplan render --conf /etc/freeswitch --prefix +1415 --dry-run
  signalbox dialplan render --conf /etc/freeswitch --prefix +1415 --with sounds
  signalbox dialplan render --conf /etc/freeswitch --undo

Writes dialplan/signalbox.xml and dialplan/public/05_signalbox.xml, or what the flags ask for; have FreeSWITCH read them with
reloadxml. A file that it did not write, or that was edited since, stays as it is.`
}

// Run renders, or takes back.
func (c *dialplanRenderCmd) Run(ctx context.Context) error {
	if c.Undo {
		return c.undo()
	}
	settings, err := c.settings()
	if err != nil {
		return err
	}
	plan, err := render.NewPlan(c.Conf, settings)
	if err != nil {
		return err
	}
	warnings, err := plan.Check(ctx, c.Try)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	if c.DryRun {
		printDiff(plan.Changes)
		return nil
	}
	if err := plan.Apply(time.Now()); err != nil {
		return err
	}
	printDone(plan.Changes, "written")
	if len(c.Try) > 0 && len(warnings) > 0 {
		return errors.New("the files are written, but see the warnings above; --undo takes them back")
	}
	return nil
}

func (c *dialplanRenderCmd) undo() error {
	changes, err := render.Undo(c.Conf, c.DryRun)
	if err != nil {
		return err
	}
	if c.DryRun {
		printDiff(changes)
		return nil
	}
	printDone(changes, "brought back")
	return nil
}

func (c *dialplanRenderCmd) settings() (render.Settings, error) {
	s := render.Settings{Contexts: c.Context, Numbers: c.Numbers, Prefixes: c.Prefix, Sockets: c.Socket, Guard: c.Guard, File: &c.FileNumber}
	for _, with := range c.With {
		switch with {
		case "last":
			s.Last = true
		case "phones":
			s.Phones = true
		case "profile":
			s.Profile = true
		case "user":
			s.User = true
		case "sounds":
			s.Sounds = true
		}
	}
	if c.Config == "" || len(c.Socket) > 0 {
		return s, nil
	}
	cfg, err := config.Load(c.Config, os.Environ())
	if err != nil {
		return s, err
	}
	host, port, err := net.SplitHostPort(cfg.Sidecar.Listen)
	if err != nil {
		return s, fmt.Errorf("sidecar.listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s.Sockets = []string{net.JoinHostPort(host, port)}
	return s, nil
}

func printDiff(changes []render.Change) {
	for _, change := range changes {
		fmt.Print(render.Diff(change.Path, change.Before, change.After))
	}
	if len(changes) == 0 {
		fmt.Fprintln(os.Stderr, "nothing would change")
	}
}

func printDone(changes []render.Change, did string) {
	if len(changes) == 0 {
		fmt.Println("nothing to change")
		return
	}
	for _, change := range changes {
		what := did
		if change.After == nil {
			what = "removed"
		}
		fmt.Printf("%-12s %s\n", what, change.Path)
	}
	fmt.Println("\nHave FreeSWITCH read it: fs_cli -x reloadxml")
}
