package sqlstore

import (
	"context"
	"encoding/json"
	"time"

	"github.com/signalbox/signalbox/internal/store"
)

// Spool keeps a message.
func (s *Store) Spool(ctx context.Context, m store.Spooled) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	err = s.writing(ctx, func(t tx) error {
		return t.exec(`INSERT INTO spool (id, node, next, owner, claimed, message) VALUES (?, ?, ?, '', 0, ?)
			ON CONFLICT (id) DO UPDATE SET next = excluded.next, message = excluded.message`, m.ID, m.Node, m.Next.UnixNano(), string(text))
	})
	if err != nil {
		return s.fail(ctx, err, "keeping a spooled message")
	}
	return nil
}

// DueSpooled claims messages.
func (s *Store) DueSpooled(ctx context.Context, node, owner string, limit int, now, until time.Time) ([]store.Spooled, error) {
	var out []store.Spooled
	err := s.writing(ctx, func(t tx) error {
		rows, err := t.spooled("SELECT message FROM spool WHERE node = ? AND next <= ? AND claimed <= ? ORDER BY next, id LIMIT ?"+s.dialect.Lock,
			node, now.UnixNano(), now.UnixNano(), limit)
		if err != nil {
			return err
		}
		out = rows
		for _, m := range rows {
			if err := t.exec("UPDATE spool SET owner = ?, claimed = ? WHERE id = ?", owner, until.UnixNano(), m.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.fail(ctx, err, "spooled messages that are due")
	}
	return out, nil
}

// PutOff keeps what has become of a message.
func (s *Store) PutOff(ctx context.Context, m store.Spooled) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	found := false
	err = s.writing(ctx, func(t tx) error {
		ids, err := t.strings("SELECT id FROM spool WHERE id = ?", m.ID)
		if found = len(ids) == 1; err != nil || !found {
			return err
		}
		return t.exec("UPDATE spool SET next = ?, owner = '', claimed = 0, message = ? WHERE id = ?", m.Next.UnixNano(), string(text), m.ID)
	})
	switch {
	case err != nil:
		return s.fail(ctx, err, "putting off a spooled message")
	case !found:
		return store.ErrNotFound
	}
	return nil
}

// Unspool forgets a message.
func (s *Store) Unspool(ctx context.Context, id string) error {
	if err := s.writing(ctx, func(t tx) error { return t.exec("DELETE FROM spool WHERE id = ?", id) }); err != nil {
		return s.fail(ctx, err, "forgetting a spooled message")
	}
	return nil
}

// CountSpooled counts the messages of a node.
func (s *Store) CountSpooled(ctx context.Context, node string) (n int, err error) {
	err = s.reading(ctx, func(t tx) error {
		return t.row("SELECT count(*) FROM spool WHERE ? = '' OR node = ?", node, node).Scan(&n)
	})
	if err != nil {
		return 0, s.fail(ctx, err, "spooled messages")
	}
	return n, nil
}

// Spooled returns the messages of a node.
func (s *Store) Spooled(ctx context.Context, node string, limit int) ([]store.Spooled, error) {
	var out []store.Spooled
	err := s.reading(ctx, func(t tx) (err error) {
		out, err = t.spooled("SELECT message FROM spool WHERE ? = '' OR node = ? ORDER BY next, id LIMIT ?", node, node, limit)
		return err
	})
	if err != nil {
		return nil, s.fail(ctx, err, "spooled messages")
	}
	return out, nil
}

func (t tx) spooled(query string, args ...any) (out []store.Spooled, err error) {
	err = t.each(query, func(scan scanner) error {
		var text []byte
		if err := scan(&text); err != nil {
			return err
		}
		var m store.Spooled
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		out = append(out, m)
		return nil
	}, args...)
	return out, err
}
