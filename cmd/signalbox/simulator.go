package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fssim"
)

// SimulatorCmd runs a simulated FreeSWITCH.
type SimulatorCmd struct {
	Conf        string   `help:"FreeSWITCH conf folder, or one dialplan file." required:"" type:"path"`
	EventSocket string   `help:"Inbound Event Socket." default:"127.0.0.1:0" placeholder:"IP:PORT"`
	Password    string   `help:"Password of the Event Socket." default:"ClueCon" env:"SIGNALBOX_SIMULATOR_PASSWORD"`
	External    string   `help:"Carrier-side SIP profile, UDP and TCP." default:"127.0.0.1:0" placeholder:"IP:PORT"`
	Internal    string   `help:"SIP profile where phones register with a password." default:"127.0.0.1:0" placeholder:"IP:PORT"`
	Domain      string   `help:"Domain of the directory." default:"127.0.0.1"`
	User        []string `help:"User of the directory; may be given several times." placeholder:"NAME:PASSWORD"`
	Reliable    bool     `help:"Send provisional responses of the carrier-side profile reliably to who supports that, as enable-100rel does."`
	Mischief    uint64   `help:"Seed of a bad day: late replies, swapped events, a lagging channel list. 0 = a good day." placeholder:"SEED"`
	LogLevel    string   `help:"${enum}." enum:"debug,info,warn,error" default:"info"`
}

// Help is the example in --help.
func (SimulatorCmd) Help() string {
	return `Example:

  signalbox simulator --conf ./conf --event-socket 127.0.0.1:8021 --external 127.0.0.1:5080 --user 1001:1234

A FreeSWITCH for tests and the lab: real SIP, a byte-true Event Socket, and the voices of conferences. When it is ready it prints its
addresses as one line of JSON: {"event_socket":...,"external":...,"internal":...}. What it is asked and does not know it
refuses as FreeSWITCH would, and logs it as a warning; when it is stopped after that its exit status is 1.`
}

// ready is the line that says where the simulator listens.
type ready struct {
	EventSocket netip.AddrPort `json:"event_socket"`
	External    netip.AddrPort `json:"external"`
	Internal    netip.AddrPort `json:"internal"`
}

// Run runs the simulator until a signal.
func (c *SimulatorCmd) Run(ctx context.Context) error {
	log, err := app.NewLogger(config.Log{Level: c.LogLevel, Format: "console"})
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	o := fssim.Options{
		Conf: c.Conf, EventSocket: c.EventSocket, Password: c.Password, External: c.External, Internal: c.Internal,
		Digest: true, Globals: map[string]string{"domain": c.Domain}, Logger: log,
		Reliable: c.Reliable,
	}
	for _, u := range c.User {
		name, password, ok := strings.Cut(u, ":")
		if !ok || name == "" || password == "" {
			return fmt.Errorf("--user %q: write NAME:PASSWORD", name)
		}
		o.Users = append(o.Users, fssim.User{Name: name, Domain: c.Domain, Password: password})
	}
	if c.Mischief != 0 {
		o.Mischief = fssim.BadDay(c.Mischief)
	}
	sw, err := fssim.New(o)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready{sw.EventSocketAddr(), sw.ExternalAddr(), sw.InternalAddr()}); err != nil {
		return err
	}
	err = sw.Run(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if unknown := sw.Unknown(); len(unknown) > 0 {
		log.Warn("asked for what the simulator does not know", zap.Strings("what", unknown))
		err = errors.Join(err, fmt.Errorf("the simulator was asked for what it does not know: %s", strings.Join(unknown, ", ")))
	}
	return err
}
