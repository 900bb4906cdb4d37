package treat

import (
	"fmt"
	"io"
	"strings"

	"github.com/signalbox/signalbox/internal/account"
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
			out = append(out, branch(p, i, r, r))
			if r == call.NotJoined && p.Next(i, r) < 0 { // it goes on as the phones ended
				out = out[:len(out)-1]
				for _, phone := range step.On {
					out = append(out, branch(p, i, r, phone))
				}
			}
		}
	}
	return out
}

// branch is what follows when step i ends with r, the phones having ended with phone.
func branch(p call.Plan, i int, r, phone call.Result) Branch {
	b := Branch{Step: i + 1, Result: r, Next: next(p, i, r, phone) + 1}
	b.Says = says(p, p.Steps[i], r, b.Next)
	if phone != r {
		b.Says = fmt.Sprintf("when the phones ended %s: %s", phone, says(p, p.Steps[i], phone, b.Next))
	}
	return b
}

// results are the ways a step of a kind can end, as far as the caller's fate depends on them.
func results(kind call.StepKind) []call.Result {
	switch kind {
	case call.StepRing:
		return []call.Result{call.Answered, call.NoAnswer, call.Busy, call.NotRegistered, call.Unreachable, call.Declined, call.CallerGone}
	case call.StepMailbox:
		return []call.Result{call.Answered, call.VoicemailDown, call.FromVoicemail, call.CallerGone}
	case call.StepConference:
		return []call.Result{call.Answered, call.NotJoined, call.CallerGone}
	case call.StepSpool:
		return []call.Result{call.Answered, call.NotRecorded, call.CallerGone}
	case call.StepNotice, call.StepRefuse:
		return []call.Result{call.Ended}
	}
	return []call.Result{call.HandedBack}
}

func says(p call.Plan, step call.Step, r call.Result, next int) string {
	switch {
	case next > 0:
		following := p.Steps[next-1]
		if following.Kind == call.StepMailbox && following.Mailbox.Why == "" && tel.Why(r).RedirectCause() != 0 && (step.Kind == call.StepRing || step.Kind == call.StepConference) {
			return fmt.Sprintf("then step %d, cause=%d for the voicemail system", next, tel.Why(r).RedirectCause())
		}
		return fmt.Sprintf("then step %d", next)
	case r == call.Answered && step.Kind == call.StepSpool:
		return "the caller has left a message, which is delivered later; the call is over"
	case r == call.Answered && step.Kind == call.StepConference:
		return "the caller was in the conference; the call is over"
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
	if p.Forwarded != nil {
		if _, err := fmt.Fprintf(w, "It was sent on by %s%s, says %s.\n", p.Forwarded.Number, because(p.Forwarded.Why), p.Forwarded.Source); err != nil {
			return err
		}
	}
	if p.Access != nil {
		if _, err := fmt.Fprintf(w, "Conference: %s (%s), %s.\n\n", p.Access.Verdict, p.Access.Reason.Name, p.Access.Reason.Sentence); err != nil {
			return err
		}
	}
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

func because(why tel.Why) string {
	if why == "" {
		return ""
	}
	return " (" + string(why) + ")"
}

// whose says which mailbox a step is for, and why when no phone was rung.
func whose(m call.Mailbox) string {
	text := ""
	if m.Number != "" {
		text = " in the mailbox of " + string(m.Number)
	}
	if m.Why != "" {
		text += fmt.Sprintf(", cause=%d", m.Why.RedirectCause())
	}
	return text
}

func details(step call.Step) []string {
	var lines []string
	if step.Ring != nil {
		for _, d := range step.Ring.Devices {
			lines = append(lines, "phone "+d.String())
		}
	}
	if c := step.Conference; c != nil {
		lines = append(lines, conferenceText(*c))
	}
	if m := step.Mailbox; m != nil {
		for _, system := range m.Systems {
			user := m.Pilot
			if m.Mailbox != "" && system.Wants(account.EvidenceMailbox) {
				user = m.Mailbox
			}
			lines = append(lines, fmt.Sprintf("INVITE sip:%s@%s over %s for %s%s; a target without ringing for %s is dead",
				user, system.FQDN, system.Transport, m.Condition, whose(*m), m.ProgressTimeout))
		}
	}
	if step.Spool != nil {
		lines = append(lines, fmt.Sprintf("answers and records up to %s for the mailbox of %s", step.Spool.Longest, step.Spool.Number))
	}
	if step.Notice != nil && step.Notice.Prompt != "" {
		lines = append(lines, "announcement as early media: "+step.Notice.Prompt)
	}
	return lines
}

// conferenceText says how a caller comes into a conference.
func conferenceText(c call.Conference) string {
	s := c.Settings
	how := map[call.ConferenceMode]string{
		call.ByKey:  fmt.Sprintf("joins with key %c, leaves a message with %c", s.JoinKey, s.MessageKey),
		call.AtOnce: "joins without a key", call.ByPIN: "joins with the PIN", call.AsHost: fmt.Sprintf("joins his own conference with key %c", s.JoinKey),
	}[c.Mode]
	room := map[account.RoomPolicy]string{
		account.RoomPresent: "the host is in it", account.RoomFetch: "the host is called when he is not in it",
		account.RoomOpen: "callers wait in it for the host",
	}[c.Create]
	return fmt.Sprintf("answers, greets; the caller %s; %s", how, room)
}
