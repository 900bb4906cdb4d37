package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/signalbox/signalbox/internal/bench/eventrate"
)

// goalRatio is how many times eslgo's rate we want to have.
const goalRatio = 5

var errGoal = errors.New("a goal was missed")

func loadFlags(f *flag.FlagSet) *eventrate.Load {
	l := &eventrate.Load{Seed: 1}
	f.IntVar(&l.Events, "events", 20000, "events in one round")
	f.IntVar(&l.PerReply, "per-reply", 20, "events between two replies to api commands")
	f.IntVar(&l.Burst, "burst", 8, "events that the switch has ready at one time")
	f.IntVar(&l.Calls, "calls", 200, "concurrent calls that the events are of")
	f.BoolVar(&l.JSON, "json", false, "events as JSON; eslgo does not decode it, so esl.Conn runs alone")
	return l
}

// events compares the two connections.
func events(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("events", flag.ContinueOnError)
	load := loadFlags(f)
	rounds := f.Int("rounds", 5, "rounds of each client with each consumer, in alternation")
	callers := f.Int("callers", 16, "goroutines that send api commands at the same time")
	profile := f.String("cpuprofile", "", "write a profile of the rounds of esl.Conn to this `file`")
	if err := f.Parse(args); err != nil {
		return err
	}
	addr, end, err := startFeeder(ctx, args)
	if err != nil {
		return err
	}
	defer end()
	clients := []string{eventrate.Ours, eventrate.Theirs}
	if load.JSON || *profile != "" {
		clients = clients[:1]
	}
	if *profile != "" {
		stop, err := startProfile(*profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	var results []eventrate.Result
	for _, consumer := range eventrate.Consumers() {
		pair := make([]eventrate.Result, len(clients))
		for round := range *rounds {
			for i, client := range clients {
				fmt.Fprintf(os.Stderr, "\r%-70s", fmt.Sprintf("%s, round %d of %d: %s", consumer.Name, round+1, *rounds, client))
				r, err := eventrate.Run(ctx, client, addr, *load, *callers, consumer)
				if err != nil {
					return err
				}
				pair[i].Consumer = consumer.Name
				pair[i].Rounds = append(pair[i].Rounds, r)
			}
		}
		results = append(results, pair...)
	}
	fmt.Fprintf(os.Stderr, "\r%70s\r", "")
	return verdict(load, results, *callers, *rounds)
}

func verdict(load *eventrate.Load, results []eventrate.Result, callers, rounds int) error {
	about, err := eventrate.Describe(*load)
	if err != nil {
		return err
	}
	fmt.Printf("Event Socket: %d events a round (%s) of %d concurrent calls, a reply after each %d, %d callers; median of %d rounds, counts of all\n",
		load.Events, about, load.Calls, load.PerReply, callers, rounds)
	lowest, err := eventrate.Table(os.Stdout, results)
	if err != nil {
		return err
	}
	if wrong := eventrate.Wrong(results); wrong != "" {
		return fmt.Errorf("%w: %s", errGoal, wrong)
	}
	if lowest == 0 {
		return nil
	}
	fmt.Printf("lowest ratio %.1f (goal %d)\n", lowest, goalRatio)
	if lowest < goalRatio {
		return fmt.Errorf("%w: %.1f times eslgo's rate, want %d", errGoal, lowest, goalRatio)
	}
	return nil
}

// feed is the process that plays FreeSWITCH. Its first line of output is its address.
func feed(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("feed", flag.ContinueOnError)
	load := loadFlags(f)
	for _, of := range []string{"rounds", "callers"} {
		f.Int(of, 0, "of events, not used here")
	}
	f.String("cpuprofile", "", "of events, not used here")
	if err := f.Parse(args); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return eventrate.Feed(ctx, l, *load)
}

// startFeeder starts this program again as the feeder, with the same flags. end ends it by its own process id.
func startFeeder(ctx context.Context, args []string) (addr string, end func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return "", nil, fmt.Errorf("finding our own program: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"feed"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("starting the feeder: %w", err)
	}
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end()
		return "", nil, fmt.Errorf("the feeder tells no address: %w", err)
	}
	return strings.TrimSpace(line), end, nil
}
