package proxies

import (
	"fmt"
	"io"
	"regexp"
	"text/tabwriter"
	"time"
)

// replaceWord replaces a placeholder where it stands alone.
func replaceWord(text, word, by string) string {
	return regexp.MustCompile(`\b`+word+`\b`).ReplaceAllLiteralString(text, by)
}

// failed counts over all rounds.
func (r Row) failed() (n int) {
	for _, round := range r.Rounds {
		n += round.Calls.Failed
	}
	return n
}

func all(r Round) uint64 { return r.Memory.All }

// Print writes the table and says whether the goals were met: no failed call, not above Kamailio's processor time, and half of
// its memory.
func Print(w io.Writer, rows []Row) (met bool, err error) {
	met = true
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "calls/s\tproxy\tCPU us/call\tmemory MB\tof it own\tINVITE to 180 p50\tp99\tcalls\tfailed\t")
	other := map[int]Row{}
	for _, r := range rows {
		if r.Name == "kamailio" {
			other[r.Rate] = r
		}
	}
	var missed []string
	for _, r := range rows {
		cpu := median(r.Rounds, func(r Round) time.Duration { return r.PerCall })
		memory, own := median(r.Rounds, all), median(r.Rounds, func(r Round) uint64 { return r.Memory.Own })
		calls := 0
		for _, round := range r.Rounds {
			calls += round.Calls.Created
		}
		fmt.Fprintf(t, "%d\t%s\t%d\t%.1f\t%.1f\t%s\t%s\t%d\t%d\t\n", r.Rate, r.Name, cpu.Microseconds(), float64(memory)/(1<<20), float64(own)/(1<<20),
			median(r.Rounds, func(r Round) time.Duration { return r.P50 }), median(r.Rounds, func(r Round) time.Duration { return r.P99 }), calls, r.failed())
		if r.Name == "kamailio" {
			continue
		}
		if r.failed() > 0 {
			missed = append(missed, fmt.Sprintf("%d calls/s: %d failed calls, want 0: %.300s", r.Rate, r.failed(), r.Rounds[0].Faults))
		}
		k, ok := other[r.Rate]
		if !ok {
			continue
		}
		kCPU, kMemory := median(k.Rounds, func(r Round) time.Duration { return r.PerCall }), median(k.Rounds, all)
		if ratio := float64(cpu) / float64(max(kCPU, 1)); ratio > 1 {
			missed = append(missed, fmt.Sprintf("%d calls/s: %.2f times Kamailio's processor time, want at most 1", r.Rate, ratio))
		}
		if ratio := float64(memory) / float64(max(kMemory, 1)); ratio > 0.5 {
			missed = append(missed, fmt.Sprintf("%d calls/s: %.2f of Kamailio's memory, want at most 0.50", r.Rate, ratio))
		}
	}
	if err := t.Flush(); err != nil {
		return false, err
	}
	for _, m := range missed {
		met = false
		if _, err := fmt.Fprintln(w, "MISSED", m); err != nil {
			return false, err
		}
	}
	if met && len(other) > 0 {
		_, err = fmt.Fprintln(w, "goals met at each rate: no failed call, at most Kamailio's processor time, at most half of its memory")
	}
	if len(other) == 0 {
		_, err = fmt.Fprintln(w, "**** SKIPPED: Kamailio is not here (Debian: apt install kamailio), so nothing was compared")
	}
	return met, err
}
