package sidecar

import (
	"context"
	"errors"
	"slices"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/conference"
)

// Conferences is what is known of conferences, and who keeps them.
type Conferences interface {
	conference.Rooms
	// Look returns the host's open room as a caller finds it, nil = none is open, and whether the caller has given too many wrong PINs.
	Look(ctx context.Context, h conference.Host, caller tel.Identity) (room *call.Room, lockedOut bool, err error)
	// Arrive lets the leg of a participant into a room of this node whom another node has sent. gone is called when it is out of it.
	Arrive(ctx context.Context, room, participant, leg, node string) (join call.JoinOrder, gone func(why string), err error)
	// Decided keeps how it was decided whether a caller is offered a conference. It does not block.
	Decided(h conference.Host, rec call.Record)
}

// Caller finds out whether a phone whose password FreeSWITCH has checked presents a number of its own. One that presents nothing but its
// user of the directory has the first of its numbers. Who presents another number, as an exchange does for those behind it, stays
// unproven, and so does what comes by a trunk, should FreeSWITCH take the proxy's address for a user's.
func (r Around) Caller(ctx context.Context, a *call.Arrival) {
	if r.Directory == nil || a.Line.User == "" || a.Trunk != "" || a.PilotsOnly || a.From.Withheld {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookAroundTime)
	defer cancel()
	numbers := r.numbers(ctx, a.Line)
	if len(numbers) > 0 && a.From.Number == "" && a.From.User == a.Line.User {
		a.From.Number = numbers[0]
	}
	a.OwnNumber = a.From.Number != "" && slices.Contains(numbers, a.From.Number)
}

// Subscriber finds out whom a call is for: whose number was dialled or, when that is an access number, who sent the call there. The
// arrival is then one at his number. nil without an error means nobody of ours.
func (r Around) Subscriber(ctx context.Context, a *call.Arrival, region string) (*account.Profile, *call.Forward, error) {
	if !r.Access[a.To] || a.PilotsOnly {
		p, err := r.profileOf(ctx, a.To)
		if p == nil || err != nil {
			return nil, nil, err
		}
		return p, sentOn(*a), nil
	}
	a.Access = a.To
	found, from, err := r.first(ctx, conference.Candidates(*a, region))
	if found == nil || err != nil {
		return nil, nil, err
	}
	if found.Conference != nil && found.Conference.Host == account.HostOriginal {
		original, earlier, err := r.first(ctx, conference.Originals(*a, region))
		if err != nil {
			return nil, nil, err
		}
		if original != nil && original.Account.Tenant == found.Account.Tenant {
			found, from = original, earlier
		}
	}
	a.To = found.Number
	if from.Source == "dialled" || from.Source == "caller" {
		from = nil // nobody sent it on
	}
	return found, from, nil
}

// sentOn tells of a call to a number that its own subscriber has sent on.
func sentOn(a call.Arrival) *call.Forward {
	if len(a.Diversions) == 0 || a.Diversions[0].Number != a.To || a.To == "" {
		return nil
	}
	return &call.Forward{Source: "diversion", Number: a.To, Why: tel.DiversionWhy(a.Diversions[0].Reason)}
}

// first is the first of the candidates who is a subscriber.
func (r Around) first(ctx context.Context, list []call.Forward) (*account.Profile, *call.Forward, error) {
	for _, c := range list {
		switch p, err := r.profileOf(ctx, c.Number); {
		case err != nil:
			return nil, nil, err
		case p != nil:
			return p, &c, nil
		}
	}
	return nil, nil, nil
}

// profileOf reads a number's profile; nil without an error means that no account owns the number.
func (r Around) profileOf(ctx context.Context, number tel.Number) (*account.Profile, error) {
	if number == "" {
		return nil, nil
	}
	switch p, err := r.Profiles.Profile(ctx, number); {
	case err == nil:
		return &p, nil
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	default:
		return nil, err
	}
}

// conference looks for what counts when a subscriber has a conference.
func (r Around) conference(ctx context.Context, w *call.World, a call.Arrival, p account.Profile) {
	if p.Conference == nil {
		return
	}
	caller := a.From.Number
	if a.Nameless() {
		caller = ""
	}
	if caller != "" {
		w.IsHost = caller == p.Number
		if own, err := r.profileOf(ctx, caller); err == nil && own != nil {
			w.IsHost = own.Account.Tenant == p.Account.Tenant && own.Account.ID == p.Account.ID
		}
	}
	if found, ok, err := store.Scheduled(ctx, r.Directory, p.Account.Tenant, p.Number, caller, a.At); err != nil {
		r.warn("scheduled conferences could not be looked up: they let nobody in", err)
	} else if ok {
		w.Scheduled, w.ScheduledOpen = found.ID, found.Open
	}
	if r.Conferences == nil {
		w.RoomsDown = true
		return
	}
	var err error
	if w.Room, w.LockedOut, err = r.Conferences.Look(ctx, conference.Host{Account: p.Account, Number: p.Number}, a.From); err != nil {
		w.RoomsDown = true
		r.warn("the subscriber's conference could not be looked up: it is offered to nobody", err)
	}
}
