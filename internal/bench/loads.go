package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/signalbox/signalbox/internal/bench/load"
	"github.com/signalbox/signalbox/internal/bench/sipp"
)

// loads plays many calls a second.
func loads(ctx context.Context, args []string) error {
	o := load.Options{Progress: os.Stderr}
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&o.Program, "program", "bin/signalbox", "the signalbox `binary`")
	f.StringVar(&o.FreeSWITCH, "freeswitch", "", "a freeswitch `binary` with its vanilla configuration beside it; without it the simulator is the switch")
	f.IntVar(&o.Rate, "rate", 50, "calls a second")
	f.DurationVar(&o.Duration, "duration", time.Minute, "for how long")
	f.DurationVar(&o.Talk, "talk", 600*time.Millisecond, "how long each caller talks")
	f.BoolVar(&o.Voice, "voice", false, "callers send voice packets while they talk")
	f.DurationVar(&o.Greeting, "greeting", 0, "with -voice: how long the voicemail system speaks when it has answered, in whole seconds")
	f.IntVar(&o.Unanswered, "unanswered", 20, "percent of the phones that ring until they are given up; the others refuse")
	f.IntVar(&o.Subscribers, "subscribers", 500, "numbers that are called in turn")
	f.BoolVar(&o.Keep, "keep", false, "leave the temp folders with configuration, store and logs behind")
	if err := f.Parse(args); err != nil {
		return err
	}
	r, err := load.Run(ctx, o)
	if errors.Is(err, sipp.ErrMissing) {
		fmt.Fprintf(os.Stderr, "**** SKIPPED: the load was NOT played: %v\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	met, err := r.Print(os.Stdout)
	if err == nil && !met {
		err = errGoal
	}
	return err
}
