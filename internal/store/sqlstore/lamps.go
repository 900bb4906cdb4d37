package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// The kinds of names of a number.
const (
	namePhone   = "phone"
	nameMailbox = "mailbox"
)

// numberName is how a number is found by something else.
type numberName struct{ kind, name, profile string }

// namesOf are the names of a number; a phone that stands twice is one.
func namesOf(entry account.Entry) (out []numberName) {
	n, ok := entry.(*account.NumberEntry)
	if !ok || n == nil {
		return nil
	}
	for _, d := range n.Devices {
		if d.Kind != account.DeviceRegistered {
			continue
		}
		name := store.PhoneKey(d.User, d.Host)
		if !slices.ContainsFunc(out, func(o numberName) bool { return o.name == name }) {
			out = append(out, numberName{namePhone, name, d.Profile})
		}
	}
	if n.Voicemail != nil && n.Voicemail.Mailbox != "" {
		out = append(out, numberName{nameMailbox, n.Voicemail.Mailbox, ""})
	}
	return out
}

// numberNames writes the names of the numbers that change, and has the phones told that a number with messages gained or lost.
func (c *changing) numberNames() error {
	var args []any
	for _, i := range c.of(account.KindNumber) {
		if !i.writes() {
			continue
		}
		var was, now []numberName
		if i.was != nil {
			was = namesOf(i.was.Entry)
		}
		if i.Op == store.Put {
			now = namesOf(i.row.Entry)
		}
		if slices.Equal(was, now) {
			continue
		}
		if len(was) > 0 {
			if err := c.moved(i.Key, was, now); err != nil {
				return err
			}
			if err := c.exec("DELETE FROM number_names WHERE number = ?", i.Key); err != nil {
				return err
			}
		}
		for _, n := range now {
			args = append(args, n.kind, n.name, i.Key, n.profile)
		}
	}
	for rows := range portions(slices.Collect(slices.Chunk(args, 4))) {
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(rows)), ", ")
		if err := c.exec("INSERT INTO number_names (kind, name, number, profile) VALUES "+values, slices.Concat(rows...)...); err != nil {
			return err
		}
	}
	return nil
}

// moved marks the phones that a number with messages gained or lost.
func (c *changing) moved(number string, was, now []numberName) error {
	waiting, err := c.strings("SELECT system FROM waiting WHERE number = ?", number)
	if err != nil || len(waiting) == 0 {
		return err
	}
	for _, n := range append(slices.Clone(was), now...) {
		if n.kind == namePhone {
			if err := c.lampChanged(n, c.now); err != nil {
				return err
			}
		}
	}
	return nil
}

// orphan is a lamp of nobody's that changed last before a time.
const orphan = "changed < ? AND NOT EXISTS (SELECT 1 FROM number_names n WHERE n.kind = 'phone' AND n.name = lamps.phone)"

// TrimLamps forgets phones that are nobody's. They are looked for first, because most old lamps are somebody's and the store is not locked for
// the look at all of them.
func (s *Store) TrimLamps(ctx context.Context, before time.Time) (int, error) {
	var phones []string
	err := s.reading(ctx, func(t tx) (err error) {
		phones, err = t.strings("SELECT phone FROM lamps WHERE "+orphan+" LIMIT ?", before.UnixNano(), store.TrimBatch)
		return err
	})
	if err != nil || len(phones) == 0 {
		return 0, s.one(ctx, err, "old message lamps")
	}
	deleted := 0
	err = s.writing(ctx, func(t tx) error {
		for part := range portions(phones) {
			n, err := t.affected("DELETE FROM lamps WHERE "+orphan+" AND phone IN ("+marks(len(part))+")", append([]any{before.UnixNano()}, anys(part)...)...)
			if err != nil {
				return err
			}
			deleted += int(n)
		}
		return nil
	})
	return deleted, s.one(ctx, err, "old message lamps")
}

func (t tx) lampChanged(n numberName, now time.Time) error {
	return t.exec("INSERT INTO lamps (phone, profile, changed) VALUES (?, ?, ?) ON CONFLICT (phone) DO UPDATE SET profile = excluded.profile, changed = excluded.changed",
		n.name, n.profile, now.UnixNano())
}

// SetWaiting keeps what a system says of a number.
func (s *Store) SetWaiting(ctx context.Context, w store.Waiting) error {
	err := s.writing(ctx, func(t tx) error {
		var key string
		if err := t.row("SELECT key FROM numbers WHERE key = ?", string(w.Number)).Scan(&key); errors.Is(err, sql.ErrNoRows) {
			return store.ErrNotFound
		} else if err != nil {
			return err
		}
		var kept store.Counts
		err := t.row("SELECT unheard, heard, urgent_unheard, urgent_heard FROM waiting WHERE number = ? AND system = ?", string(w.Number), w.System).
			Scan(&kept.New, &kept.Old, &kept.UrgentNew, &kept.UrgentOld)
		if err == nil && kept == w.Counts {
			return nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		err = t.exec(`INSERT INTO waiting (number, system, unheard, heard, urgent_unheard, urgent_heard, at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (number, system) DO UPDATE SET unheard = excluded.unheard, heard = excluded.heard, urgent_unheard = excluded.urgent_unheard, urgent_heard = excluded.urgent_heard, at = excluded.at`,
			string(w.Number), w.System, w.New, w.Old, w.UrgentNew, w.UrgentOld, w.At.UnixNano())
		if err != nil {
			return err
		}
		var phones []numberName
		err = t.each("SELECT name, profile FROM number_names WHERE number = ? AND kind = 'phone'", func(scan scanner) error {
			n := numberName{kind: namePhone}
			err := scan(&n.name, &n.profile)
			phones = append(phones, n)
			return err
		}, string(w.Number))
		if err != nil {
			return err
		}
		for _, n := range phones {
			if err := t.lampChanged(n, w.At); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return s.fail(ctx, err, "message counts of %s", w.Number.Masked())
	}
	return err
}

// WaitingOf returns what is kept of a number.
func (s *Store) WaitingOf(ctx context.Context, number tel.Number) ([]store.Waiting, error) {
	var out []store.Waiting
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT system, unheard, heard, urgent_unheard, urgent_heard, at FROM waiting WHERE number = ? ORDER BY system", func(scan scanner) error {
			w := store.Waiting{Number: number}
			var at int64
			err := scan(&w.System, &w.New, &w.Old, &w.UrgentNew, &w.UrgentOld, &at)
			w.At = time.Unix(0, at).UTC()
			out = append(out, w)
			return err
		}, string(number))
	})
	if err != nil {
		return nil, s.fail(ctx, err, "message counts of %s", number.Masked())
	}
	return out, nil
}

// Lamp returns the lamp of a phone.
func (s *Store) Lamp(ctx context.Context, user, host string) (store.Lamp, error) {
	key := store.PhoneKey(user, host)
	l := store.Lamp{User: user, Host: host}
	err := s.reading(ctx, func(t tx) error {
		var changed int64
		err := t.row("SELECT profile, changed FROM lamps WHERE phone = ?", key).Scan(&l.Profile, &changed)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		l.Changed = time.Unix(0, changed).UTC()
		return t.row(`SELECT coalesce(sum(w.unheard), 0), coalesce(sum(w.heard), 0), coalesce(sum(w.urgent_unheard), 0), coalesce(sum(w.urgent_heard), 0)
			FROM number_names n JOIN waiting w ON w.number = n.number WHERE n.kind = 'phone' AND n.name = ?`, key).
			Scan(&l.New, &l.Old, &l.UrgentNew, &l.UrgentOld)
	})
	if err != nil {
		return store.Lamp{}, s.fail(ctx, err, "message lamp of a phone")
	}
	return l, nil
}

// LampsChanged returns the phones whose lamp changed.
func (s *Store) LampsChanged(ctx context.Context, since time.Time, after string) ([]store.Lamp, error) {
	var out []store.Lamp
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT phone, profile, changed FROM lamps WHERE (changed, phone) > (?, ?) ORDER BY changed, phone LIMIT ?", func(scan scanner) error {
			var phone string
			var changed int64
			var l store.Lamp
			if err := scan(&phone, &l.Profile, &changed); err != nil {
				return err
			}
			at := strings.LastIndexByte(phone, '@')
			l.User, l.Host, l.Changed = phone[:max(at, 0)], phone[at+1:], time.Unix(0, changed).UTC()
			out = append(out, l)
			return nil
		}, since.UnixNano(), after, store.LampBatch)
	})
	if err != nil {
		return nil, s.fail(ctx, err, "changed message lamps")
	}
	return out, nil
}

// NumbersOf returns the numbers that a phone rings for.
func (s *Store) NumbersOf(ctx context.Context, user, host string) ([]tel.Number, error) {
	var out []tel.Number
	err := s.reading(ctx, func(t tx) error {
		numbers, err := t.strings("SELECT number FROM number_names WHERE kind = 'phone' AND name = ? ORDER BY number", store.PhoneKey(user, host))
		for _, n := range numbers {
			out = append(out, tel.Number(n))
		}
		return err
	})
	if err != nil {
		return nil, s.fail(ctx, err, "numbers of a phone")
	}
	return out, nil
}

// NumberOfMailbox returns the number whose mailbox has a name of its own.
func (s *Store) NumberOfMailbox(ctx context.Context, tenant, mailbox string) (tel.Number, error) {
	var found []string
	err := s.reading(ctx, func(t tx) (err error) {
		found, err = t.strings(`SELECT m.number FROM number_names m JOIN numbers n ON n.key = m.number
			WHERE m.kind = 'mailbox' AND m.name = ? AND (? = '' OR n.tenant = ?) ORDER BY m.number LIMIT 2`, mailbox, tenant, tenant)
		return err
	})
	switch {
	case err != nil:
		return "", s.fail(ctx, err, "number of a mailbox")
	case len(found) != 1: // a name that two tenants use names nobody
		return "", store.ErrNotFound
	}
	return tel.Number(found[0]), nil
}

// Notifiers returns the voicemail systems that send NOTIFYs.
func (s *Store) Notifiers(ctx context.Context) ([]store.Notifier, error) {
	var out []store.Notifier
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT "+rowColumns+" FROM voicemail_systems ORDER BY tenant, key", func(scan scanner) error {
			r, err := readRow(account.KindVoicemailSystem, scan)
			if err != nil {
				return err
			}
			if from := r.Entry.(*account.SystemEntry).Notifies; len(from) > 0 {
				out = append(out, store.Notifier{Tenant: r.Tenant, FQDN: r.Key, From: from})
			}
			return nil
		})
	})
	if err != nil {
		return nil, s.fail(ctx, err, "voicemail systems")
	}
	return out, nil
}
