// Command bench measures Signalbox beside what it is compared with: each figure as a ratio within one run, never alone.
// It is a tool of its developers ("make bench", "make load") and no part of the product. Every subcommand prints a
// table and what it measured; the exit status is 1 when a goal was missed. What is measured stands in the packages below
// this one; here are only the flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `Usage: go run ./internal/bench COMMAND [flags]

  events   events decoded and delivered per CPU second, beside eslgo
  attack   what calm callers notice while others attack the proxy
  proxies  what a call costs in the proxy, beside Kamailio
  store    look-ups of profiles with up to a million users, in SQLite and PostgreSQL
  rooms    conferences of many hosts at once: what the sidecar takes beside FreeSWITCH, how soon one is in
  load     calls that go to voicemail, many a second, for long: what grows, what is slow

Each has --help. Example: go run ./internal/bench events --rounds 5
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	commands := map[string]func(context.Context, []string) error{"events": events, "feed": feed, "load": loads, "proxies": proxyCosts, "attack": attacks, "store": storeCosts, "rooms": roomLoads}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(1)
	}
	err := commands[os.Args[1]](ctx, os.Args[2:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}
