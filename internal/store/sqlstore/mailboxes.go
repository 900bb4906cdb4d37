package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

const mailboxColumns = "fqdn, id, tenant, account, number, class, state, retain_until, due, attempts, updated, version"

func readMailbox(scan scanner) (store.Mailbox, error) {
	var m store.Mailbox
	var retain, due, updated int64
	err := scan(&m.FQDN, &m.ID, &m.Tenant, &m.User, &m.Number, &m.Class, &m.State, &retain, &due, &m.Attempts, &updated, &m.Version)
	m.RetainUntil, m.Due, m.Updated = fromNanos(retain), fromNanos(due), fromNanos(updated)
	return m, err
}

func (s *Store) mailboxes(ctx context.Context, where string, args ...any) ([]store.Mailbox, error) {
	var out []store.Mailbox
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT "+mailboxColumns+" FROM mailboxes WHERE "+where, func(scan scanner) error {
			m, err := readMailbox(scan)
			out = append(out, m)
			return err
		}, args...)
	})
	return out, s.one(ctx, err, "mailboxes")
}

// Mailbox returns one.
func (s *Store) Mailbox(ctx context.Context, fqdn, id string) (store.Mailbox, error) {
	found, err := s.mailboxes(ctx, "fqdn = ? AND id = ?", fqdn, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("mailbox at %.64s: %w", fqdn, store.ErrNotFound)
	}
	if err != nil {
		return store.Mailbox{}, err
	}
	return found[0], nil
}

// MailboxesOf returns the mailboxes of a user.
func (s *Store) MailboxesOf(ctx context.Context, tenant, user string) ([]store.Mailbox, error) {
	return s.mailboxes(ctx, "tenant = ? AND account = ? ORDER BY fqdn, id", tenant, user)
}

// Mailboxes returns the mailboxes at one voicemail system.
func (s *Store) Mailboxes(ctx context.Context, fqdn, after string, limit int) ([]store.Mailbox, error) {
	return s.mailboxes(ctx, "fqdn = ? AND id > ? ORDER BY id LIMIT ?", fqdn, after, min(max(limit, 1), store.MaxList))
}

// DueMailboxes returns those that are due.
func (s *Store) DueMailboxes(ctx context.Context, now time.Time, limit int) ([]store.Mailbox, error) {
	return s.mailboxes(ctx, "due > 0 AND due <= ? ORDER BY due LIMIT ?", nanos(now), min(max(limit, 1), store.MaxList))
}

// SaveMailbox writes a mailbox that nobody wrote meanwhile.
func (s *Store) SaveMailbox(ctx context.Context, m store.Mailbox) (store.Mailbox, error) {
	known := m.Version
	m.Version++
	err := s.writing(ctx, func(t tx) error {
		var n int64
		var err error
		if known == 0 {
			n, err = t.affected("INSERT INTO mailboxes ("+mailboxColumns+") VALUES ("+marks(12)+") ON CONFLICT (fqdn, id) DO NOTHING", m.FQDN, m.ID, m.Tenant,
				m.User, m.Number, m.Class, string(m.State), nanos(m.RetainUntil), nanos(m.Due), m.Attempts, nanos(m.Updated), m.Version)
		} else {
			n, err = t.affected(`UPDATE mailboxes SET tenant = ?, account = ?, number = ?, class = ?, state = ?, retain_until = ?, due = ?, attempts = ?,
				updated = ?, version = ? WHERE fqdn = ? AND id = ? AND version = ?`, m.Tenant, m.User, m.Number, m.Class, string(m.State),
				nanos(m.RetainUntil), nanos(m.Due), m.Attempts, nanos(m.Updated), m.Version, m.FQDN, m.ID, known)
		}
		if err == nil && n == 0 {
			return fmt.Errorf("mailbox at %s: %w", m.FQDN, store.ErrConflict)
		}
		return err
	})
	return m, s.one(ctx, err, "mailbox at %.64s", m.FQDN)
}

// DeleteMailbox forgets one.
func (s *Store) DeleteMailbox(ctx context.Context, m store.Mailbox) error {
	err := s.writing(ctx, func(t tx) error {
		n, err := t.affected("DELETE FROM mailboxes WHERE fqdn = ? AND id = ? AND version = ?", m.FQDN, m.ID, m.Version)
		if err != nil || n > 0 {
			return err
		}
		var left int
		if err := t.row("SELECT count(*) FROM mailboxes WHERE fqdn = ? AND id = ?", m.FQDN, m.ID).Scan(&left); err != nil || left == 0 {
			return err
		}
		return fmt.Errorf("mailbox at %s: %w", m.FQDN, store.ErrConflict)
	})
	return s.one(ctx, err, "mailbox at %.64s", m.FQDN)
}
