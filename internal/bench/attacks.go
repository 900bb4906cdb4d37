package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/signalbox/signalbox/internal/bench/attack"
	"github.com/signalbox/signalbox/internal/bench/sipp"
)

// attacks measures what calm callers notice of others who attack the proxy.
func attacks(ctx context.Context, args []string) error {
	o := attack.Options{Progress: os.Stderr}
	f := flag.NewFlagSet("attack", flag.ContinueOnError)
	f.StringVar(&o.Program, "program", "bin/signalbox", "the signalbox `binary`")
	f.IntVar(&o.Rate, "rate", 50, "calls a second of the calm callers")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "of each attack")
	f.DurationVar(&o.Settle, "settle", 45*time.Second, "how long memory has to be given back at the end")
	f.StringVar(&o.Only, "only", "", "play the calm and this attack alone, by its `name`")
	f.BoolVar(&o.Keep, "keep", false, "leave the temp folder with configuration and logs behind")
	if err := f.Parse(args); err != nil {
		return err
	}
	r, err := attack.Run(ctx, o)
	if errors.Is(err, sipp.ErrMissing) {
		fmt.Fprintf(os.Stderr, "**** SKIPPED: the proxy was NOT attacked: %v\n", err)
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
