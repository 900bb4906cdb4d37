package edge

import (
	"fmt"
	"io"
	"strings"
)

// WriteText prints the report for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "caller     %s\ncalled     %s\n", r.Caller, r.Called)
	trunk := r.Trunk
	if trunk == "" {
		trunk = "none named"
	}
	fmt.Fprintf(&b, "trunk      %s (%s)\nlikelihood %.2f that the number is spoofed, says %s\n", trunk, r.Mode, r.Verdict.Likelihood, r.Verdict.Model)
	for _, reason := range r.Verdict.Reasons {
		fmt.Fprintf(&b, "  %+.2f  %-18s %s\n", reason.Weight, reason.Name, reason.Sentence)
	}
	if r.Diversions > 0 {
		fmt.Fprintf(&b, "diverted   %d times before\n", r.Diversions)
	}
	if r.Stripped > 0 {
		fmt.Fprintf(&b, "forged     %d X-Signalbox header(s) from outside were removed\n", r.Stripped)
	}
	switch {
	case r.Answer != "":
		fmt.Fprintf(&b, "refused with %s\n", r.Answer)
	case r.WouldBe != "":
		fmt.Fprintf(&b, "delivered, because the trunk only observes; enforcing, it would be %s\n", r.WouldBe)
	default:
		b.WriteString("delivered\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
