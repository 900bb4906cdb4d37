package rooms

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/signalbox/signalbox/internal/bench/sipp"
)

// The goals.
const (
	goalJoin  = 2 * time.Second // 95 of 100, from the key to the room
	goalShare = 5               // percent of FreeSWITCH's processor time that the sidecar takes
)

// Report is what the rooms showed.
type Report struct {
	Options Options

	calls             sipp.Tally
	came, stayed, all used
	joins, storm      []time.Duration // sorted
	files             int             // played to rooms
	errors            string          // of SIPp
}

// Print writes the report; met is false when a goal was missed or a call failed.
func (r *Report) Print(w io.Writer) (met bool, err error) {
	o := r.Options
	who := "simulator"
	if o.FreeSWITCH != "" {
		who = "FreeSWITCH"
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%d rooms of %d on the %s, %d calls a second, all stay for %s, voice: %t; %d calls came true, %d failed; %d files played to rooms\n",
		o.Rooms, o.Members, who, o.Rate, o.Stay, o.Voice, r.calls.Good, r.calls.Failed, r.files)
	fmt.Fprintln(out, "\twhile they come\twhile they stay\tin all")
	for i, name := range []string{"sidecar", "proxy", "switch"} {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", name, r.came[i], r.stayed[i], r.all[i])
	}
	met = r.calls.Failed == 0
	share := func(u used) float64 { return 100 * float64(u[sidecar]) / float64(max(u[telephony], time.Millisecond)) }
	fmt.Fprintf(out, "sidecar/switch\t%.1f %%\t%.1f %%\t%.1f %%\n", share(r.came), share(r.stayed), share(r.all))
	if o.FreeSWITCH != "" {
		met = verdict(out, "sidecar's processor time beside FreeSWITCH's", share(r.all) < goalShare, fmt.Sprintf("%.1f %%", share(r.all)), fmt.Sprintf("< %d %%", goalShare)) && met
	}
	for _, part := range []struct {
		what  string
		times []time.Duration
		want  int
	}{{"from the key to the room", r.joins, o.Rooms*o.Members + 1}, {"the same, twelve in three seconds", r.storm, stormGuests}} {
		if len(part.times) != part.want {
			met = verdict(out, part.what, false, fmt.Sprintf("%d joins", len(part.times)), fmt.Sprintf("%d", part.want))
			continue
		}
		p95 := quantile(part.times, 95)
		met = verdict(out, part.what, p95 < goalJoin, fmt.Sprintf("median %s, p95 %s, longest %s", round(quantile(part.times, 50)), round(p95), round(part.times[len(part.times)-1])),
			"p95 < "+goalJoin.String()) && met
	}
	if err := out.Flush(); err != nil {
		return met, err
	}
	if r.calls.Failed > 0 {
		_, err = fmt.Fprintln(w, r.errors)
	}
	return met, err
}

func verdict(w io.Writer, what string, met bool, got, goal string) bool {
	word := "met"
	if !met {
		word = "MISSED"
	}
	fmt.Fprintf(w, "%s\t%s\tgoal %s\t%s\n", what, got, goal, word)
	return met
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// quantile is the value that n percent of the sorted ones do not exceed.
func quantile(sorted []time.Duration, n int) time.Duration {
	return sorted[(len(sorted)*n+99)/100-1]
}
