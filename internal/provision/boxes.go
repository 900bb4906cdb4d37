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
// arrive behind the next one's and suspend it. Between processes that share a store nothing holds: reconcile finds what differs.
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
		// It was kept for the number's former subscriber, whose messages are none of this one's business.
		if err = j.s.delete(ctx, was); err == nil {
			if err := j.s.opt.Mailboxes.DeleteMailbox(ctx, was); err != nil {
				return err
			}
		}
		exists, m.Version = false, 0
	default:
		err = nil
	}
	if err == nil {
		if err := j.keep(ctx, *m, was, exists); err != nil {
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

// keep keeps what is about to be done to a mailbox.
func (j *job) keep(ctx context.Context, m, was store.Mailbox, exists bool) error {
	if exists {
		if !has(j.p.Before, was) && !has(j.p.Made, was) {
			j.p.Before = append(j.p.Before, was)
		}
	} else {
		j.p.Made = append(j.p.Made, m)
	}
	if err := j.save(ctx, lease); err != nil || exists && was.State != store.MailboxRetained {
		return err
	}
	// Written before its system is told, so that nobody who was about to delete it does.
	m.State, m.Updated = store.MailboxCreating, time.Now()
	if j.direct {
		m.Due = m.Updated.Add(deletingTime) // nobody else would look at it, should this process die
	}
	_, err := j.s.opt.Mailboxes.SaveMailbox(ctx, m)
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

// settle keeps that a mailbox is at its system as m says.
func (j *job) settle(ctx context.Context, m store.Mailbox) error {
	was, err := j.s.opt.Mailboxes.Mailbox(ctx, m.FQDN, m.ID)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return store.ErrConflict
		}
		return err
	}
	m.Version, m.Updated = was.Version, time.Now()
	if was.State == m.State && was.Number == m.Number && was.Class == m.Class && was.Due.IsZero() {
		return nil
	}
	_, err = j.s.opt.Mailboxes.SaveMailbox(ctx, m)
	return err
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
		was, err := j.s.opt.Mailboxes.Mailbox(ctx, m.FQDN, m.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && was.State != store.MailboxCreating {
			continue // taken back already, or somebody's by now
		}
		if err != nil {
			return err
		}
		now := time.Now()
		was.State, was.RetainUntil, was.Due, was.Updated = store.MailboxRetained, now, now, now
		if was, err = j.s.opt.Mailboxes.SaveMailbox(ctx, was); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err == nil && !j.direct { // who wrote by hand waits for an answer
			_ = j.s.attend(ctx, was)
		}
	}
	for _, m := range j.p.Before {
		was, err := j.s.opt.Mailboxes.Mailbox(ctx, m.FQDN, m.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		m.Version, m.Due, m.Updated = was.Version, time.Now(), time.Now()
		if _, err := j.s.opt.Mailboxes.SaveMailbox(ctx, m); err != nil && !errors.Is(err, store.ErrConflict) {
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
		if m.State != store.MailboxCreating {
			continue
		}
		j.s.later(&m)
		if _, err := j.s.opt.Mailboxes.SaveMailbox(ctx, m); ignoreConflict(err) != nil {
			return err
		}
	}
	return nil
}

// tell makes a mailbox at its system be as m says, in a few tries.
func (s *Provisioner) tell(ctx context.Context, m store.Mailbox) error {
	box := vmadmin.Mailbox{ID: m.ID, Number: m.Number, State: vmadmin.Active, Class: m.Class}
	if m.State != store.MailboxActive && m.State != store.MailboxCreating {
		box.State = vmadmin.Suspended
	}
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
			continue // each is done, or due later
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
	err := s.tell(ctx, m)
	m.Updated = now
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
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
	if _, saved := s.opt.Mailboxes.SaveMailbox(ctx, m); saved != nil && !errors.Is(saved, store.ErrConflict) {
		return errors.Join(err, saved)
	}
	return err
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
