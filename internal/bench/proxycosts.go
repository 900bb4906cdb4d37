package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/bench/proxies"
	"github.com/signalbox/signalbox/internal/bench/sipp"
)

// proxyCosts compares the proxy with Kamailio.
func proxyCosts(ctx context.Context, args []string) error {
	o := proxies.Options{Progress: os.Stderr}
	rates := "300,800,1500"
	f := flag.NewFlagSet("proxies", flag.ContinueOnError)
	f.StringVar(&o.Program, "program", "bin/signalbox", "the signalbox `binary`")
	f.StringVar(&o.Kamailio, "kamailio", "kamailio", "the kamailio `binary`")
	f.StringVar(&rates, "rates", rates, "calls a second, comma-separated")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "of each round")
	f.IntVar(&o.Rounds, "rounds", 3, "of each proxy at each rate")
	f.BoolVar(&o.Keep, "keep", false, "leave the temp folder with configurations and logs behind")
	if err := f.Parse(args); err != nil {
		return err
	}
	for r := range strings.SplitSeq(rates, ",") {
		n, err := strconv.Atoi(r)
		if err != nil || n < 1 {
			return fmt.Errorf("--rates %q: write calls a second, comma-separated, for example 300,800", rates)
		}
		o.Rates = append(o.Rates, n)
	}
	if _, err := exec.LookPath(o.Kamailio); err != nil {
		o.Kamailio = ""
	}
	rows, err := proxies.Run(ctx, o)
	if errors.Is(err, sipp.ErrMissing) {
		fmt.Fprintf(os.Stderr, "**** SKIPPED: the proxies were NOT compared: %v\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	met, err := proxies.Print(os.Stdout, rows)
	if err == nil && !met {
		err = errGoal
	}
	return err
}
