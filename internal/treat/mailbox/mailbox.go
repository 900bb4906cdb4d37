package mailbox

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// maxAttempts bounds the INVITEs of one mailbox step, whatever the DNS says.
const maxAttempts = 8

// Target is one address of a voicemail system.
type Target struct {
	Addr      netip.AddrPort
	Transport string // "udp" or "tcp"
}

// Resolver finds the addresses behind a voicemail system's name, best first, and remembers which of them failed.
type Resolver interface {
	Lookup(ctx context.Context, fqdn, transport string) ([]Target, error)
	Failed(t Target)
	Worked(t Target)
}

// Run offers the call to each target of each system until one answers. why is how the subscriber's phones ended.
// It returns an error only when the leg is out of our hands.
func Run(ctx context.Context, leg call.Leg, a call.Arrival, m call.Mailbox, why call.Result, s Settings, resolver Resolver) (call.StepRecord, error) {
	rec := call.StepRecord{Kind: call.StepMailbox, Started: time.Now(), Result: call.VoicemailDown}
	if err := leg.Waiting(ctx); err != nil {
		rec.Ended, rec.Result = time.Now(), call.Broken
		return rec, err
	}
	end := rec.Started.Add(m.TotalTimeout)
	for _, system := range m.Systems {
		targets, err := lookup(ctx, resolver, system, end)
		if err != nil {
			rec.Attempts = append(rec.Attempts, call.Attempt{
				Target: system.FQDN, Started: rec.Started, Ended: time.Now(), Result: call.VoicemailDown, Note: err.Error(),
			})
			continue
		}
		for _, target := range targets {
			left := time.Until(end)
			if left < time.Second || len(rec.Attempts) >= maxAttempts {
				rec.Note = "gave up: the time for voicemail targets is spent"
				rec.Ended = time.Now()
				return rec, nil
			}
			attempt, err := leg.Ring(ctx, order(a, m, system, target, why, s, left))
			if err != nil {
				rec.Ended, rec.Result = time.Now(), call.Broken
				return rec, err
			}
			attempt.Target = fmt.Sprintf("%s %s/%s", system.FQDN, target.Addr, target.Transport)
			rec.Attempts = append(rec.Attempts, attempt)
			if attempt.Result.Final() {
				resolver.Worked(target)
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

func lookup(ctx context.Context, r Resolver, system account.VoicemailSystem, end time.Time) ([]Target, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	return r.Lookup(ctx, system.FQDN, system.Transport)
}

// dead reports whether the target itself is at fault, so that the next call tries it last.
func dead(attempt call.Attempt) bool {
	return attempt.Result == call.Unreachable || attempt.SIPStatus >= 500 && attempt.SIPStatus < 600
}

// order is the INVITE towards one target: RFC 4458 target and cause, our diversion on top, the history continued.
func order(a call.Arrival, m call.Mailbox, system account.VoicemailSystem, target Target, result call.Result, s Settings, left time.Duration) call.RingOrder {
	why := tel.Why(result)
	subscriber := "sip:" + string(a.To) + "@" + s.Domain
	mailbox := "sip:" + m.Pilot + "@" + system.FQDN
	diversions := append([]tel.Diversion{{
		User: string(a.To), Host: s.Domain, Number: a.To, Reason: tel.DiversionReason(why), Counter: 1,
	}}, a.Diversions...)
	return call.RingOrder{
		Voicemail: &call.VoicemailTarget{
			Profile: system.Profile, Pilot: m.Pilot, FQDN: system.FQDN,
			Target: subscriber, Cause: why.RedirectCause(),
			Addr: target.Addr.String(), Transport: target.Transport,
		},
		Answer: min(m.AnswerTimeout, left), Progress: min(m.ProgressTimeout, left),
		Headers: []call.Header{
			{Name: "Diversion", Value: tel.FormatDiversions(diversions)},
			{Name: "History-Info", Value: tel.FormatHistory(tel.ContinueHistory(a.History, subscriber, why.RedirectCause(), mailbox))},
		},
		Caller: a.From,
	}
}
