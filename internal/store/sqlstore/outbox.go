package sqlstore

import (
	"context"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

const outgoingColumns = "id, tenant, account, about, address, state, tries, due, created, updated, note, body"

func readOutgoing(scan scanner) (store.Outgoing, error) {
	var m store.Outgoing
	var due, created, updated int64
	var state, body string
	err := scan(&m.ID, &m.Tenant, &m.Account, &m.About, &m.Address, &state, &m.Tries, &due, &created, &updated, &m.Note, &body)
	m.State, m.Body = store.OutgoingState(state), []byte(body)
	m.Due, m.Created, m.Updated = fromNanos(due), fromNanos(created), fromNanos(updated)
	return m, err
}

func (t tx) outgoing(query string, args ...any) (out []store.Outgoing, err error) {
	err = t.each(query, func(scan scanner) error {
		m, err := readOutgoing(scan)
		out = append(out, m)
		return err
	}, args...)
	return out, err
}

// AddOutgoing keeps new messages.
func (s *Store) AddOutgoing(ctx context.Context, tenant string, messages []store.Outgoing, most int) error {
	err := s.writing(ctx, func(t tx) error {
		var waiting, known int
		if err := t.row("SELECT count(*) FROM outbox WHERE tenant = ? AND state = 'waiting'", tenant).Scan(&waiting); err != nil {
			return err
		}
		for _, m := range messages {
			if err := t.row("SELECT count(*) FROM accounts WHERE tenant = ? AND key = ?", tenant, m.Account).Scan(&known); err != nil {
				return err
			}
			if known == 0 {
				return store.ErrNotFound
			}
			n, err := t.affected("INSERT INTO outbox ("+outgoingColumns+", owner, leased) VALUES ("+marks(12)+", '', 0) ON CONFLICT (tenant, id) DO NOTHING",
				m.ID, tenant, m.Account, m.About, m.Address, string(m.State), m.Tries, nanos(m.Due), nanos(m.Created), nanos(m.Updated), m.Note, string(m.Body))
			if err != nil {
				return err
			}
			waiting += int(n)
			if n > 0 && m.Replaces { // also of one under way, whose lease ends here: if it fails it is not tried again
				gone, err := t.affected("UPDATE outbox SET state = 'failed', note = ?, due = 0, updated = ?, owner = '', leased = 0 WHERE tenant = ? AND account = ? AND about = ? AND address = ? AND state = 'waiting' AND id <> ?",
					"another message has taken its place", nanos(m.Created), tenant, m.Account, m.About, m.Address, m.ID)
				if err != nil {
					return err
				}
				waiting -= int(gone)
			}
			if waiting > most {
				return store.ErrTooMany
			}
		}
		return nil
	})
	return s.one(ctx, err, "keeping messages to be sent")
}

// dueTenants walks from one tenant with messages that wait to the next, and gives those of whom some are due.
const dueTenants = `WITH RECURSIVE turn (tenant) AS (SELECT min(tenant) FROM outbox WHERE state = 'waiting' AND tenant > ?
	UNION ALL SELECT (SELECT min(o.tenant) FROM outbox o WHERE o.state = 'waiting' AND o.tenant > turn.tenant) FROM turn WHERE turn.tenant IS NOT NULL)
	SELECT tenant FROM turn WHERE EXISTS (SELECT 1 FROM outbox o WHERE o.state = 'waiting' AND o.tenant = turn.tenant AND o.due <= ? AND o.leased <= ?) LIMIT ?`

// tenantsInTurn are tenants of whom messages are due, those behind one first, at most limit.
func (t tx) tenantsInTurn(behind string, now int64, limit int) ([]string, error) {
	turn, err := t.strings(dueTenants, behind, now, now, limit)
	if err != nil || len(turn) >= limit || behind == "" {
		return turn, err
	}
	more, err := t.strings(dueTenants, "", now, now, limit-len(turn))
	for _, tenant := range more {
		if tenant > behind {
			break
		}
		turn = append(turn, tenant)
	}
	return turn, err
}

// ClaimOutgoing leases messages that are due.
func (s *Store) ClaimOutgoing(ctx context.Context, owner, behind string, now, until time.Time, limit int) ([]store.Outgoing, error) {
	at := nanos(now)
	var turn []string
	var out []store.Outgoing
	// Mostly there are none, and then nobody has to wait for a writer.
	err := s.reading(ctx, func(t tx) (err error) {
		turn, err = t.tenantsInTurn(behind, at, limit)
		return err
	})
	if err == nil && len(turn) > 0 {
		err = s.writing(ctx, func(t tx) (err error) {
			out, err = t.claimOutgoing(turn, owner, at, nanos(until), limit)
			return err
		})
	}
	if err != nil {
		return nil, s.one(ctx, err, "messages that are due")
	}
	return out, nil
}

// claimOutgoing leases messages of some tenants: of each its share, and what one leaves of his to those who have more.
func (t tx) claimOutgoing(turn []string, owner string, now, until int64, limit int) (out []store.Outgoing, err error) {
	for len(turn) > 0 && len(out) < limit {
		var more []string
		for i, tenant := range turn {
			share := max(1, (limit-len(out))/(len(turn)-i))
			list, err := t.outgoing("SELECT "+outgoingColumns+" FROM outbox WHERE state = 'waiting' AND tenant = ? AND due <= ? AND leased <= ? ORDER BY due, id LIMIT ?"+t.dialect.Lock, tenant, now, now, share)
			if err != nil {
				return nil, err
			}
			for _, m := range list {
				if err := t.exec("UPDATE outbox SET owner = ?, leased = ? WHERE tenant = ? AND id = ?", owner, until, m.Tenant, m.ID); err != nil {
					return nil, err
				}
			}
			if out = append(out, list...); len(out) >= limit {
				return out, nil
			}
			if len(list) == share {
				more = append(more, tenant)
			}
		}
		turn = more
	}
	return out, nil
}

// SaveOutgoing keeps what became of a message.
func (s *Store) SaveOutgoing(ctx context.Context, m store.Outgoing, owner string) error {
	err := s.writing(ctx, func(t tx) error {
		n, err := t.affected("UPDATE outbox SET state = ?, tries = ?, note = ?, due = ?, updated = ?, owner = '', leased = 0 WHERE tenant = ? AND id = ? AND owner = ?",
			string(m.State), m.Tries, m.Note, nanos(m.Due), nanos(m.Updated), m.Tenant, m.ID, owner)
		if err == nil && n == 0 {
			err = store.ErrLease
		}
		return err
	})
	return s.one(ctx, err, "keeping what became of a message")
}

// OutgoingAbout returns messages about something.
func (s *Store) OutgoingAbout(ctx context.Context, tenant, accountID, about, after string, limit int) ([]store.Outgoing, error) {
	var out []store.Outgoing
	err := s.reading(ctx, func(t tx) (err error) {
		out, err = t.outgoing("SELECT "+outgoingColumns+" FROM outbox WHERE tenant = ? AND account = ? AND about = ? AND id > ? ORDER BY id LIMIT ?",
			tenant, accountID, about, after, min(max(limit, 1), store.MaxList))
		return err
	})
	return out, s.one(ctx, err, "messages of account %.64s", accountID)
}

// CountOutgoing counts the messages that wait.
func (s *Store) CountOutgoing(ctx context.Context) (n int, err error) {
	err = s.reading(ctx, func(t tx) error { return t.row("SELECT count(*) FROM outbox WHERE state = 'waiting'").Scan(&n) })
	return n, s.one(ctx, err, "messages that wait")
}

// TrimOutgoing forgets old messages.
func (s *Store) TrimOutgoing(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := s.writing(ctx, func(t tx) (err error) {
		n, err = t.affected("DELETE FROM outbox WHERE (tenant, id) IN (SELECT tenant, id FROM outbox WHERE state <> 'waiting' AND updated < ? ORDER BY updated LIMIT ?)", nanos(before), store.TrimBatch)
		return err
	})
	return int(n), s.one(ctx, err, "forgetting old messages")
}
