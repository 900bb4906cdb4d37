package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// ContactsWith returns the contacts of an account that have a number, who was changed last first.
func (s *Store) ContactsWith(ctx context.Context, tenant, accountID string, number tel.Number) ([]account.Contact, error) {
	var out []account.Contact
	err := s.reading(ctx, func(t tx) error {
		return t.each(`SELECT c.tenant, c.key, c.version, c.updated, c.entry FROM contact_numbers n
			JOIN contacts c ON c.tenant = n.tenant AND c.key = n.contact
			WHERE n.tenant = ? AND n.account = ? AND n.number = ? ORDER BY c.updated DESC, c.key`, func(scan scanner) error {
			r, err := readRow(account.KindContact, scan)
			if err == nil {
				out = append(out, r.Entry.(*account.ContactEntry).Contact())
			}
			return err
		}, tenant, accountID, string(number))
	})
	if err != nil {
		return nil, s.fail(ctx, err, "contacts of account %.64s", accountID)
	}
	return out, nil
}

// NumbersEnding returns the numbers of an account's contacts that end with some digits.
func (s *Store) NumbersEnding(ctx context.Context, tenant, accountID, digits string, limit int) ([]tel.Number, error) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, nil
	}
	var out []tel.Number
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT DISTINCT number FROM contact_numbers WHERE tenant = ? AND account = ? AND number LIKE ? ORDER BY number LIMIT ?", func(scan scanner) error {
			var n string
			err := scan(&n)
			out = append(out, tel.Number(n))
			return err
		}, tenant, accountID, "%"+digits, limit)
	})
	if err != nil {
		return nil, s.fail(ctx, err, "numbers of account %.64s that end with some digits", accountID)
	}
	return out, nil
}

// ContactChanges returns what became of contacts behind a mark.
func (s *Store) ContactChanges(ctx context.Context, tenant, accountID string, after store.Mark, limit int) ([]store.Row, error) {
	const behind = " WHERE tenant = ? AND account = ? AND (version > ? OR version = ? AND key > ?)"
	args := []any{tenant, accountID, after.Version, after.Version, after.Key}
	var out []store.Row
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT "+rowColumns+" FROM contacts"+behind+
			" UNION ALL SELECT tenant, key, version, removed, NULL FROM contact_tombstones"+behind+" ORDER BY version, key LIMIT ?", func(scan scanner) error {
			r := store.Row{Kind: account.KindContact}
			var updated int64
			var text []byte
			if err := scan(&r.Tenant, &r.Key, &r.Version, &updated, &text); err != nil {
				return err
			}
			r.Updated = time.Unix(0, updated).UTC()
			var err error
			if text != nil {
				r.Entry, err = account.DecodeEntry(account.KindContact, text)
			}
			out = append(out, r)
			return err
		}, append(append(args, args...), min(max(limit, 1), store.MaxList))...)
	})
	if err != nil {
		return nil, s.fail(ctx, err, "changes of the contacts of account %.64s", accountID)
	}
	return out, nil
}

// SchedulesOf returns the schedules of a number that have not ended.
func (s *Store) SchedulesOf(ctx context.Context, tenant string, number tel.Number, now time.Time) ([]account.Schedule, error) {
	var out []account.Schedule
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT "+rowColumns+" FROM schedules WHERE number = ? AND until > ? AND tenant = ? ORDER BY key", func(scan scanner) error {
			r, err := readRow(account.KindSchedule, scan)
			if err == nil {
				out = append(out, r.Entry.(*account.ScheduleEntry).Schedule())
			}
			return err
		}, string(number), now.UnixNano(), tenant)
	})
	if err != nil {
		return nil, s.fail(ctx, err, "schedules of a number")
	}
	return out, nil
}

// tombstones keeps which contacts were removed, by themselves or with their accounts, and forgets it of those that are there again.
func (c *changing) tombstones() error {
	var gone, back []string
	old := c.now.Add(-store.Remembered).UnixNano()
	for _, i := range c.items {
		switch {
		case i.Kind == account.KindContact && i.Op == store.Delete:
			gone = append(gone, i.Key)
		case i.Kind == account.KindContact && i.was == nil:
			back = append(back, i.Key)
		case i.Kind == account.KindAccount && i.Op == store.Delete:
			err := c.exec(`INSERT INTO contact_tombstones (tenant, key, account, version, removed)
				SELECT tenant, key, account, CAST(? AS BIGINT), CAST(? AS BIGINT) FROM contacts WHERE tenant = ? AND account = ?
				ON CONFLICT (tenant, key) DO NOTHING`, c.revision, c.now.UnixNano(), c.tenant, i.Key)
			if err != nil {
				return err
			}
		}
	}
	for part := range portions(back) {
		if err := c.exec("DELETE FROM contact_tombstones WHERE tenant = ? AND key IN ("+marks(len(part))+")", append([]any{c.tenant}, anys(part)...)...); err != nil {
			return err
		}
	}
	for part := range portions(gone) {
		err := c.exec(`INSERT INTO contact_tombstones (tenant, key, account, version, removed)
			SELECT tenant, key, account, CAST(? AS BIGINT), CAST(? AS BIGINT) FROM contacts WHERE tenant = ? AND key IN (`+marks(len(part))+`)
			ON CONFLICT (tenant, key) DO NOTHING`, append([]any{c.revision, c.now.UnixNano(), c.tenant}, anys(part)...)...)
		if err != nil {
			return err
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return c.exec("DELETE FROM contact_tombstones WHERE removed < ?", old)
}
