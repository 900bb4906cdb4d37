package treat

import (
	"fmt"
	"io"
	"strings"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/notice"
)

// Branch is one way a step can end and what follows then.
type Branch struct {
	Step   int         `json:"step"` // 1 is the first
	Result call.Result `json:"result"`
	Next   int         `json:"next,omitempty"` // 0 = the call is over
	Says   string      `json:"says"`
}

// Branches lists every way through a plan, in the order of its steps. It is derived from the plan alone.
func Branches(p call.Plan) []Branch {
	var out []Branch
	for i, step := range p.Steps {
		for _, r := range results(step.Kind) {
			b := Branch{Step: i + 1, Result: r, Next: p.Next(i, r) + 1}
			b.Says = says(p, step, r, b.Next)
			out = append(out, b)
		}
	}
	return out
}

// results are the ways a step of a kind can end, as far as the caller's fate depends on them.
func results(kind call.StepKind) []call.Result {
	switch kind {
	case call.StepRing:
		return []call.Result{call.Answered, call.NoAnswer, call.Busy, call.NotRegistered, call.Unreachable, call.Declined, call.CallerGone}
	case call.StepMailbox:
		return []call.Result{call.Answered, call.VoicemailDown, call.CallerGone}
	case call.StepNotice, call.StepRefuse:
		return []call.Result{call.Ended}
	}
	return []call.Result{call.HandedBack}
}

func says(p call.Plan, step call.Step, r call.Result, next int) string {
	switch {
	case next > 0:
		following := p.Steps[next-1]
		if following.Kind == call.StepMailbox {
			return fmt.Sprintf("then step %d, cause=%d for the voicemail system", next, tel.Why(r).RedirectCause())
		}
		return fmt.Sprintf("then step %d", next)
	case r == call.Answered && step.Kind == call.StepMailbox:
		return "the caller talks to voicemail; the call is over"
	case r == call.Answered:
		return "they talk; the call is over"
	case r == call.CallerGone:
		return "nothing further happens"
	case r == call.HandedBack:
		return "the operator's own dialplan goes on"
	case step.Refuse != nil:
		return fmt.Sprintf("SIP %d %s", step.Refuse.Code, step.Refuse.Phrase)
	case step.Notice != nil:
		return "the call ends with " + causeText(step)
	}
	return "the call is over"
}

// causeText names the cause with which a notice ends, "or" between those that depend on the phone.
func causeText(step call.Step) string {
	if step.Notice.Cause != "" {
		return withSIP(step.Notice.Cause)
	}
	var causes []string
	for _, phone := range []call.Result{call.NoAnswer, call.Busy, call.Declined} {
		causes = append(causes, withSIP(notice.Cause(phone)))
	}
	return strings.Join(causes, " or ") + ", as the phone ended"
}

func withSIP(cause string) string { return fmt.Sprintf("%s (SIP %d)", cause, tel.SIPForCause(cause)) }

// WriteText prints a plan with its branches for people.
func WriteText(w io.Writer, p call.Plan) error {
	branches := Branches(p)
	for i, step := range p.Steps {
		if _, err := fmt.Fprintf(w, "%d. %-9s %s\n", i+1, step.Kind, step.Reason.Sentence); err != nil {
			return err
		}
		for _, line := range details(step) {
			if _, err := fmt.Fprintf(w, "             %s\n", line); err != nil {
				return err
			}
		}
		for _, b := range branches {
			if b.Step != i+1 {
				continue
			}
			if _, err := fmt.Fprintf(w, "     %-15s -> %s\n", b.Result, b.Says); err != nil {
				return err
			}
		}
	}
	return nil
}

func details(step call.Step) []string {
	var lines []string
	if step.Ring != nil {
		for _, d := range step.Ring.Devices {
			lines = append(lines, "phone "+d.String())
		}
	}
	if m := step.Mailbox; m != nil {
		for _, system := range m.Systems {
			lines = append(lines, fmt.Sprintf("INVITE sip:%s@%s over %s; a target without ringing for %s is dead",
				m.Pilot, system.FQDN, system.Transport, m.ProgressTimeout))
		}
	}
	if step.Notice != nil && step.Notice.Prompt != "" {
		lines = append(lines, "announcement as early media: "+step.Notice.Prompt)
	}
	return lines
}
