package mailbox

import (
	"cmp"
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

// Run offers the call to each target of each system until one answers. why is how the subscriber's phones ended.
// It returns an error only when the leg is out of our hands.
func Run(ctx context.Context, leg call.Leg, a call.Arrival, m call.Mailbox, why call.Result, s Settings, resolver Resolver) (call.StepRecord, error) {
	rec := call.StepRecord{Kind: call.StepMailbox, Started: time.Now(), Result: call.VoicemailDown}
	end := rec.Started.Add(m.TotalTimeout)
	for _, system := range m.Systems {
		if err := leg.Waiting(ctx, min(s.LookupTimeout, time.Until(end))); err != nil {
			rec.Ended, rec.Result = time.Now(), call.Broken
			return rec, err
		}
		targets, err := lookup(ctx, resolver, system, min(s.LookupTimeout, time.Until(end)))
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
			attempt, err := ring(ctx, leg, order(a, m, system, target, why, s, left), target.Permit != "", &rec)
			if err != nil {
				rec.Ended, rec.Result = time.Now(), call.Broken
				return rec, err
			}
			if attempt.Result.Final() {
				if attempt.Result == call.Answered {
					resolver.Worked(target)
				}
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
			attempt.Target, attempt.Note = v.FQDN+" by TLS through the proxy", cmp.Or(attempt.Note, attempt.Phrase)
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

func headers(target Target, h []call.Header) []call.Header {
	if target.Permit != "" {
		h = append(h, call.Header{Name: permitHeader, Value: target.Permit})
	}
	return h
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
		Headers: headers(target, []call.Header{
			{Name: "Diversion", Value: tel.FormatDiversions(diversions)},
			{Name: "History-Info", Value: tel.FormatHistory(tel.ContinueHistory(a.History, subscriber, why.RedirectCause(), mailbox))},
		}),
		Caller: a.From,
	}
}
