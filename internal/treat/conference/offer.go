package conference

import (
	"fmt"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// Settings are the operator's choices for all conferences.
type Settings struct {
	// TrustUnscreened believes the numbers of callers whom no proxy of ours has screened. Right only where nobody reaches FreeSWITCH
	// but trunks whose caller numbers are true.
	TrustUnscreened bool
}

// Busy reports whether the host is in his conference, so that his phones are not to ring.
func Busy(p account.Profile, w call.World) bool {
	return p.Conference != nil && w.Room != nil && w.Room.HostPresent
}

// Offer decides whether a caller is offered the host's conference; the result is nil for a number without one. The step is nil when he
// is not. why is set when no phone is rung: then the step comes first, and else behind the phones.
func Offer(a call.Arrival, p account.Profile, w call.World, s Settings, why tel.Why) (*call.Access, *call.Step) {
	if p.Conference == nil {
		return nil, nil
	}
	access, mode := authorise(a, p, w, s)
	if access.Verdict != call.Refused {
		if reason := unavailable(*p.Conference, mode, w); reason.Name != "" {
			access.Verdict, access.Reason = call.Refused, reason
		}
	}
	var on []call.Result
	if access.Verdict != call.Refused && mode != call.AsHost {
		if on = accepted(p.Conference.When, w, why); on == nil && !wanted(p.Conference.When, w, why) {
			access.Verdict = call.Refused
			access.Reason = call.Reason{Name: "not-then", Sentence: "the host does not want his conference to be offered for such calls"}
		}
	}
	if access.Verdict == call.Refused {
		return &access, nil
	}
	if mode == call.AsHost {
		why = tel.Unconditional // who calls himself is not rung
	}
	c := &call.Conference{
		Mode: mode, Number: p.Number, Create: p.Conference.Room, Why: why, Host: p.Account, Settings: *p.Conference, Scheduled: w.Scheduled != "",
	}
	if w.Recognised(a) && mode != call.AsHost {
		c.Contact, c.Caller = w.Contact.ID, *w.Contact
		access.Contact = w.Contact.ID
	}
	c.Shared = w.Contact != nil && w.Contact.Shared && mode != call.AsHost // also for one who comes by the PIN
	return &access, &call.Step{Kind: call.StepConference, On: on, Conference: c, Reason: access.Reason}
}

// authorise decides by who the caller is.
func authorise(a call.Arrival, p account.Profile, w call.World, s Settings) (call.Access, call.ConferenceMode) {
	refuse := func(name, sentence string) (call.Access, call.ConferenceMode) {
		return call.Access{Verdict: call.Refused, Reason: call.Reason{Name: name, Sentence: sentence}}, ""
	}
	allow := func(name, sentence string) (call.Access, call.ConferenceMode) {
		mode := call.ByKey
		if p.Conference.AutoAdmit {
			mode = call.AtOnce
		}
		return call.Access{Verdict: call.Allowed, Reason: call.Reason{Name: name, Sentence: sentence}}, mode
	}
	c := p.Conference
	switch {
	case p.Account.State == account.Suspended:
		return refuse("suspended", "the account is suspended")
	case w.FromVoicemail != "":
		return refuse("from-voicemail", "the call comes from voicemail system "+w.FromVoicemail)
	case w.Room != nil && w.Room.Removed:
		return refuse("removed", "the host has sent the caller out of this conference")
	}
	doubt := doubts(a, s)
	switch {
	case doubt.Name == "" && w.IsHost:
		return call.Access{Verdict: call.Allowed, Reason: call.Reason{Name: "host", Sentence: "the caller's number is one of the host's own"}}, call.AsHost
	case doubt.Name == "" && w.Recognised(a) && w.Contact.MayJoin == account.MayJoinNo:
		return refuse("may-not-join", "the caller is contact "+w.Contact.ID+", who may not join")
	case w.Scheduled != "" && (doubt.Name == "" || w.ScheduledOpen):
		return allow("scheduled", "schedule "+w.Scheduled+" lets the caller in")
	case doubt.Name == "" && w.Recognised(a) && (c.Offer != account.OfferListed || w.Contact.MayJoin == account.MayJoinYes):
		if w.Contact.Shared {
			return allow("shared-in-address-book", "the caller is somebody behind the shared number of contact "+w.Contact.ID+" of the host's address book")
		}
		return allow("in-address-book", "the caller is contact "+w.Contact.ID+" of the host's address book")
	}
	if c.Offer == account.OfferEveryone && c.PINHash != "" {
		if w.LockedOut {
			return refuse("locked-out", "the caller has given too many wrong PINs")
		}
		return call.Access{Verdict: call.WithPIN, Reason: call.Reason{Name: "pin", Sentence: "the caller is not known, and may join with the host's PIN"}}, call.ByPIN
	}
	switch {
	case doubt.Name != "":
		return refuse(doubt.Name, doubt.Sentence)
	case w.ContactsDown:
		return refuse("contacts-unknown", "the address book could not be looked up")
	case w.Recognised(a):
		return refuse("not-listed", "the caller is contact "+w.Contact.ID+", who is not listed with may_join: yes")
	}
	return refuse("not-in-address-book", "the caller is not in the host's address book")
}

// doubts says why a caller is not taken for the owner of his number; no name when he is.
func doubts(a call.Arrival, s Settings) call.Reason {
	switch {
	case a.Nameless():
		return call.Reason{Name: "withheld", Sentence: "the caller withheld the number, or has none: nobody knows who it is"}
	case a.Suspect():
		return call.Reason{Name: "suspect", Sentence: fmt.Sprintf("the caller's number is spoofed with a likelihood of %.2f", a.Verdict.Likelihood)}
	case a.OwnNumber:
	case !s.TrustUnscreened && (!a.Verdict.Screened() || a.Evidence != call.EvidenceToken):
		return call.Reason{Name: "not-screened", Sentence: "nobody has screened the caller, so the number opens nothing"}
	}
	return call.Reason{}
}

// unavailable says why there is no room to be offered; no name when there is, or can be.
func unavailable(c account.Conference, mode call.ConferenceMode, w call.World) call.Reason {
	switch {
	case w.RoomsDown:
		return call.Reason{Name: "rooms-unknown", Sentence: "the host's conference could not be looked up"}
	case mode == call.ByPIN: // the question alone would tell a stranger that the host is in a conference
		return call.Reason{}
	case mode == call.AsHost || w.Scheduled != "" || c.Room != account.RoomPresent:
		return call.Reason{}
	case w.Room == nil || !w.Room.HostPresent:
		return call.Reason{Name: "no-room", Sentence: "the host is in no conference, and callers make none"}
	}
	return call.Reason{}
}

// wanted reports whether the host wants the offer for a call for which no phone is rung.
func wanted(when account.ConferenceWhen, w call.World, why tel.Why) bool {
	if why == "" {
		return false
	}
	return !when.Any() || when.Forwarded && w.Forwarded != nil || when.Takes(why)
}

// accepted are the results of the phones for which the host wants the offer; nil when no phone is rung.
func accepted(when account.ConferenceWhen, w call.World, why tel.Why) (on []call.Result) {
	if why != "" {
		return nil
	}
	for _, phone := range []tel.Why{tel.NoAnswer, tel.Busy, tel.NotRegistered, tel.Unreachable, tel.Declined} {
		if !when.Any() || when.Takes(phone) {
			on = append(on, call.Result(phone))
		}
	}
	return on
}
