package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/doctor"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/sipproxy"
)

type doctorCmd struct {
	Config       string   `short:"c" env:"SIGNALBOX_CONFIG" help:"Configuration file: look at each of its nodes, its ports and its voicemail systems; signalbox.yaml when that is there." type:"path"`
	Freeswitch   string   `help:"Instead: the Event Socket of one FreeSWITCH, HOST:PORT."`
	User         string   `help:"Log in to it as user@domain."`
	PasswordFile string   `help:"File with the password for it; or SIGNALBOX_DOCTOR_PASSWORD." type:"path"`
	Conf         string   `help:"Its conf folder, if it is on this machine." type:"path"`
	Number       []string `help:"Number that must come to the sidecar; may be repeated; those of the store when left out."`
	Format       string   `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (doctorCmd) Help() string {
	return `Example:

  signalbox doctor --config /etc/signalbox/signalbox.yaml --conf /etc/freeswitch
  signalbox doctor --freeswitch 127.0.0.1:8021 --password-file /run/secrets/esl

It only asks, and changes nothing. The exit status is 1 when a check fails; a warning alone is none.`
}

// Run looks at each FreeSWITCH.
func (c *doctorCmd) Run(ctx context.Context) error {
	targets, err := c.targets(ctx)
	if err != nil {
		return err
	}
	var reports []*doctor.Report
	failed := 0
	for _, o := range targets {
		r := doctor.Examine(ctx, o)
		reports = append(reports, r)
		failed += r.Count(doctor.Fail)
		if c.Format == "text" {
			if err := r.WriteText(os.Stdout, wantsColour(os.Stdout)); err != nil {
				return err
			}
		}
	}
	if c.Format == "json" {
		if err := printJSON(reports); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%s failed; the lines to add stand beside", counted(failed, "check"))
	}
	return nil
}

// targets are what to look at, by the flags.
func (c *doctorCmd) targets(ctx context.Context) ([]doctor.Options, error) {
	if c.Config == "" && c.Freeswitch == "" {
		if _, err := os.Stat("signalbox.yaml"); err != nil {
			return nil, errors.New("name a configuration with --config FILE, or one FreeSWITCH with --freeswitch HOST:PORT")
		}
		c.Config = "signalbox.yaml"
	}
	base := doctor.Options{Conf: c.Conf, Numbers: c.Number, Probe: probe}
	if c.Config != "" {
		cfg, err := config.Load(c.Config, os.Environ())
		if err != nil {
			return nil, err
		}
		base.Config = cfg
		if err := c.fromStore(ctx, cfg, &base); err != nil {
			return nil, err
		}
	}
	if c.Freeswitch != "" {
		if _, _, err := net.SplitHostPort(c.Freeswitch); err != nil {
			return nil, fmt.Errorf("--freeswitch %s: write HOST:PORT of its Event Socket, such as 127.0.0.1:8021", c.Freeswitch)
		}
		password, err := c.password()
		if err != nil {
			return nil, err
		}
		base.Target = doctor.Target{Addr: c.Freeswitch, User: c.User, Password: password}
		return []doctor.Options{base}, nil
	}
	var out []doctor.Options
	for _, n := range base.Config.Nodes {
		if n.EventSocket.Addr == "" {
			continue
		}
		o := base
		o.Target = doctor.Target{Addr: n.EventSocket.Addr, User: n.EventSocket.User, Password: n.EventSocket.Password.Reveal(), SIP: n.SIP.AddrPort}
		out = append(out, o)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no node has an event_socket.addr, so no FreeSWITCH can be asked", c.Config)
	}
	return out, nil
}

// password reads the password for --freeswitch.
func (c *doctorCmd) password() (string, error) {
	if c.PasswordFile == "" {
		if p := os.Getenv("SIGNALBOX_DOCTOR_PASSWORD"); p != "" {
			return p, nil
		}
		return "", errors.New("--freeswitch needs --password-file FILE or SIGNALBOX_DOCTOR_PASSWORD")
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// maxNumbers is how many numbers of the store are tried.
const maxNumbers = 5

// fromStore adds voicemail systems and numbers of the store. A store that is not there yet has none, and an older one stays as it is:
// whoever opened it would bring it to the version of this program, beside an older one that may run.
func (c *doctorCmd) fromStore(ctx context.Context, cfg *config.Config, o *doctor.Options) error {
	if app.NoStoreYet(cfg) {
		return nil
	}
	if have, newest, err := app.StoreVersions(ctx, cfg); err != nil {
		return err
	} else if have < newest {
		fmt.Fprintf(os.Stderr, "NOT looked at: numbers and voicemail systems: %s has version %d, this program wants %d: run signalbox migrate, or start the sidecar\n", app.StoreName(cfg), have, newest)
		return nil
	}
	s, err := app.OpenStore(ctx, cfg)
	if err != nil {
		return err
	}
	systems, err := s.List(ctx, account.OperatorTenant, account.KindVoicemailSystem, store.ListOptions{Limit: store.MaxList})
	numbers, err2 := s.List(ctx, account.OperatorTenant, account.KindNumber, store.ListOptions{Limit: maxNumbers})
	used, err3 := conferencesOf(ctx, s)
	if err = errors.Join(err, err2, err3, s.Shut()); err != nil {
		return err
	}
	o.Conferences = used
	for _, row := range systems {
		v := row.Entry.(*account.SystemEntry)
		o.Systems = append(o.Systems, doctor.System{FQDN: v.FQDN, Transport: v.Transport})
	}
	if len(c.Number) == 0 {
		for _, row := range numbers {
			o.Numbers = append(o.Numbers, row.Key)
		}
	}
	resolver, err := resolve.New(app.ResolveOptions(cfg, nil))
	if err != nil {
		return err
	}
	o.Lookup = func(ctx context.Context, fqdn, transport string) ([]string, error) {
		targets, err := resolver.Lookup(ctx, fqdn, transport)
		var out []string
		for _, t := range targets {
			out = append(out, t.Addr.String())
		}
		return out, err
	}
	return nil
}

// probe asks with SIP whether somebody is there.
func probe(ctx context.Context, network string, addr netip.AddrPort) error {
	return sipproxy.Probe(ctx, sipproxy.Hop{Addr: addr, Transport: network})
}
