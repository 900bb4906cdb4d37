package main

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
