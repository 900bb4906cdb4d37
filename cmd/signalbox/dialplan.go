package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
)

type dialplanCmd struct {
	Trace  dialplanTraceCmd  `cmd:"" help:"Hunt a dialplan for one call and print FreeSWITCH's own lines."`
	Render dialplanRenderCmd `cmd:"" help:"Write our include files into a conf folder for your settings, or take them back."`
	Lint   dialplanLintCmd   `cmd:"" help:"Find faults in a dialplan, each with its line and what to write instead."`
}

// Help is the example in --help.
func (dialplanCmd) Help() string {
	return `Example:

  signalbox dialplan trace --conf /etc/freeswitch --destination +14155550100`
}

type dialplanTraceCmd struct {
	Conf           string            `required:"" help:"One XML file, or a whole conf tree." type:"path"`
	Context        string            `default:"public" help:"Context to hunt in."`
	Destination    string            `required:"" help:"Destination number."`
	CallerIDNumber string            `name:"caller-id-number" help:"Caller's number."`
	CallerIDName   string            `name:"caller-id-name" help:"Caller's name."`
	Var            map[string]string `help:"Channel variable, name=value; may be repeated."`
	Field          map[string]string `help:"Field of the caller's profile (network_addr, ani, rdnis, source, ...), name=value; may be repeated."`
	Assume         map[string]string `help:"Outcome of an application, for example bridge=NO_ANSWER; may be repeated."`
	At             time.Time         `help:"Instant for time conditions, RFC 3339; now when left out."`
	Format         string            `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (dialplanTraceCmd) Help() string {
	return `Example:

  signalbox dialplan trace --conf /etc/freeswitch --destination +14155550100 --caller-id-number +12125550123`
}

// Run prints the hunt.
func (c *dialplanTraceCmd) Run(ctx context.Context) error {
	tree, err := dialplan.Load(c.Conf, dialplan.LoadOptions{Context: c.Context})
	if err != nil {
		return err
	}
	if contexts := tree.Contexts(); !slices.Contains(contexts, c.Context) && !slices.Contains(contexts, "global") {
		return fmt.Errorf("--context %s: not in %s, which has %s", c.Context, c.Conf, strings.Join(contexts, ", "))
	}
	if c.At.IsZero() {
		c.At = time.Now()
	}
	fields := map[string]string{}
	for name, value := range c.Field {
		fields[strings.ToLower(name)] = value
	}
	walk, err := tree.Walk(ctx, &dialplan.Call{
		Context: c.Context, Destination: c.Destination, CallerIDName: c.CallerIDName, CallerIDNumber: c.CallerIDNumber,
		Fields: fields, Vars: dialplan.NewVars(c.Var), Now: c.At,
	}, dialplan.WalkOptions{Assume: c.Assume})
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return walk.WriteJSON(os.Stdout)
	}
	for _, notice := range tree.Notices() {
		fmt.Fprintln(os.Stderr, "note:", notice)
	}
	return walk.WriteText(os.Stdout)
}
