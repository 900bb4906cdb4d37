package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// maxAttempts bounds the INVITEs of one mailbox step, whatever the DNS says.
const maxAttempts = 8

// congestionPause is what a congested switch gets before a target is tried once more.
const congestionPause = 400 * time.Millisecond

// Target is one address of a voicemail system.
type Target struct {
	Addr      netip.AddrPort
	Transport string // "udp" or "tcp"
	// Permit, when set, means that Addr is our own proxy, which finds the system's addresses by itself, checks their certificates
	// and fails over; it is the value of the header that asks for it.
	Permit string
}

// Resolver finds the addresses behind a voicemail system's name, best first, and remembers which of them failed.
type Resolver interface {
	Lookup(ctx context.Context, fqdn, transport string) ([]Target, error)
	Failed(t Target)
	Worked(t Target)
}

// Run offers the call to each target of each system until one answers. why is how the subscriber's phones ended, unless the step says
// that none was rung.
// It returns an error only when the leg is out of our hands.
func Run(ctx context.Context, leg call.Leg, a call.Arrival, m call.Mailbox, why call.Result, s Settings, resolver Resolver) (call.StepRecord, error) {
	rec := call.StepRecord{Kind: call.StepMailbox, Started: time.Now(), Result: call.VoicemailDown}
	if m.Why != "" {
		why = call.Result(m.Why)
	}
	if len(m.Systems) == 0 {
		rec.Ended, rec.Note = time.Now(), "no system of the pilot takes such calls at this time: look at its rows' from and until, at drain and at visual"
		return rec, nil
	}
	end := rec.Started.Add(m.TotalTimeout)
	for _, system := range m.Systems {
		if err := leg.Waiting(ctx, min(s.LookupTimeout, time.Until(end))); err != nil {
			rec.Ended, rec.Result = time.Now(), call.Broken
			return rec, err
		}
		began := time.Now()
		targets, err := lookup(ctx, resolver, system, min(s.LookupTimeout, time.Until(end)))
		if err != nil {
			rec.Attempts = append(rec.Attempts, call.Attempt{
				Target: system.FQDN, Started: began, Ended: time.Now(), Result: call.VoicemailDown, Note: err.Error(),
			})
			continue
		}
		if m.Condition == call.Deposit && slices.ContainsFunc(targets, func(t Target) bool { return t.Permit == "" && placed(a.Source, t.Addr) }) {
			rec.Ended, rec.Result = time.Now(), call.FromVoicemail
			rec.Note = system.FQDN + " has placed the call, by its address: it never goes to voicemail"
			return rec, nil
		}
		for _, target := range targets {
			left := time.Until(end)
			if left < time.Second || len(rec.Attempts) >= maxAttempts {
				rec.Note = "gave up: the time for voicemail targets is spent"
				rec.Ended = time.Now()
				return rec, nil
			}
			order := Order(a, m, system, target, why, s, left)
			order.Answered = func() { resolver.Worked(target) } // not when the caller hangs up: by then it may be dead
			attempt, err := ring(ctx, leg, order, target.Permit != "", &rec)
			if err != nil {
				rec.Ended, rec.Result = time.Now(), call.Broken
				return rec, err
			}
			if attempt.Result.Final() {
				rec.Ended, rec.Result = time.Now(), attempt.Result
				return rec, nil
			}
			if dead(attempt) {
				resolver.Failed(target)
			}
		}
	}
	rec.Ended = time.Now()
	return rec, nil
}

// placed reports whether the caller is at a target's address. On one machine everybody has the same, so the port counts too.
func placed(source, target netip.AddrPort) bool {
	from, to := source.Addr().Unmap(), target.Addr().Unmap()
	return from == to && (!from.IsLoopback() || source.Port() == target.Port())
}

// ring offers the call to one target, and once more when it was our own switch that could not, such as one that has reached
// its limit of new sessions a second. Every INVITE is in the record.
func ring(ctx context.Context, leg call.Leg, order call.RingOrder, byProxy bool, rec *call.StepRecord) (call.Attempt, error) {
	v := order.Voicemail
	for again := false; ; again = true {
		attempt, err := leg.Ring(ctx, order)
		if err != nil {
			return attempt, err
		}
		attempt.Target = fmt.Sprintf("%s %s/%s", v.FQDN, v.Addr, v.Transport)
		if byProxy {
			rec.Attempts = append(rec.Attempts, passedOver(attempt, v.FQDN)...)
			attempt.Target, attempt.Note = byTLS(v.FQDN, last(attempt.Tried)), cmp.Or(attempt.Note, last(attempt.Tried).note(), attempt.Phrase)
		}
		if congested(attempt) && attempt.Note == "" {
			attempt.Note = "no INVITE left our own switch"
		}
		rec.Attempts = append(rec.Attempts, attempt)
		if !congested(attempt) || again {
			return attempt, nil
		}
		select {
		case <-time.After(congestionPause):
		case <-ctx.Done():
			return attempt, ctx.Err()
		}
	}
}

// tried is one target of a system that the proxy tried by TLS, and how that ended: a status, or "certificate", "silent",
// "unreachable".
type tried struct{ addr, outcome string }

// note is the outcome where it is no status.
func (t tried) note() string {
	if _, err := strconv.Atoi(t.outcome); err == nil {
		return ""
	}
	return t.outcome
}

// split reads what the proxy says of the targets it tried for one INVITE.
func split(text string) (all []tried) {
	for one := range strings.SplitSeq(text, ", ") {
		if addr, outcome, ok := strings.Cut(one, " "); ok && len(all) < maxAttempts {
			all = append(all, tried{addr, outcome})
		}
	}
	return all
}

// last is the target whose answer became that of the INVITE; the zero one when the proxy said nothing.
func last(text string) tried {
	if all := split(text); len(all) > 0 {
		return all[len(all)-1]
	}
	return tried{}
}

// passedOver are the targets that the proxy tried before the last one, as attempts of their own.
func passedOver(attempt call.Attempt, fqdn string) (out []call.Attempt) {
	all := split(attempt.Tried)
	for _, t := range all[:max(len(all)-1, 0)] {
		status, _ := strconv.Atoi(t.outcome)
		out = append(out, call.Attempt{
			Target: byTLS(fqdn, t), Started: attempt.Started, Ended: attempt.Started, Result: call.Unreachable, SIPStatus: status, Note: t.note(),
		})
	}
	return out
}

func byTLS(fqdn string, t tried) string {
	if t.addr == "" {
		return fqdn + " by TLS through the proxy"
	}
	return fqdn + " " + t.addr + "/tls by TLS through the proxy"
}

// congested reports whether an attempt failed on our own switch, before any INVITE left it.
func congested(attempt call.Attempt) bool {
	if attempt.SIPStatus != 0 {
		return false
	}
	return attempt.Disposition == "DESTINATION_OUT_OF_ORDER" || attempt.Disposition == "SWITCH_CONGESTION"
}

func lookup(ctx context.Context, r Resolver, system account.VoicemailSystem, longest time.Duration) ([]Target, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	return r.Lookup(ctx, system.FQDN, system.Transport)
}

// dead reports whether the target itself is at fault, so that the next call tries it last.
func dead(attempt call.Attempt) bool {
	return attempt.Result == call.Unreachable && !congested(attempt) || attempt.SIPStatus >= 500 && attempt.SIPStatus < 600
}

// permitHeader asks our own proxy to call the domain of the Request-URI by TLS.
const permitHeader = "X-Signalbox-Target"

// conditionHeader tells a system whether the caller wants to leave a message or to hear some.
const conditionHeader = "X-Voicemail-Condition"

// diverted are the diversions that a voicemail system is told of, the subscriber's on top: the one by which his own network has sent the
// call on already, or ours.
func diverted(a call.Arrival, why tel.Why, domain string) []tel.Diversion {
	if a.Access != "" && len(a.Diversions) > 0 && a.Diversions[0].Number == a.To {
		return a.Diversions
	}
	return append([]tel.Diversion{{User: string(a.To), Host: domain, Number: a.To, Reason: tel.DiversionReason(why), Counter: 1}}, a.Diversions...)
}

// Order is the INVITE towards one target, with the evidence that the system wants. What it does not want, and for a retrieval all that
// tells of a call to somebody else, is taken off. Of who diverted the call and keeps his number private the system learns nothing, unless the mailbox
// is his.
func Order(a call.Arrival, m call.Mailbox, system account.VoicemailSystem, target Target, result call.Result, s Settings, left time.Duration) call.RingOrder {
	why := tel.Why(result)
	subscriber := ""
	if m.Number != "" {
		subscriber = "sip:" + string(m.Number) + "@" + s.Domain
	}
	to := &call.VoicemailTarget{
		Profile: system.Profile, User: m.Pilot, FQDN: system.FQDN, Codecs: system.Codecs,
		Addr: target.Addr.String(), Transport: target.Transport,
	}
	if m.Mailbox != "" && system.Wants(account.EvidenceMailbox) {
		to.User = m.Mailbox
	}
	if system.Wants(account.EvidenceTarget) {
		to.Target = subscriber
		if m.Condition == call.Deposit {
			to.Cause = why.RedirectCause()
		}
	}
	order := call.RingOrder{
		Voicemail: to, Answer: min(m.AnswerTimeout, left), Progress: min(m.ProgressTimeout, left), Caller: a.From,
	}
	var diversion, history string
	switch {
	case m.Condition == call.Deposit:
		if system.Wants(account.EvidenceDiversion) {
			diversion = tel.FormatDiversions(tel.PublicDiversions(diverted(a, why, s.Domain), m.Number))
		}
		if system.Wants(account.EvidenceHistory) {
			unanswered := "sip:" + string(a.To) + "@" + s.Domain
			continued := tel.ContinueHistory(a.History, unanswered, why.RedirectCause(), "sip:"+m.Pilot+"@"+system.FQDN)
			history = tel.FormatHistory(tel.PublicHistory(continued, "", m.Number))
		}
	case m.Number != "":
		order.As = m.Number
	default:
		// A caller's number is anybody's claim: a system that opened a mailbox by it would open it to whoever writes it.
		order.Caller = tel.Identity{Withheld: true}
	}
	order.Headers = []call.Header{
		{Name: "Diversion", Value: diversion}, {Name: "History-Info", Value: history},
		{Name: conditionHeader, Value: string(m.Condition)},
	}
	if target.Permit != "" {
		order.Headers = append(order.Headers, call.Header{Name: permitHeader, Value: target.Permit})
	}
	return order
}
