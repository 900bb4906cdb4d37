package attack

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// The goals.
const (
	goalAdded = 10 * time.Millisecond // to the 99th percentile of the calm callers
	goalMost  = 256 << 20             // bytes of resident memory under any attack
	goalKept  = 48 << 20              // bytes more at rest afterwards than before
)

// Print writes the table and says whether the goals were met.
func (r *Report) Print(w io.Writer) (met bool, err error) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "attack, with %d calm calls/s\tsent\tcalls\tfailed\tp50\tp99\tresident MB\tCPU s\t\n", r.Rate)
	var missed []string
	for i, p := range r.Phases {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t%.1f\t%.1f\t\n", p.Name, p.Sent, p.Calls.Created, p.Calls.Failed, round(p.P50), round(p.P99), float64(p.Resident)/(1<<20), p.CPU.Seconds())
		if p.Calls.Failed > 0 {
			missed = append(missed, fmt.Sprintf("%s: %d failed calls, want 0: %.300s", p.Name, p.Calls.Failed, p.Faults))
		}
		if added := p.P99 - r.Phases[0].P99; i > 0 && added > goalAdded {
			missed = append(missed, fmt.Sprintf("%s: %s added to the 99th percentile, want at most %s", p.Name, round(added), goalAdded))
		}
		if p.Resident > goalMost {
			missed = append(missed, fmt.Sprintf("%s: %d MB resident, want at most %d", p.Name, p.Resident>>20, goalMost>>20))
		}
	}
	if err := t.Flush(); err != nil {
		return false, err
	}
	fmt.Fprintf(w, "resident memory at rest: %.1f MB before, %.1f MB after\n%d calls placed, %d reached who answers, %d panics\n",
		float64(r.Before)/(1<<20), float64(r.After)/(1<<20), r.Placed, r.Reached, r.Panics)
	if r.After > r.Before+goalKept {
		missed = append(missed, fmt.Sprintf("%d MB more at rest than before, want at most %d", (r.After-r.Before)>>20, goalKept>>20))
	}
	// The probes of the node are among what reaches whoever answers.
	if probes := r.Reached - r.Placed; probes < 0 || probes > 60 {
		missed = append(missed, fmt.Sprintf("%d calls of attackers reached who answers, want 0", probes))
	}
	if r.Panics > 0 {
		missed = append(missed, fmt.Sprintf("%d panics, want 0", r.Panics))
	}
	for _, m := range missed {
		if _, err := fmt.Fprintln(w, "MISSED", m); err != nil {
			return false, err
		}
	}
	return len(missed) == 0, nil
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
