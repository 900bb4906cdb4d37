package eventrate

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Result is one client with one consumer, over all its rounds.
type Result struct {
	Consumer string
	Rounds   []Round
}

// median gives the round in the middle by its rate: one that another process disturbed does not count.
func (r Result) median() Round {
	sorted := slices.SortedFunc(slices.Values(r.Rounds), func(a, b Round) int { return int(a.Rate() - b.Rate()) })
	return sorted[len(sorted)/2]
}

// sum adds the counts of all rounds up.
func (r Result) sum() (s Round) {
	for _, one := range r.Rounds {
		s.Events += one.Events
		s.Lost += one.Lost
		s.Disorder += one.Disorder
		s.Replies += one.Replies
		s.WrongReplies += one.WrongReplies
		s.NoReplies += one.NoReplies
	}
	return s
}

// Table prints results, and returns the lowest ratio of our rate to theirs over all consumers. Each Result of theirs must stand behind
// the one of ours with the same consumer.
func Table(w io.Writer, results []Result) (lowest float64, err error) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "consumer\tclient\tevents/CPU s\tratio\tCPU/event\tuser\tsystem\tallocated/event\tlost\tout of order in a call\twrong replies\tno reply\t")
	var rate float64
	for _, r := range results {
		m, s := r.median(), r.sum()
		ratio := ""
		switch m.Client {
		case Ours:
			rate = m.Rate()
		case Theirs:
			if x := rate / m.Rate(); lowest == 0 || x < lowest {
				lowest = x
			}
			ratio = fmt.Sprintf("1 : %.1f", rate/m.Rate())
		}
		each := func(d time.Duration) string {
			return fmt.Sprintf("%.2f µs", float64(d.Nanoseconds())/1e3/float64(m.Events))
		}
		disorder := fmt.Sprintf("%d of %d", s.Disorder, s.Events)
		if m.Disorder < 0 {
			disorder = "not read"
		}
		fmt.Fprintf(tw, "%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t%.1f kB\t%d\t%s\t%d of %d\t%d\t\n", r.Consumer, m.Client, m.Rate(), ratio, each(m.CPU()),
			each(m.User), each(m.System), float64(m.Garbage)/1e3/float64(m.Events), s.Lost, disorder, s.WrongReplies, s.Replies, s.NoReplies)
	}
	return lowest, tw.Flush()
}

// Wrong says in which way our rounds were not perfect, "" if they were: nothing lost, all in order, every reply to its caller.
func Wrong(results []Result) string {
	for _, r := range results {
		for _, m := range r.Rounds {
			if m.Client == Ours && (m.Lost != 0 || m.Disorder > 0 || m.WrongReplies != 0 || m.NoReplies != 0) {
				return fmt.Sprintf("%s, %s: %d lost, %d out of order, %d wrong replies, %d not answered", m.Client, r.Consumer, m.Lost, m.Disorder, m.WrongReplies, m.NoReplies)
			}
		}
	}
	return ""
}
