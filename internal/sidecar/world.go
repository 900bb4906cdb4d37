package sidecar

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
)

// Directory is what is looked up of a call beside profiles.
type Directory interface {
	store.Pilots
	store.Contacts
	store.Schedules
	NumbersOf(ctx context.Context, user, host string) ([]tel.Number, error)
	WaitingOf(ctx context.Context, number tel.Number) ([]store.Waiting, error)
}

// lookAroundTime bounds all look-ups for one call together, that of its profile among them. What is not known by then counts as not there.
const lookAroundTime = 150 * time.Millisecond

// Around finds what is to be known of a call beside its profile. Look never fails: a store that is silent costs a call the finer
// points, and nothing is ever opened to a caller because of it.
type Around struct {
	Profiles  Profiles
	Directory Directory // nil = nothing is known
	// Access are the numbers at which calls for many subscribers arrive.
	Access      map[tel.Number]bool
	Conferences Conferences // nil = there are none
	Logger      *zap.Logger
}

// Look returns the world of a call. p is the profile of the number it is for, nil when nobody owns it; from says who sent it on, as
// Subscriber found out.
func (r Around) Look(ctx context.Context, a call.Arrival, p *account.Profile, from *call.Forward, region string, s treat.Settings) call.World {
	w := call.World{Draw: rand.Uint64(), Forwarded: from}
	if p != nil {
		w.FromVoicemail = fromVoicemail(a, p.Systems)
	}
	if r.Directory == nil {
		return w
	}
	ctx, cancel := context.WithTimeout(ctx, lookAroundTime)
	defer cancel()
	if p != nil && !a.PilotsOnly {
		r.callee(ctx, &w, a, *p, region)
		return w
	}
	r.pilot(ctx, &w, a, s.Mailbox)
	return w
}

// callee looks for the caller among the subscriber's contacts, and for whom a diverted call was placed to first.
func (r Around) callee(ctx context.Context, w *call.World, a call.Arrival, p account.Profile, region string) {
	if treat.AsksForContacts(p) && a.From.Number != "" && !a.From.Withheld {
		found, err := r.Directory.ContactsWith(ctx, p.Account.Tenant, p.Account.ID, a.From.Number)
		if w.ContactsDown = err != nil; err != nil {
			r.warn("contacts could not be looked up, rules that ask for them stand aside", err)
		}
		w.Contact = account.Calling(found)
		if len(found) > 1 && r.Logger != nil {
			r.Logger.Info("several contacts have the caller's number: one that is shared counts, else who was changed last", zap.String("account", p.Account.ID), zap.String("number", a.From.Number.Masked()),
				zap.String("contact", w.Contact.ID), zap.Bool("shared", w.Contact.Shared), zap.Int("contacts", len(found)))
		}
	}
	r.conference(ctx, w, a, p)
	if p.Voicemail != nil && p.Voicemail.FirstDiverter {
		if first, err := r.Profiles.Profile(ctx, tel.FirstDiverter(a.Diversions, a.History, region)); err == nil {
			w.First = &first
		}
	}
}

// pilot finds out whether a pilot was dialled, and from whose line.
func (r Around) pilot(ctx context.Context, w *call.World, a call.Arrival, s mailbox.Settings) {
	key := a.Dialled
	if a.To != "" {
		key = string(a.To)
	}
	lines := r.lines(ctx, a.Line)
	tenant := ""
	if len(lines) > 0 {
		tenant = lines[0].Account.Tenant
	}
	var pilot *account.Route
	switch route, err := r.Directory.PilotRoute(ctx, tenant, key); {
	case err == nil:
		pilot = &route
	case !errors.Is(err, store.ErrNotFound):
		r.warn("pilots could not be looked up", err)
	}
	for _, line := range lines {
		if w.Retrieves = mailbox.Retrieves(key, &line, pilot, s); w.Retrieves != nil && w.Retrieves.Line != nil {
			w.Waiting = r.waiting(ctx, line.Number)
			return
		}
	}
	w.Retrieves = mailbox.Retrieves(key, nil, pilot, s)
}

// maxLines bounds the numbers of one phone that are looked at.
const maxLines = 8

// numbers are those that a phone rings for.
func (r Around) numbers(ctx context.Context, d account.Device) []tel.Number {
	if d.User == "" {
		return nil
	}
	numbers, err := r.Directory.NumbersOf(ctx, d.User, d.Host)
	if err != nil {
		r.warn("the numbers of a phone could not be looked up: it counts as another line", err)
	}
	return numbers[:min(len(numbers), maxLines)]
}

// lines are the profiles of the numbers that a phone rings for.
func (r Around) lines(ctx context.Context, d account.Device) (out []account.Profile) {
	for _, n := range r.numbers(ctx, d) {
		if p, err := r.Profiles.Profile(ctx, n); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// waiting are the systems that have messages of a number.
func (r Around) waiting(ctx context.Context, n tel.Number) (systems []string) {
	kept, err := r.Directory.WaitingOf(ctx, n)
	if err != nil {
		r.warn("message counts could not be looked up", err)
	}
	for _, w := range kept {
		if w.New+w.Old > 0 {
			systems = append(systems, w.System)
		}
	}
	return systems
}

func (r Around) warn(text string, err error) {
	if r.Logger != nil {
		r.Logger.Warn(text, zap.Error(err))
	}
}

// fromVoicemail is the system of a subscriber that has placed the call, by where it comes from and by how it calls itself. A caller who
// lies about that only keeps himself from voicemail.
func fromVoicemail(a call.Arrival, systems []account.VoicemailSystem) string {
	source := a.Source.Addr().Unmap()
	for _, v := range systems {
		if slices.ContainsFunc(a.FromHosts, func(h string) bool { return strings.EqualFold(h, v.FQDN) }) ||
			slices.ContainsFunc(v.Notifies, func(p netip.Prefix) bool { return p.Contains(source) }) {
			return v.FQDN
		}
	}
	return ""
}
