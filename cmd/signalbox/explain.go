package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat"
)

type explainCmd struct {
	configFlag
	From      string   `required:"" help:"Calling number, or anonymous."`
	To        string   `required:"" help:"Called number, or what a phone dialled, such as *86."`
	Line      string   `placeholder:"USER@DOMAIN" help:"The call comes from this registered phone, in the context of phones: it reaches pilots alone."`
	Name      string   `help:"Caller's display name."`
	Diversion []string `sep:"none" help:"A Diversion header's value, newest first; may be repeated."`
	Spoofed   float64  `placeholder:"0..1" help:"How likely the proxy says that the caller's number is spoofed."`
	Format    string   `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (explainCmd) Help() string {
	return `Example:

  signalbox explain --from +12125550123 --to +14155550100
  signalbox explain --from +14155550100 --line 1000@pbx.example.net --to '*86'

The plan is made by the very function that the sidecar uses, from the same store; nothing is called.`
}

// explanation is what explain prints as JSON.
type explanation struct {
	Arrival  export.Arrival `json:"arrival"`
	Plan     export.Plan    `json:"plan"`
	Branches []treat.Branch `json:"branches"`
}

// Run prints the plan.
func (c *explainCmd) Run(ctx context.Context) error {
	return withStore(ctx, c.configFlag, func(cfg *config.Config, s store.Store) error {
		arrival, err := c.arrival(cfg.Region)
		if err != nil {
			return err
		}
		plan, err := planOf(ctx, cfg, s, arrival)
		if err != nil {
			return err
		}
		if c.Format == "json" {
			return printJSON(explanation{export.ArrivalOf(arrival), export.PlanOf(plan), treat.Branches(plan)})
		}
		out := newFolded(os.Stdout, lab.TerminalWidth(os.Stdout))
		_, _ = fmt.Fprintf(out, "A call from %s", c.From)
		if arrival.From.Number == "" && !arrival.From.Withheld {
			_, _ = fmt.Fprint(out, ", which is no telephone number,")
		}
		_, _ = fmt.Fprintf(out, " to %s", cmp.Or(string(arrival.To), c.To))
		if n := tel.Diverted(arrival.Diversions); n > 0 {
			_, _ = fmt.Fprintf(out, ", diverted %s before,", counted(n, "time"))
		}
		_, _ = fmt.Fprint(out, " would go like this:\n\n")
		return treat.WriteText(out, plan)
	})
}

func (c *explainCmd) arrival(region string) (call.Arrival, error) {
	user, host, phone := strings.Cut(c.Line, "@")
	if c.Line != "" && (!phone || user == "" || host == "") {
		return call.Arrival{}, fmt.Errorf("--line %s: write it as 1000@pbx.example.net, as the phone registers", c.Line)
	}
	to, err := tel.ParsePresented(c.To, region)
	if err != nil && !phone {
		return call.Arrival{}, fmt.Errorf("--to: %w; write it as +14155550100", err)
	}
	if c.Spoofed < 0 || c.Spoofed > 1 {
		return call.Arrival{}, fmt.Errorf("--spoofed %v: write 0 to 1", c.Spoofed)
	}
	for _, d := range c.Diversion {
		if len(tel.ParseDiversions([]string{d}, region)) == 0 {
			return call.Arrival{}, fmt.Errorf("--diversion %q: write it as '<sip:+14155550100@pbx.example.net>;reason=user-busy'", d)
		}
	}
	from, _ := tel.ParsePresented(c.From, region)
	return call.Arrival{
		Dialled: c.To, To: to, At: time.Now(), Evidence: call.EvidenceToken, Verdict: call.Verdict{Likelihood: c.Spoofed, Model: "explain"},
		From:       tel.Identity{Name: c.Name, User: c.From, Number: from, Withheld: c.From == "anonymous"},
		Diversions: tel.ParseDiversions(c.Diversion, region), PilotsOnly: phone, Line: account.Device{User: user, Host: host},
	}, nil
}

type screenCmd struct {
	configFlag
	Trunk  string `help:"Judge as if this trunk of the configuration had sent the INVITE."`
	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (screenCmd) Help() string {
	return `Example:

  signalbox screen --trunk carrier < invite.txt`
}

// Run reads an INVITE and prints the verdict.
func (c *screenCmd) Run() error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if c.Trunk != "" && !knownTrunk(cfg, c.Trunk) {
		return fmt.Errorf("--trunk %s: the configuration has no such trunk", c.Trunk)
	}
	raw, err := readInput("-")
	if err != nil {
		return err
	}
	edge, err := app.NewEdge(cfg, nil)
	if err != nil {
		return err
	}
	report, err := edge.Judge(raw, c.Trunk)
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	if c.Format == "json" {
		return printJSON(report)
	}
	return report.WriteText(newFolded(os.Stdout, lab.TerminalWidth(os.Stdout)))
}

func knownTrunk(cfg *config.Config, name string) bool {
	for _, t := range cfg.Proxy.Trunks {
		if t.Name == name {
			return true
		}
	}
	return false
}

type versionCmd struct{}

// Help is the example in --help.
func (versionCmd) Help() string { return "Example:\n\n  signalbox version" }

// Run prints the version.
func (versionCmd) Run() error {
	fmt.Println(versionText())
	return nil
}

// versionText is the version of the program, of its source and of Go.
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "signalbox unknown"
	}
	text := "signalbox " + info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += " " + s.Value
		}
	}
	return text + " " + info.GoVersion
}
