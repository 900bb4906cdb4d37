package stores

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// The goals: a look-up from memory costs the same with any number of users, and one from the store is no delay to a call.
const (
	flat    = 1.10
	maxRead = 10 * time.Millisecond
)

// Report prints figures as a table and returns the goals that were missed, in words. The ratio is that of each store's smallest size.
func Report(w io.Writer, all []Figures) (missed []string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "store\tusers\tin memory p50\tp99\tratio\tfrom the store p50\tp99\tone change\tstart\tusers/s loaded\tbytes/number\tfile MB\t")
	first := map[string]time.Duration{}
	for _, f := range all {
		if first[f.Kind] == 0 {
			first[f.Kind] = f.Cached
		}
		ratio := float64(f.Cached) / float64(first[f.Kind])
		_, _ = fmt.Fprintf(t, "%s\t%d\t%v\t%v\t%.2f\t%v\t%v\t%v\t%v\t%.0f\t%d\t%d\t\n", f.Kind, f.Users, f.Cached50, f.Cached, ratio,
			f.Read50.Round(time.Microsecond), f.Read.Round(time.Microsecond), f.Change.Round(time.Microsecond), f.Open.Round(time.Microsecond), f.Load, f.Each, f.Size>>20)
		if ratio > flat {
			missed = append(missed, fmt.Sprintf("%s with %d users: p99 from memory is %.2f times that of the smallest, at most %.2f", f.Kind, f.Users, ratio, flat))
		}
		if f.Read > maxRead {
			missed = append(missed, fmt.Sprintf("%s with %d users: p99 from the store is %v, at most %v", f.Kind, f.Users, f.Read, maxRead))
		}
	}
	_ = t.Flush()
	return missed
}
