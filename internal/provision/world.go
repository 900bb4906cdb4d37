package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// world is what a request is decided on: the subscriber as it is, and what the request refers to.
type world struct {
	tenant    string
	account   *account.AccountEntry // nil = there is none
	version   int64                 // of the account's row
	numbers   []store.Row           // of the account, *account.NumberEntry
	rules     []store.Row           // of the account, *account.RuleEntry; read for changeNumber alone
	owner     map[string]string     // account of the same tenant that has a number the request names; absent = nobody of the tenant
	foreign   map[string]bool       // numbers the request names that are another tenant's
	pilots    map[string]pilot      // by number, that the tenant may use
	mailboxes []store.Mailbox       // of the user
	taken     map[string]bool       // names of mailboxes that are another subscriber's
	told      func(fqdn string) bool
	fallback  string // api.default_pilot
}

// pilot is a pilot with the systems behind it.
type pilot struct {
	own     bool // the tenant's own, not the operator's
	private bool // and none of its systems is one that the operator has too
	entry   *account.PilotEntry
	systems map[string]*account.SystemEntry
}

// maxPilots bounds how many pilots are looked through for one that a request does not name.
const maxPilots = store.MaxList

// look reads the world of a request.
func (s *Provisioner) look(ctx context.Context, tenant string, r Request) (*world, error) {
	w := &world{
		tenant: tenant, owner: map[string]string{}, foreign: map[string]bool{}, pilots: map[string]pilot{}, taken: map[string]bool{}, fallback: s.opt.DefaultPilot,
		told: func(fqdn string) bool { return s.opt.Systems[fqdn] != nil },
	}
	row, err := s.opt.Rows.Get(ctx, tenant, account.KindAccount, r.UserProfile)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		w.account, w.version = row.Entry.(*account.AccountEntry), row.Version
	}
	if w.account != nil {
		if w.numbers, err = s.all(ctx, tenant, account.KindNumber, r.UserProfile); err != nil {
			return nil, err
		}
	}
	if r.Action == ChangeNumber {
		if w.rules, err = s.all(ctx, tenant, account.KindRule, r.UserProfile); err != nil {
			return nil, err
		}
	}
	named := slices.Clone(r.Numbers)
	if r.NewNumber != "" {
		named = append(named, r.NewNumber)
	}
	for _, n := range named {
		row, err := s.opt.Rows.Get(ctx, tenant, account.KindNumber, n)
		switch {
		case errors.Is(err, store.ErrNotFound):
			// Another tenant's is found out now: its mailbox of that name must not be touched.
			if p, err := s.opt.Profiles.Profile(ctx, tel.Number(n)); err == nil {
				w.foreign[n] = p.Account.Tenant != tenant
			} else if !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
		case err != nil:
			return nil, err
		default:
			w.owner[n] = row.Entry.(*account.NumberEntry).Account
		}
	}
	if w.mailboxes, err = s.opt.Mailboxes.MailboxesOf(ctx, tenant, r.UserProfile); err != nil {
		return nil, err
	}
	return w, s.lookAtPilots(ctx, w, r)
}

// plan reads the world of a request and decides it. A mailbox's name that is another subscriber's is not given to this one: that
// subscriber may have kept it with another number.
func (s *Provisioner) plan(ctx context.Context, tenant string, r Request, again bool) (*target, error) {
	bad := &Invalid{}
	if err := s.ownPhones(ctx, tenant, r.Devices, bad); err != nil {
		return nil, err
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	w, err := s.look(ctx, tenant, r)
	if err != nil {
		return nil, err
	}
	for {
		t, err := decide(w, r, again, time.Now())
		if err != nil {
			return nil, err
		}
		known := len(w.taken)
		for _, m := range t.boxes {
			other, err := s.opt.Mailboxes.Mailbox(ctx, m.FQDN, m.ID)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			if err == nil && (other.Tenant != m.Tenant || other.User != m.User) && other.State != store.MailboxRetained && other.State != store.MailboxDeleting {
				w.taken[m.ID] = true
			}
		}
		for _, n := range t.numbers {
			if t.scope[n.Number] {
				kept, err := s.keptByAnother(ctx, w, r.UserProfile, n)
				if err != nil {
					return nil, err
				}
				if kept {
					w.taken[n.Number] = true
				}
			}
		}
		if len(w.taken) == known {
			return t, nil
		}
	}
}

// keptByAnother reports whether the mailbox that is named like a number is that of its former subscriber, who has another number now and
// kept it, at one of the same systems. Of those that are told of their mailboxes it is known from these.
func (s *Provisioner) keptByAnother(ctx context.Context, w *world, user string, n *account.NumberEntry) (bool, error) {
	if s.opt.Names == nil || n.Voicemail == nil || cmp.Or(n.Voicemail.Mailbox, n.Number) != n.Number {
		return false, nil
	}
	for _, row := range w.numbers {
		if was := row.Entry.(*account.NumberEntry).Voicemail; row.Key == n.Number && was != nil && cmp.Or(was.Mailbox, n.Number) == n.Number {
			return false, nil // it is the number's already
		}
	}
	by, err := s.opt.Names.NumberOfMailbox(ctx, "", n.Number)
	var other account.Profile
	if err == nil {
		other, err = s.opt.Profiles.Profile(ctx, by)
	}
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && other.Account.Tenant == w.tenant && other.Account.ID == user:
		return false, nil
	case err != nil:
		return false, err
	}
	systems := w.pilots[n.Voicemail.Pilot].systems
	return slices.ContainsFunc(other.Systems, func(v account.VoicemailSystem) bool { return systems[v.FQDN] != nil }), nil
}

func (s *Provisioner) all(ctx context.Context, tenant string, kind account.Kind, of string) ([]store.Row, error) {
	var out []store.Row
	for after := ""; ; {
		page, err := s.opt.Rows.List(ctx, tenant, kind, store.ListOptions{After: after, Limit: store.MaxList, Account: of})
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if len(page) < store.MaxList {
			return out, nil
		}
		after = page[len(page)-1].Key
	}
}

// lookAtPilots reads the pilots that numbers and request name, and all there are when the request leaves the choice.
func (s *Provisioner) lookAtPilots(ctx context.Context, w *world, r Request) error {
	var names []string
	for _, n := range w.numbers {
		if v := n.Entry.(*account.NumberEntry).Voicemail; v != nil {
			names = append(names, v.Pilot)
		}
	}
	if v, _ := r.voicemail(); v != nil && v.Pilot != "" {
		names = append(names, v.Pilot)
	} else if v != nil {
		for _, tenant := range []string{w.tenant, account.OperatorTenant} {
			rows, err := s.opt.Rows.List(ctx, tenant, account.KindPilot, store.ListOptions{Limit: maxPilots})
			if err != nil {
				return err
			}
			for _, row := range rows {
				names = append(names, row.Key)
			}
		}
	}
	for _, name := range names {
		if _, known := w.pilots[name]; known {
			continue
		}
		p, err := s.pilot(ctx, w.tenant, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		w.pilots[name] = p
	}
	return nil
}

// pilot reads a pilot that a tenant may use, its own before the operator's.
func (s *Provisioner) pilot(ctx context.Context, tenant, name string) (pilot, error) {
	row, own, err := s.shared(ctx, tenant, account.KindPilot, name)
	if err != nil {
		return pilot{}, err
	}
	p := pilot{own: own, private: own, entry: row.Entry.(*account.PilotEntry), systems: map[string]*account.SystemEntry{}}
	for _, system := range p.entry.Systems {
		row, _, err := s.shared(ctx, row.Tenant, account.KindVoicemailSystem, system.FQDN)
		if err != nil {
			return pilot{}, fmt.Errorf("pilot %s: %w", name, err)
		}
		p.systems[system.FQDN] = row.Entry.(*account.SystemEntry)
		if _, err := s.opt.Rows.Get(ctx, account.OperatorTenant, account.KindVoicemailSystem, system.FQDN); !errors.Is(err, store.ErrNotFound) {
			p.private = false
		}
	}
	return p, nil
}

// shared reads a row of a tenant, or the operator's of the same key.
func (s *Provisioner) shared(ctx context.Context, tenant string, kind account.Kind, key string) (store.Row, bool, error) {
	row, err := s.opt.Rows.Get(ctx, tenant, kind, key)
	if errors.Is(err, store.ErrNotFound) && tenant != account.OperatorTenant {
		row, err = s.opt.Rows.Get(ctx, account.OperatorTenant, kind, key)
		return row, false, err
	}
	return row, true, err
}
