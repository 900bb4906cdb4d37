package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/signalbox/signalbox/internal/bench/rooms"
	"github.com/signalbox/signalbox/internal/bench/sipp"
)

// roomLoads fills many conferences at once.
func roomLoads(ctx context.Context, args []string) error {
	o := rooms.Options{Progress: os.Stderr}
	f := flag.NewFlagSet("rooms", flag.ContinueOnError)
	f.StringVar(&o.Program, "program", "bin/signalbox", "the signalbox `binary`")
	f.StringVar(&o.FreeSWITCH, "freeswitch", "", "a freeswitch `binary` with its vanilla configuration beside it; without it the simulator is the switch")
	f.IntVar(&o.Rooms, "rooms", 200, "conferences, besides the one that twelve come into in three seconds")
	f.IntVar(&o.Members, "members", 5, "people in each, with its host")
	f.IntVar(&o.Rate, "rate", 20, "calls a second")
	f.DurationVar(&o.Stay, "stay", 30*time.Second, "how long all stay")
	f.BoolVar(&o.Voice, "voice", false, "everybody sends voice packets")
	f.BoolVar(&o.Keep, "keep", false, "leave the temp folders with configuration, store and logs behind")
	if err := f.Parse(args); err != nil {
		return err
	}
	r, err := rooms.Run(ctx, o)
	if errors.Is(err, sipp.ErrMissing) {
		fmt.Fprintf(os.Stderr, "**** SKIPPED: the rooms were NOT filled: %v\n", err)
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
