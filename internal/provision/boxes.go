package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/vmadmin"
)

const (
	putTries     = 3                      // of a mailbox, within one request
	putPause     = 200 * time.Millisecond // before the second; five times as long before the third
	deletingTime = time.Minute            // that somebody who is deleting a mailbox has
	maxPause     = time.Hour              // between tries of the sweeper
)

var errDeleting = errors.New("the mailbox that was there before is being deleted")

// boxLocks let one at a time tell a system of a mailbox, so that what the sweeper was about to say of a former subscriber's does not
// arrive behind the next one's and suspend it. Between processes that share a store nothing holds: whoever finds that the row was written
// while he told its system has it told once more (toldLate, settle). Only what a process was telling when it was killed is left to reconcile.
type boxLocks struct {
	mu   sync.Mutex
	held map[string]*boxLock
}

type boxLock struct {
	sync.Mutex
	users int // who hold it or wait for it
}

// lock waits for a mailbox and returns what gives it back.
func (l *boxLocks) lock(fqdn, id string) (unlock func()) {
	name := fqdn + " " + id
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*boxLock{}
	}
	b := l.held[name]
	if b == nil {
		b = &boxLock{}
		l.held[name] = b
	}
	b.users++
	l.mu.Unlock()
	b.Lock()
	return func() {
		b.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if b.users--; b.users == 0 {
			delete(l.held, name)
		}
	}
}

// make makes a mailbox at its system be as m says. What was there before is kept for undo first.
func (j *job) make(ctx context.Context, m *store.Mailbox) error {
	defer j.s.boxes.lock(m.FQDN, m.ID)()
	began, target := time.Now(), m.FQDN+" mailbox "+m.ID
	was, err := j.s.opt.Mailboxes.Mailbox(ctx, m.FQDN, m.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	exists := err == nil
	m.Version = was.Version
	switch {
	case exists && was.State == m.State && was.Number == m.Number && was.Class == m.Class && was.Due.IsZero() && was.User == m.User && was.Tenant == m.Tenant:
		return nil
	case exists && was.State == store.MailboxDeleting:
		return errDeleting // it is over in a moment, and then this goes on
	case exists && (was.User != m.User || was.Tenant != m.Tenant):
		if was.State != store.MailboxRetained {
			return store.ErrConflict // somebody else's since we looked
		}
		var refused *MailboxError
		if err = j.s.discard(ctx, was); err != nil && !errors.As(err, &refused) {
			return err
		}
		exists, m.Version = false, 0
	default:
		err = nil
	}
	if err == nil {
		if err := j.keep(ctx, m, was, exists); err != nil {
			return err
		}
		err = j.s.tell(ctx, *m)
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	j.step("mailbox", target, began, err)
	if err != nil {
		return &failure{"mailbox", Voicemail, fmt.Errorf("%s: %w", target, err)}
	}
	return nil
}

// keep keeps what is about to be done to a mailbox; m gets the version that its row has then.
func (j *job) keep(ctx context.Context, m *store.Mailbox, was store.Mailbox, exists bool) error {
	if exists {
		if !has(j.p.Before, was) && !has(j.p.Made, was) {
			j.p.Before = append(j.p.Before, was)
		}
	} else {
		j.p.Made = append(j.p.Made, *m)
	}
	if err := j.save(ctx, lease); err != nil || exists && was.State != store.MailboxRetained {
		return err
	}
	// Written before its system is told, so that nobody who was about to delete it does.
	making := *m
	making.State, making.Updated = store.MailboxCreating, time.Now()
	if j.direct {
		making.Due = making.Updated.Add(deletingTime) // nobody else would look at it, should this process die
	}
	saved, err := j.s.opt.Mailboxes.SaveMailbox(ctx, making)
	m.Version = saved.Version
	return err
}

func has(list []store.Mailbox, m store.Mailbox) bool {
	for _, have := range list {
		if have.FQDN == m.FQDN && have.ID == m.ID {
			return true
		}
	}
	return false
}

// settle keeps that a mailbox is at its system as m says. When somebody wrote the row since make told the system of it, he may have told
// something else behind that, and it is told once more.
func (j *job) settle(ctx context.Context, m store.Mailbox) error {
	known, same := true, true
	_, err := j.s.rewrite(ctx, m, func(is *store.Mailbox) bool {
		known, same = is.Version != 0, is.Version == m.Version
		if !known || same && is.State == m.State && is.Number == m.Number && is.Class == m.Class && is.Due.IsZero() {
			return false
		}
		version := is.Version
		*is = m
		if is.Version, is.Updated = version, time.Now(); !same {
			is.Due = is.Updated
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case !known:
		return store.ErrConflict
	case !same:
		j.s.wake(j.s.sweep)
	}
	return nil
}

// rewrite changes the row of a mailbox, on what is kept of it, also when others write it at the same time. change returns whether there is
// something to write; the Version is 0 when nothing is kept.
func (s *Provisioner) rewrite(ctx context.Context, m store.Mailbox, change func(is *store.Mailbox) bool) (store.Mailbox, error) {
	for try := 1; ; try++ {
		is, err := s.opt.Mailboxes.Mailbox(ctx, m.FQDN, m.ID)
		if errors.Is(err, store.ErrNotFound) {
			is, err = store.Mailbox{FQDN: m.FQDN, ID: m.ID}, nil
		}
		if err != nil || !change(&is) {
			return is, err
		}
		if is, err = s.opt.Mailboxes.SaveMailbox(ctx, is); !errors.Is(err, store.ErrConflict) || try == maxTries {
			return is, err
		}
	}
}

// retire has the mailboxes that the subscriber loses kept for the retention. Their systems are told behind the request's back,
// until they have understood: no call leads there any more.
func (j *job) retire(ctx context.Context, t *target) error {
	lamps := map[string]bool{}
	for _, m := range t.retire {
		began := time.Now()
		m.State, m.RetainUntil, m.Due, m.Attempts, m.Updated = store.MailboxRetained, began.Add(j.s.opt.Retention), began, 0, began
		if _, err := j.s.opt.Mailboxes.SaveMailbox(ctx, m); err != nil {
			return err
		}
		j.step("retain", fmt.Sprintf("%s mailbox %s until %s", m.FQDN, m.ID, m.RetainUntil.UTC().Format(time.RFC3339)), began, nil)
		lamps[m.Number] = true
	}
	for _, n := range t.dark {
		lamps[n] = true
	}
	for _, n := range t.numbers {
		if n.Voicemail != nil {
			delete(lamps, n.Number)
		}
	}
	for n := range lamps {
		if j.s.opt.ClearLamp == nil {
			break
		}
		if err := j.s.opt.ClearLamp(ctx, j.row.Tenant, n); err != nil {
			j.s.log.Warn("message lamp not put out", zap.String("tenant", j.row.Tenant), zap.Error(err))
		}
	}
	if len(t.retire) > 0 {
		j.s.wake(j.s.sweep)
	}
	return nil
}

// undo takes back what the request did to mailboxes. What a system does not take now is done later by the sweeper. When the profile
// is as it was asked for, because the process died behind that step, the sweeper makes the mailboxes instead.
func (j *job) undo(ctx context.Context) error {
	if j.written {
		return j.finishLater(ctx)
	}
	for _, m := range j.p.Made {
		taken := false // back: not already, and not somebody's by now
		was, err := j.s.rewrite(ctx, m, func(is *store.Mailbox) bool {
			now := time.Now()
			if taken = is.State == store.MailboxCreating; taken {
				is.State, is.RetainUntil, is.Due, is.Updated = store.MailboxRetained, now, now, now
			}
			return taken
		})
		if err != nil {
			return err
		}
		if taken && !j.direct { // who wrote by hand waits for an answer
			_ = j.s.attend(ctx, was)
		}
	}
	for _, m := range j.p.Before {
		_, err := j.s.rewrite(ctx, m, func(is *store.Mailbox) bool {
			m.Version, m.Due, m.Updated = is.Version, time.Now(), time.Now()
			*is = m
			return true
		})
		if err != nil {
			return err
		}
	}
	for i := range j.p.Steps {
		if j.p.Steps[i].Status == Done {
			j.p.Steps[i].Status = Undone
		}
	}
	j.p.Made, j.p.Before = nil, nil
	j.s.wake(j.s.sweep)
	return nil
}

// finishLater leaves the mailboxes that are not made yet to the sweeper.
func (j *job) finishLater(ctx context.Context) error {
	mailboxes, err := j.s.opt.Mailboxes.MailboxesOf(ctx, j.row.Tenant, j.row.User)
	if err != nil {
		return err
	}
	for _, m := range mailboxes {
		_, err := j.s.rewrite(ctx, m, func(is *store.Mailbox) bool {
			if is.State != store.MailboxCreating {
				return false
			}
			j.s.later(is)
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// telling is what a system is told of a mailbox, as far as its row says it.
func telling(m store.Mailbox) vmadmin.Mailbox {
	box := vmadmin.Mailbox{ID: m.ID, Number: m.Number, State: vmadmin.Active, Class: m.Class}
	if m.State != store.MailboxActive && m.State != store.MailboxCreating {
		box.State = vmadmin.Suspended
	}
	return box
}

// tell makes a mailbox at its system be as m says, in a few tries.
func (s *Provisioner) tell(ctx context.Context, m store.Mailbox) error {
	box := telling(m)
	if row, err := s.opt.Rows.Get(ctx, m.Tenant, account.KindAccount, m.User); err == nil {
		a := row.Entry.(*account.AccountEntry)
		box.Language, box.TimeZone = a.Language, a.TimeZone
	}
	return s.tries(ctx, "put", m.FQDN, func(v *vmadmin.System) error { return v.Put(ctx, box) })
}

// delete deletes a mailbox at its system.
func (s *Provisioner) delete(ctx context.Context, m store.Mailbox) error {
	return s.tries(ctx, "delete", m.FQDN, func(v *vmadmin.System) error { return v.Delete(ctx, m.ID) })
}

func (s *Provisioner) tries(ctx context.Context, operation, fqdn string, do func(*vmadmin.System) error) error {
	system := s.opt.Systems[fqdn]
	if system == nil {
		return fmt.Errorf("voicemail system %s is not in voicemail.mailboxes any more", fqdn)
	}
	pause := putPause
	for try := 1; ; try++ {
		err := do(system)
		if err == nil {
			s.opt.Meter.Mailbox(operation, "ok")
			return nil
		}
		s.opt.Meter.Mailbox(operation, "error")
		if try == putTries || !vmadmin.Temporary(err) {
			return err
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
		pause *= 5
	}
}

// sweepMailboxes does what is due of mailboxes until ctx ends.
func (s *Provisioner) sweepMailboxes(ctx context.Context) error {
	again := time.NewTicker(sweepEvery)
	defer again.Stop()
	var first store.Mailbox // of those that were due before
	for ctx.Err() == nil {
		due, err := s.opt.Mailboxes.DueMailboxes(ctx, time.Now(), 100)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("provisioning: the store gives no mailboxes", zap.Error(err))
		}
		for _, m := range due {
			if err := s.attend(ctx, m); err != nil && ctx.Err() == nil {
				s.log.Warn("a mailbox waits", zap.String("fqdn", m.FQDN), zap.String("tenant", m.Tenant), zap.String("state", string(m.State)), zap.Error(err))
			}
		}
		if len(due) > 0 {
			before := first
			if first = due[0]; first.FQDN != before.FQDN || first.ID != before.ID || first.Version != before.Version {
				continue // each is done, or due later; but not while the store takes nothing
			}
		}
		select {
		case <-ctx.Done():
		case <-s.sweep:
		case <-again.C:
		}
	}
	return nil
}

// attend does what is due of one mailbox. Whoever writes it meanwhile wins.
func (s *Provisioner) attend(ctx context.Context, m store.Mailbox) error {
	defer s.boxes.lock(m.FQDN, m.ID)()
	switch is, err := s.opt.Mailboxes.Mailbox(ctx, m.FQDN, m.ID); {
	case errors.Is(err, store.ErrNotFound) || err == nil && is.Version != m.Version:
		return nil // somebody was faster, who told the system too
	case err != nil:
		return err
	}
	now := time.Now()
	if m.State == store.MailboxRetained && !m.RetainUntil.After(now) || m.State == store.MailboxDeleting {
		return s.forgetBox(ctx, m)
	}
	told := m
	err := s.tell(ctx, m)
	m.Updated = now
	switch {
	case ctx.Err() != nil:
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		defer cancel()
		return errors.Join(ctx.Err(), s.toldLate(stopping, told))
	case err != nil:
		s.later(&m)
	case m.State == store.MailboxRetained:
		m.Due, m.Attempts = m.RetainUntil, 0
	default:
		if m.State == store.MailboxCreating {
			m.State = store.MailboxActive
		}
		m.Due, m.Attempts = time.Time{}, 0
	}
	_, saved := s.opt.Mailboxes.SaveMailbox(ctx, m)
	if errors.Is(saved, store.ErrConflict) {
		saved = s.toldLate(ctx, told)
	}
	return errors.Join(err, saved)
}

// toldLate has a mailbox told once more, as its row is now: somebody else wrote that while its system was told of what it was before, which may
// have arrived behind what he told.
func (s *Provisioner) toldLate(ctx context.Context, told store.Mailbox) error {
	_, err := s.rewrite(ctx, told, func(is *store.Mailbox) bool {
		now := time.Now()
		switch {
		case is.Version == told.Version:
			return false // nobody did
		case is.Version == 0: // it was deleted, and we may have made it again
			*is = told
			is.Version, is.State, is.RetainUntil, is.Due, is.Attempts = 0, store.MailboxRetained, now, now, 0
		case is.State == store.MailboxDeleting: // whoever is at it finds another version, and it is deleted once more when his time is over
		case is.Tenant == told.Tenant && is.User == told.User && telling(*is) == telling(told):
			return false
		case is.State == store.MailboxCreating: // whoever is at it finds another version, and settle has it told
		default:
			is.Due = now
		}
		is.Updated = now
		return true
	})
	s.wake(s.sweep)
	return err
}

// discard deletes a mailbox that was kept for a former subscriber, whose messages are none of the next one's business. Its row says so
// before, for other processes. It is as it was when the system does not do it; the error is a *MailboxError then.
func (s *Provisioner) discard(ctx context.Context, was store.Mailbox) error {
	m, now := was, time.Now()
	m.State, m.Due, m.Updated = store.MailboxDeleting, now.Add(deletingTime), now
	m, err := s.opt.Mailboxes.SaveMailbox(ctx, m)
	if err != nil {
		return err
	}
	if err := s.delete(ctx, m); err != nil {
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		defer cancel()
		was.Version = m.Version
		_, saved := s.opt.Mailboxes.SaveMailbox(undoing, was)
		return &MailboxError{errors.Join(err, ignoreConflict(saved))}
	}
	return s.opt.Mailboxes.DeleteMailbox(ctx, m)
}

// forgetBox deletes a mailbox at its system, and then here.
func (s *Provisioner) forgetBox(ctx context.Context, m store.Mailbox) error {
	now := time.Now()
	m.State, m.Due, m.Updated = store.MailboxDeleting, now.Add(deletingTime), now
	m, err := s.opt.Mailboxes.SaveMailbox(ctx, m)
	if err != nil {
		return ignoreConflict(err)
	}
	if err := s.delete(ctx, m); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.later(&m)
		m.State, m.RetainUntil = store.MailboxRetained, now
		_, saved := s.opt.Mailboxes.SaveMailbox(ctx, m)
		return errors.Join(err, ignoreConflict(saved))
	}
	return ignoreConflict(s.opt.Mailboxes.DeleteMailbox(ctx, m))
}

func (s *Provisioner) later(m *store.Mailbox) {
	m.Attempts++
	m.Due = time.Now().Add(min(time.Second<<min(m.Attempts, 20), maxPause))
}

func ignoreConflict(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
