// Command signalbox is a sidecar and screening SIP proxy for FreeSWITCH. It turns flags, environment and signals into
// what internal/app and its neighbours do, and holds no logic of its own. `signalbox --help` lists its subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the whole command line.
type cli struct {
	Serve       serveCmd       `cmd:"" help:"Run the proxy, the sidecar, or both."`
	Health      healthCmd      `cmd:"" help:"Ask a running Signalbox whether it can take calls."`
	Lab         LabCmd         `cmd:"" help:"Play calls from end to end on this machine and tell each as a story."`
	Explain     explainCmd     `cmd:"" help:"Say what would happen to a call, step by step with reasons, without placing it."`
	Screen      screenCmd      `cmd:"" help:"Read an INVITE from standard input and print the verdict on its caller."`
	Dialplan    dialplanCmd    `cmd:"" help:"FreeSWITCH's dialplan, hunted offline."`
	Doctor      doctorCmd      `cmd:"" help:"Look at a running FreeSWITCH, say what is missing there and print the lines to add."`
	Provision   provisionCmd   `cmd:"" help:"Read and write accounts, numbers, pilots and voicemail systems."`
	Contacts    contactsCmd    `cmd:"" help:"Address books of accounts."`
	Records     recordsCmd     `cmd:"" help:"Print the newest call records."`
	Token       tokenCmd       `cmd:"" help:"Tokens of the API."`
	CheckConfig checkConfigCmd `cmd:"" help:"Check a configuration file and print what counts."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the store to the version of this program, or back."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
	Simulator   SimulatorCmd   `cmd:"" hidden:"" help:"A FreeSWITCH for tests and the lab."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command, err := newParser(ctx).Parse(os.Args[1:])
	if err != nil {
		wrongUsage(err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
	if err := command.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "signalbox:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// newParser is the command line's parser. The context is what commands run under.
func newParser(ctx context.Context) *kong.Kong {
	parser, err := kong.New(&cli{},
		kong.Name("signalbox"),
		kong.Description("A sidecar and screening proxy for FreeSWITCH: screens callers before any media exists and treats calls that the subscriber's phone did not take."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": versionText()},
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err) // the structs above are wrong; no operator can cause it
	}
	return parser
}

// wrongUsage says what is wrong with a command line and where the right one is described. Without any command it lists
// them. Nothing goes to standard output, which a script may be reading.
func wrongUsage(err error) {
	help := "signalbox --help"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if selected := parse.Context.Selected(); selected != nil {
			help = selected.FullPath() + " --help"
		}
		if len(os.Args) == 1 {
			parse.Context.Stdout = os.Stderr
			_ = parse.Context.PrintUsage(false)
		}
	}
	fmt.Fprintf(os.Stderr, "signalbox: %v; see %s\n", err, help)
}
