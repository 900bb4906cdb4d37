package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// LabCmd plays calls from end to end.
type LabCmd struct {
	Story []string `help:"Play only this story; may be given several times." placeholder:"NAME"`
	List  bool     `help:"List the stories."`

	Freeswitch     string         `help:"Play on the FreeSWITCH whose Event Socket is here, instead of the simulator. It must run on this host and have the files of freeswitch-conf." placeholder:"HOST:PORT"`
	Password       string         `help:"Password of its Event Socket." default:"ClueCon" env:"SIGNALBOX_LAB_PASSWORD"`
	External       netip.AddrPort `help:"Its carrier-side profile." default:"127.0.0.1:5080" placeholder:"IP:PORT"`
	Internal       netip.AddrPort `help:"Its profile where phones register." default:"127.0.0.1:5060" placeholder:"IP:PORT"`
	UserPassword   string         `help:"Password of its users 1001 to 1019." default:"1234"`
	SidecarListen  string         `help:"Where its dialplan hands calls to." default:"127.0.0.1:8084" placeholder:"HOST:PORT"`
	FreeswitchConf string         `help:"Its conf folder: the lab puts 50_signalbox_lab.xml into dialplan/public for the stories with an operator's extension, and takes it away again." type:"existingdir" placeholder:"DIR"`

	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
	Keep   bool   `help:"Leave the temp folder with configuration, store and logs behind."`
}

// Help is the example in --help.
func (LabCmd) Help() string {
	return `Examples:

  signalbox lab
  signalbox lab --story no-answer-to-voicemail --story sidecar-frozen
  signalbox lab --format json | jq '.[] | {story, ok}'
  signalbox lab --freeswitch 127.0.0.1:8021 --password ClueCon --freeswitch-conf /etc/freeswitch

Nothing needs to be installed and nothing leaves this machine: simulator, proxy, sidecar, callers, phones and voicemail
systems talk real SIP and RTP over loopback. The exit status is 1 if any story failed. NO_COLOR is honoured.`
}

// errStories means that a story failed; the report has said which and why.
var errStories = errors.New("a story did not come true")

// Run plays the stories.
func (c *LabCmd) Run(ctx context.Context) error {
	stories, err := lab.Select(c.Story)
	if err != nil {
		return err
	}
	if c.List {
		out := newFolded(os.Stdout, lab.TerminalWidth(os.Stdout))
		for _, s := range stories {
			_, _ = fmt.Fprintf(out, "%-40s %s\n", s.Name, s.Title)
		}
		return nil
	}
	began := time.Now()
	options := lab.RigOptions{Keep: c.Keep}
	if c.Freeswitch != "" {
		if stories, err = c.existing(&options, stories); err != nil {
			return err
		}
	}
	rig, err := lab.NewRig(ctx, options, stories)
	if err != nil {
		return err
	}
	defer rig.Close()
	if c.Keep {
		fmt.Fprintln(os.Stderr, "everything of this lab stays in", rig.Dir())
	}
	return c.play(ctx, rig, stories, began)
}

// existing has the lab play on a FreeSWITCH that runs already.
func (c *LabCmd) existing(o *lab.RigOptions, stories []lab.Story) ([]lab.Story, error) {
	if _, _, err := net.SplitHostPort(c.Freeswitch); err != nil {
		return nil, fmt.Errorf("--freeswitch: %w: write HOST:PORT of its Event Socket", err)
	}
	o.Sidecar = c.SidecarListen
	o.StartSwitch = lab.Existing{
		EventSocket: c.Freeswitch, Password: c.Password, External: c.External, Internal: c.Internal,
		UserPassword: c.UserPassword, Conf: c.FreeswitchConf,
	}.Start
	if c.FreeswitchConf != "" {
		return stories, nil
	}
	kept, left := lab.WithoutOperator(stories)
	if len(left) > 0 {
		fmt.Fprintf(os.Stderr, "NOT PLAYED, because they need an operator's extension in the dialplan (give --freeswitch-conf): %s\n", strings.Join(left, ", "))
	}
	if len(kept) == 0 {
		return nil, errors.New("no story is left to play")
	}
	return kept, nil
}

func (c *LabCmd) play(ctx context.Context, rig *lab.Rig, stories []lab.Story, began time.Time) error {
	var results []lab.Result
	if c.Format == "json" {
		results = lab.Run(ctx, rig, stories, lab.JSON{})
		if err := lab.WriteJSON(os.Stdout, results); err != nil {
			return err
		}
	} else {
		width := lab.TerminalWidth(os.Stdout)
		colour := width > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		results = lab.Run(ctx, rig, stories, lab.NewText(os.Stdout, stories, colour, width))
		lab.Summary(os.Stdout, results, time.Since(began), colour)
	}
	for _, r := range results {
		if r.Err != nil {
			return errStories
		}
	}
	if unknown := rig.Unknown(); len(unknown) > 0 {
		return fmt.Errorf("the simulator was asked for what it does not know:\n%s", strings.Join(unknown, "\n"))
	}
	return ctx.Err()
}
