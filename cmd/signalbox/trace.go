package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/dialplan/trace"
	"github.com/signalbox/signalbox/internal/tel"
)

type dialplanTraceCmd struct {
	Conf           string            `help:"One XML file, or a whole conf tree." type:"path"`
	Context        string            `help:"Context to hunt in; default public, or the context of the dump."`
	Destination    string            `help:"Destination number."`
	CallerIDNumber string            `name:"caller-id-number" help:"Caller's number."`
	CallerIDName   string            `name:"caller-id-name" help:"Caller's name."`
	Var            map[string]string `mapsep:"none" help:"Channel variable, name=value; may be repeated."`
	Field          map[string]string `mapsep:"none" help:"Field of the caller's profile (network_addr, ani, rdnis, source, ...), name=value; may be repeated."`
	FromDump       string            `help:"Take the call from what uuid_dump printed, as text or JSON; - for standard input. Other flags go before it."`
	Invite         string            `help:"Take the call from an INVITE; - for standard input. Other flags go before it."`
	Global         map[string]string `mapsep:"none" help:"Global variable that FreeSWITCH sets itself, such as local_ip_v4; name=value; may be repeated."`
	Known          map[string]string `mapsep:"none" help:"Answer of a function that cannot be evaluated offline: 'sofia_contact(1000@example.test)=sofia/internal/1000'; may be repeated."`
	Assume         map[string]string `mapsep:"none" help:"Outcome of an application: bridge=NO_ANSWER; of its first and later runs: bridge=NO_ANSWER,SUCCESS; may be repeated."`
	At             instant           `placeholder:"TIME" help:"Instant for time conditions, RFC 3339; now when left out."`
	Zone           string            `help:"The switch's own time zone, such as Europe/Berlin; default the offset of --at, or this machine's."`
	Diff           string            `help:"Another tree: show how it treats the same call. --diff A B compares A with B." type:"path"`
	CSV            string            `name:"csv" help:"File of test calls with what is expected of them; exit status 1 when one fails." type:"path"`
	Config         string            `short:"c" help:"Signalbox's configuration: also print what it would plan for a call that reaches its socket." type:"path"`
	Format         string            `enum:"text,json" default:"text" help:"Output: ${enum}."`
	With           string            `arg:"" optional:"" help:"The tree to compare with, behind --diff." type:"path"`
}

// Help is the example in --help.
func (dialplanTraceCmd) Help() string {
	return `Example:

  signalbox dialplan trace --conf /etc/freeswitch --destination +14155550100 --caller-id-number +12125550123
  signalbox dialplan trace --conf /etc/freeswitch --context default --destination 1000 --assume bridge=NO_ANSWER --at 2026-12-24T18:00:00+01:00
  fs_cli -x 'uuid_dump UUID' | signalbox dialplan trace --conf /etc/freeswitch --from-dump -
  signalbox dialplan trace --conf /etc/freeswitch --invite invite.txt --field network_addr=203.0.113.2
  signalbox dialplan trace --diff /etc/freeswitch new-conf --destination +14155550100
  signalbox dialplan trace --conf /etc/freeswitch --csv calls.csv

Nothing is called and nothing is executed: applications run on paper. What was assumed, and what could not be told, is said.
With --diff the exit status is 1 when the trees differ, as diff's is.`
}

// Reasons of the exit status; what they are about is printed already.
var (
	errDiffer  = errors.New("the trees treat the call differently")
	errCallsOf = errors.New("test calls failed")
)

// Run prints the hunt.
func (c *dialplanTraceCmd) Run(ctx context.Context) error {
	if c.With != "" && c.Diff == "" {
		return fmt.Errorf("%s: a tree to compare with stands behind --diff; the tree itself is named by --conf", c.With)
	}
	if c.Format == "json" && (c.Diff != "" || c.Config != "") {
		return errors.New("--format json prints one trace: it goes neither with --diff nor with --config")
	}
	if c.CSV != "" && (c.Diff != "" || c.Config != "" || c.FromDump != "" || c.Invite != "") {
		return errors.New("--csv names the calls itself: it goes with --conf, --context and what holds for all calls")
	}
	conf := c.Conf
	if conf == "" {
		conf = c.Diff
	}
	if conf == "" {
		return errors.New("--conf is missing: name one XML file or a conf tree; see signalbox dialplan trace --help")
	}
	if err := knownOutcomes(c.Assume); err != nil {
		return fmt.Errorf("--assume %w", err)
	}
	tree, err := c.load(conf)
	if err != nil {
		return err
	}
	if c.CSV != "" {
		return c.suite(ctx, tree)
	}
	walk, err := c.walk(ctx, tree, conf)
	if err != nil {
		return err
	}
	if c.Diff != "" {
		return c.diff(ctx, walk, conf)
	}
	if c.Format == "json" {
		return walk.WriteJSON(os.Stdout)
	}
	for _, notice := range tree.Notices() {
		fmt.Fprintln(os.Stderr, "note:", notice)
	}
	if missing := tree.Missing(); len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "note: empty here, for a running FreeSWITCH alone knows them: %s; say those that matter by --global NAME=VALUE\n", strings.Join(missing, ", "))
	}
	if err := trace.WriteText(os.Stdout, walk, options(conf)); err != nil {
		return err
	}
	return c.plans(ctx, walk)
}

// knownOutcomes refuses an outcome that no application can have: a misspelt one would be followed like a true one.
func knownOutcomes(assume map[string]string) error {
	for _, app := range slices.Sorted(maps.Keys(assume)) {
		for outcome := range strings.SplitSeq(assume[app], ",") {
			outcome = strings.TrimSpace(outcome)
			if _, ok := tel.CauseByName(outcome); !ok && outcome != "" {
				return fmt.Errorf("%s: FreeSWITCH has no outcome %q; write SUCCESS or one of its causes: %s", app, outcome, strings.Join(tel.CauseNames(), ", "))
			}
		}
	}
	return nil
}

func (c *dialplanTraceCmd) load(conf string) (*dialplan.Tree, error) {
	return dialplan.Load(conf, dialplan.LoadOptions{Context: c.context(), Globals: c.Global})
}

func (c *dialplanTraceCmd) context() string {
	if c.Context == "" {
		return "public"
	}
	return c.Context
}

// walk walks the call in one tree. Each walk has a call of its own.
func (c *dialplanTraceCmd) walk(ctx context.Context, tree *dialplan.Tree, conf string) (*dialplan.Walk, error) {
	call, err := c.call()
	if err != nil {
		return nil, err
	}
	known := func(name string) bool {
		return strings.EqualFold(name, call.Context) || strings.EqualFold(name, "global")
	}
	if contexts := tree.Contexts(); !slices.ContainsFunc(contexts, known) {
		return nil, fmt.Errorf("--context %s: not in %s, which has %s", call.Context, conf, strings.Join(contexts, ", "))
	}
	return tree.Walk(ctx, call, dialplan.WalkOptions{Assume: c.Assume})
}

// call is the call to hunt for: a dump or an INVITE, and over it what the flags say.
func (c *dialplanTraceCmd) call() (*dialplan.Call, error) {
	call, err := c.input()
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		flag string
		to   *string
	}{{c.Context, &call.Context}, {c.Destination, &call.Destination}, {c.CallerIDNumber, &call.CallerIDNumber}, {c.CallerIDName, &call.CallerIDName}} {
		if f.flag != "" {
			*f.to = f.flag
		}
	}
	if call.Context == "" {
		call.Context = c.context()
	}
	if call.Destination == "" {
		return nil, errors.New("--destination is missing: name the number that is dialled")
	}
	for name, value := range c.Field {
		if !dialplan.IsField(name) {
			return nil, fmt.Errorf("--field %s: FreeSWITCH knows no such field; a variable is set by --var %s=VALUE", name, name)
		}
		call.Fields[strings.ToLower(name)] = value
	}
	for name, value := range c.Var {
		call.Vars.Set(name, value)
	}
	call.Known = c.Known
	call.Now, err = c.now()
	return call, err
}

func (c *dialplanTraceCmd) input() (*dialplan.Call, error) {
	name, read := c.FromDump, dialplan.ReadDump
	if c.Invite != "" {
		if c.FromDump != "" {
			return nil, errors.New("--from-dump and --invite: a call comes from one of them")
		}
		name, read = c.Invite, trace.ReadInvite
	}
	if name == "" {
		return &dialplan.Call{Fields: map[string]string{}, Vars: dialplan.NewVars(nil)}, nil
	}
	if name == "-" && c.Diff != "" {
		return nil, errors.New("--diff reads the call twice: put it into a file")
	}
	call, err := fromFile(name, read)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return call, nil
}

func fromFile(name string, read func(io.Reader) (*dialplan.Call, error)) (*dialplan.Call, error) {
	if name == "-" {
		return read(os.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f)
}

// now is the instant of the call in the switch's own zone.
func (c *dialplanTraceCmd) now() (time.Time, error) {
	at := c.At.Time
	if at.IsZero() {
		at = time.Now()
	}
	if c.Zone == "" {
		return at, nil
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return at, fmt.Errorf("--zone %s: %w; names are like Europe/Berlin", c.Zone, err)
	}
	return at.In(zone), nil
}

func options(conf string) trace.Options {
	root := conf
	if info, err := os.Stat(conf); err == nil && !info.IsDir() {
		root = filepath.Dir(conf)
	}
	return trace.Options{Colour: wantsColour(os.Stdout), Root: root}
}

// diff walks the same call in the other tree.
func (c *dialplanTraceCmd) diff(ctx context.Context, walk *dialplan.Walk, conf string) error {
	other := c.Diff
	if c.With != "" {
		if c.Conf != "" {
			return errors.New("three trees: --conf A --diff B, or --diff A B")
		}
		other = c.With
	}
	if other == conf {
		return errors.New("--diff: name two trees, --diff A B, or one and --conf")
	}
	tree, err := c.load(other)
	if err != nil {
		return err
	}
	otherWalk, err := c.walk(ctx, tree, other)
	if err != nil {
		return err
	}
	differ, err := trace.Diff(os.Stdout, walk, otherWalk, relative(conf), relative(other), options(conf), options(other))
	if err == nil && differ {
		err = errDiffer
	}
	return err
}

// suite runs the test calls of a file.
func (c *dialplanTraceCmd) suite(ctx context.Context, tree *dialplan.Tree) error {
	f, err := os.Open(c.CSV)
	if err != nil {
		return err
	}
	defer f.Close()
	tests, err := trace.ReadSuite(f, c.context())
	if err != nil {
		return fmt.Errorf("%s: %w", c.CSV, err)
	}
	for i := range tests {
		tests[i].Vars = under(tests[i].Vars, c.Var)
		tests[i].Fields = under(tests[i].Fields, c.Field)
		tests[i].Known = under(tests[i].Known, c.Known)
	}
	for _, test := range tests {
		if err := knownOutcomes(test.Assume); err != nil {
			return fmt.Errorf("%s: line %d: assume:%w", c.CSV, test.Line, err)
		}
	}
	now, err := c.now()
	if err != nil {
		return err
	}
	results, err := trace.Run(ctx, tree, tests, c.Assume, now)
	if err != nil {
		return err
	}
	failed := 0
	if c.Format == "json" {
		for _, r := range results {
			if !r.Passed {
				failed++
			}
		}
		err = printJSON(results)
	} else {
		failed, err = trace.WriteResults(os.Stdout, relative(c.CSV), results, trace.Options{Colour: wantsColour(os.Stdout)})
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d %w", failed, len(results), errCallsOf)
	}
	return err
}

// under adds to what a test says what the flags say for all.
func under(own, all map[string]string) map[string]string {
	out := maps.Clone(all)
	if out == nil {
		return own
	}
	maps.Copy(out, own)
	return out
}
