package load

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/signalbox/signalbox/internal/bench/sipp"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
)

// The goals.
const (
	goalFirstCommand = 5 * time.Millisecond // 99 of 100 calls
	goalProfile      = 10 * time.Millisecond
	goalShare        = 5 // percent of FreeSWITCH's processor time that the sidecar takes
	moreGoroutines   = 3 // after than before, at rest: what a look costs
	moreFiles        = 3
	moreHeap         = 2 << 20 // bytes, after a garbage collection
	moreResident     = 10      // percent, in the last quarter over the second
	looseResident    = 8 << 20 // bytes of it that do not count
)

// moment is a look at all processes while the load ran.
type moment struct {
	at   time.Duration
	seen []sample
}

// Report is what a load showed.
type Report struct {
	Options Options
	Switch  string

	took          time.Duration
	calls         sipp.Tally
	before, after []sample // at rest, in the order of stand.subjects
	during        []moment
	opened        openings        // of the calls of the load
	asked         []string        // questions that the DNS server got during the load
	setups        []time.Duration // INVITE to 200, sorted
	errors        string          // of SIPp, the beginning
}

const (
	sidecar = iota
	proxy
	telephony // the switch
)

var processes = []string{"sidecar", "proxy", "switch"}

func progress(at time.Duration, t sipp.Tally, subjects []subject, seen []sample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6s  %6d calls, %4d at the moment, %d failed", at.Round(time.Second), t.Created, t.Current, t.Failed)
	for i, s := range subjects {
		fmt.Fprintf(&b, " | %s", s.name)
		if s.http != "" {
			fmt.Fprintf(&b, " %d goroutines", seen[i].goroutines)
		}
		fmt.Fprintf(&b, " %d files %s", seen[i].files, mega(seen[i].resident))
	}
	return b.String()
}

func mega(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }

// verdict is one goal.
type verdict struct {
	what, got, goal string
	met             bool
}

// quarter gives the mean of a figure over a quarter of the time of the load, counted from 0.
func (r *Report) quarter(n int, figure func(moment) float64) float64 {
	part := r.during[len(r.during)*n/4 : len(r.during)*(n+1)/4]
	sum := 0.0
	for _, m := range part {
		sum += figure(m)
	}
	return sum / float64(max(len(part), 1))
}

// cpu is the processor time of a process from the first look during the load to the last.
func (r *Report) cpu(process int) time.Duration {
	return r.during[len(r.during)-1].seen[process].cpu - r.during[0].seen[process].cpu
}

// span is the time between these looks.
func (r *Report) span() time.Duration {
	return r.during[len(r.during)-1].at - r.during[0].at
}

// grown tells whether a process of ours holds more at rest after the load than before.
func (r *Report) grown() bool {
	for i := range processes[:telephony] {
		for _, v := range r.atRest(i) {
			if !v.met {
				return true
			}
		}
	}
	return false
}

// atRest judges what a process holds before and after.
func (r *Report) atRest(process int) []verdict {
	name, b, a := processes[process], r.before[process], r.after[process]
	return []verdict{
		{name + ": goroutines at rest", fmt.Sprintf("%d before, %d after", b.goroutines, a.goroutines), fmt.Sprintf("+%d", moreGoroutines), a.goroutines <= b.goroutines+moreGoroutines},
		{name + ": open files at rest", fmt.Sprintf("%d before, %d after", b.files, a.files), fmt.Sprintf("+%d", moreFiles), a.files <= b.files+moreFiles},
		{name + ": heap at rest, collected", fmt.Sprintf("%s before, %s after", mega(b.heap), mega(a.heap)), "+" + mega(moreHeap), a.heap <= b.heap+moreHeap},
	}
}

// verdicts judges the goals.
func (r *Report) verdicts() (all []verdict) {
	add := func(met bool, what, got, goal string) { all = append(all, verdict{what, got, goal, met}) }
	add(r.calls.Failed == 0 && r.calls.Good > 0, "calls that failed", fmt.Sprintf("%d of %d", r.calls.Failed, r.calls.Created), "0")
	for i, name := range processes[:telephony] {
		all = append(all, r.atRest(i)...)
		resident := func(m moment) float64 { return float64(m.seen[i].resident) }
		second, last := r.quarter(1, resident), r.quarter(3, resident)
		add(last <= second*(1+moreResident/100.0)+looseResident, name+": resident memory under load",
			fmt.Sprintf("%s in the second quarter, %s in the last", mega(uint64(second)), mega(uint64(last))), fmt.Sprintf("+%d%% +%s", moreResident, mega(looseResident)))
	}
	first := r.opened.first
	add(first.quantile(0.99) <= goalFirstCommand, "sidecar: connect to first command, p99", fmt.Sprintf("%s (p50 %s) of %d calls", bound(first.quantile(0.99)), bound(first.quantile(0.5)), first.count()), goalFirstCommand.String())
	add(r.opened.profile.quantile(0.99) < goalProfile, "sidecar: look-up of the subscriber, p99", bound(r.opened.profile.quantile(0.99)), "< "+goalProfile.String())
	all = append(all, r.names())
	if r.Options.FreeSWITCH != "" {
		share := 100 * r.cpu(sidecar).Seconds() / r.cpu(telephony).Seconds()
		add(share < goalShare, "sidecar: processor time beside FreeSWITCH's", fmt.Sprintf("%.1f%%", share), fmt.Sprintf("< %d%%", goalShare))
	}
	return all
}

// names judges what the DNS was asked: the same question not before its answer has had its time, however many calls there are. The shortest
// time is that of the answer that there is no such record.
func (r *Report) names() verdict {
	times := make(map[string]int)
	most := 0
	for _, question := range r.asked {
		times[question]++
		most = max(most, times[question])
	}
	goal := int(r.took.Seconds())/resolvetest.NegativeTTL + 1
	return verdict{"DNS: the most often that one question was asked", fmt.Sprintf("%d times; %d questions in all for %d calls", most, len(r.asked), r.calls.Created),
		fmt.Sprintf("%d, once in %d s", goal, resolvetest.NegativeTTL), most <= goal && most > 0}
}

func (o Options) voices() string {
	switch {
	case !o.Voice:
		return "no voice"
	case o.Greeting == 0:
		return "with voice from the caller"
	}
	return fmt.Sprintf("with voice from the caller all the time and from the system for %s", o.Greeting)
}

// Print prints the report and tells whether all goals were met.
func (r *Report) Print(w io.Writer) (met bool, err error) {
	o := r.Options
	fmt.Fprintf(w, "\nLoad: %d calls a second for %s on the %s, %d subscribers, %d%% of the phones ring for 5 s and the others refuse, talk of %s, %s\n\n",
		o.Rate, o.Duration, r.Switch, o.Subscribers, o.Unanswered, o.Talk, o.voices())
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "process\tCPU per call\tCPU of one core\tmost goroutines\tmost files\tmost resident\t")
	for i, name := range processes {
		var goroutines, files int
		var resident uint64
		for _, m := range r.during {
			goroutines, files, resident = max(goroutines, m.seen[i].goroutines), max(files, m.seen[i].files), max(resident, m.seen[i].resident)
		}
		used := r.cpu(i).Seconds()
		fmt.Fprintf(tw, "%s\t%.2f ms\t%.0f%%\t%d\t%d\t%s\t\n", name, 1e3*used/(r.span().Seconds()*float64(r.calls.Created)/r.took.Seconds()), 100*used/r.span().Seconds(), goroutines, files, mega(resident))
	}
	if err := tw.Flush(); err != nil {
		return false, err
	}
	fmt.Fprintf(w, "\nswitch: connection to its answer to connect: p50 %s, p99 %s\n", bound(r.opened.connect.quantile(0.5)), bound(r.opened.connect.quantile(0.99)))
	if n := len(r.setups); n > 0 {
		fmt.Fprintf(w, "caller: INVITE to 200: p50 %s, p95 %s, p99 %s, longest %s; %d messages of SIPp's sent again\n",
			r.setups[n/2], r.setups[n*95/100], r.setups[n*99/100], r.setups[n-1], r.calls.Retransmitted)
	}
	if r.errors != "" {
		fmt.Fprintf(w, "\nSIPp found wrong:\n%s\n", r.errors)
	}
	fmt.Fprintln(w)
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	met = true
	for _, v := range r.verdicts() {
		mark := "✓"
		if !v.met {
			mark, met = "✗", false
		}
		fmt.Fprintf(tw, "%s %s\t%s\tgoal %s\n", mark, v.what, v.got, v.goal)
	}
	return met, tw.Flush()
}
