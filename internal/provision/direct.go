package provision

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// MailboxError means that a voicemail system did not do what a change needs of it. Nothing is changed then.
type MailboxError struct{ Err error }

func (e *MailboxError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *MailboxError) Unwrap() error { return e.Err }

// Change writes the row of one account or number that somebody wrote by hand, and has the mailboxes follow as a request does: those that
// it needs are made before, those that no call leads to any more are kept for the retention after it. It returns the row as it is then.
// The error is a *MailboxError, an *Invalid, or one of the store, as store.Rows has them.
//
// Unlike a request it is over with its answer: a process that dies in it leaves a mailbox that its system has and the row does not
// want, which Reconcile finds.
func (s *Provisioner) Change(ctx context.Context, tenant string, c store.Change) ([]store.Row, error) {
	bad := &account.Invalid{}
	if c.Op == store.Put {
		if c.Entry = account.NormalizeEntry(c.Entry, c.At, bad); len(bad.Problems) > 0 {
			return nil, bad
		}
		c.Kind, c.Key = c.Entry.Kind(), c.Entry.Key()
	}
	before, err := s.opt.Rows.Get(ctx, tenant, c.Kind, c.Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if c.IfVersion != nil && *c.IfVersion != before.Version {
		return nil, store.ErrConflict
	}
	t, user := &target{}, userOf(c.Entry, before.Entry)
	if user != "" {
		if t, err = s.follow(ctx, tenant, user, c); err != nil {
			return nil, err
		}
	}
	if was, ok := before.Entry.(*account.NumberEntry); ok && was.Account != user { // the number goes from one account to another
		left, err := s.follow(ctx, tenant, was.Account, store.Change{Op: store.Delete, Kind: c.Kind, Key: c.Key})
		if err != nil {
			return nil, err
		}
		t.boxes, t.retire = append(t.boxes, left.boxes...), append(t.retire, left.retire...)
	}
	j := &job{s: s, row: store.Request{Tenant: tenant, User: user}, p: &progress{}, direct: true}
	rows, err := j.change(ctx, t, c)
	if err != nil && !j.written {
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		defer cancel()
		return nil, errors.Join(err, j.undo(undoing))
	}
	return rows, err
}

// userOf is the account that a change is about: that of what is written, else of what was there.
func userOf(entry, before account.Entry) string {
	for _, e := range []account.Entry{entry, before} {
		switch e := e.(type) {
		case *account.NumberEntry:
			return e.Account
		case *account.AccountEntry:
			return e.ID
		}
	}
	return ""
}

// follow finds what becomes of an account's mailboxes with a change of one of its rows.
func (s *Provisioner) follow(ctx context.Context, tenant, user string, c store.Change) (*target, error) {
	r := Request{UserProfile: user}
	number, _ := c.Entry.(*account.NumberEntry)
	if number != nil {
		r.Numbers = []string{number.Number}
	}
	if number != nil && number.Voicemail != nil {
		r.Services = []Service{{Type: Voicemail, Pilot: number.Voicemail.Pilot}}
	}
	w, err := s.look(ctx, tenant, r)
	if err != nil || w.account == nil || number != nil && w.foreign[number.Number] {
		return &target{}, err // the store says what is wrong with the number
	}
	d := &decision{w: w, r: r, bad: &Invalid{}, t: &target{scope: map[string]bool{}}, now: time.Now(), account: w.account, numbers: map[string]*account.NumberEntry{}}
	for _, row := range w.numbers {
		d.numbers[row.Key] = row.Entry.(*account.NumberEntry)
	}
	switch e := c.Entry.(type) {
	case *account.NumberEntry:
		d.numbers[e.Number], d.t.scope[e.Number] = e, true
	case *account.AccountEntry:
		if e.State == w.account.State {
			return d.t, nil // mailboxes know nothing else of it
		}
		d.account = e
		d.everything()
	default:
		if c.Kind != account.KindNumber {
			return d.t, nil // an account goes only when it has no numbers any more
		}
		delete(d.numbers, c.Key)
		d.t.scope[c.Key] = true
	}
	d.boxes()
	d.darken()
	d.t.numbers = slices.Collect(maps.Values(d.numbers))
	if number != nil {
		switch kept, err := s.keptByAnother(ctx, w, user, number); {
		case err != nil:
			return nil, err
		case kept:
			d.bad.add("/voicemail/mailbox", "the mailbox named %s is still that of the number's former subscriber: send a provisioning request, which finds another name, or name one", number.Number)
		}
	}
	for _, m := range d.t.boxes {
		other, err := s.opt.Mailboxes.Mailbox(ctx, m.FQDN, m.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil && (other.Tenant != m.Tenant || other.User != m.User) && other.State != store.MailboxRetained && other.State != store.MailboxDeleting {
			d.bad.add("/voicemail/mailbox", "%.40q is another subscriber's at %s: name another one, or take the number from that subscriber first", m.ID, m.FQDN)
		}
	}
	return d.t, d.bad.err()
}

// change makes what is missing, writes the row, and retires what is left over.
func (j *job) change(ctx context.Context, t *target, c store.Change) ([]store.Row, error) {
	for i := range t.boxes {
		err := j.make(ctx, &t.boxes[i])
		var failed *failure
		switch {
		case errors.As(err, &failed):
			return nil, &MailboxError{failed.err}
		case errors.Is(err, errDeleting) || err != nil && ctx.Err() != nil:
			return nil, &MailboxError{err}
		case err != nil:
			return nil, err
		}
	}
	rows, err := j.s.opt.Rows.Change(ctx, j.row.Tenant, []store.Change{c}, time.Now())
	if err != nil {
		return nil, err
	}
	j.written = true
	ctx = context.WithoutCancel(ctx) // the row is true from now on
	for _, m := range t.boxes {
		err = errors.Join(err, ignoreConflict(j.settle(ctx, m)))
	}
	if err = errors.Join(err, j.retire(ctx, t)); err != nil {
		j.s.log.Warn("what became of mailboxes was not kept: provision reconcile finds them", zap.String("tenant", j.row.Tenant), zap.String("account", j.row.User), zap.Error(err))
	}
	return rows, nil
}
