package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/internal/bench/stores"
)

// storeCosts measures look-ups of profiles.
func storeCosts(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("store", flag.ContinueOnError)
	sizes := flags.String("users", "1000,100000,1000000", "users of each store, separated by commas, the smallest first")
	rounds := flags.Int("rounds", 15, "rounds in which the stores take turns")
	seed := flags.Uint64("seed", 1, "of the numbers that are looked up")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o := stores.Options{Rounds: max(*rounds, 1), Seed: *seed, Out: os.Stdout}
	for _, text := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 5_000_000 {
			return errors.New("--users: write numbers of 1 to 5000000, such as 1000,100000")
		}
		o.Sizes = append(o.Sizes, n)
	}
	figures, err := stores.Run(ctx, o)
	if err != nil {
		return err
	}
	if missed := stores.Report(os.Stdout, figures); len(missed) > 0 {
		return errors.New(strings.Join(missed, "; "))
	}
	return nil
}
