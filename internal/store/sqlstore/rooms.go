package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// openTries is how often a room is looked for that was closed between the attempt to open another and the look.
const openTries = 5

// OpenRoom opens a room, or returns the one that is open.
func (s *Store) OpenRoom(ctx context.Context, r store.Room) (store.Room, bool, error) {
	r.Closed, r.Why = time.Time{}, ""
	text, err := json.Marshal(r)
	if err != nil {
		return store.Room{}, false, err
	}
	for range openTries {
		if kept, err := s.RoomOf(ctx, r.Tenant, r.Account); !errors.Is(err, store.ErrNotFound) {
			return kept, false, err
		}
		created := false
		err := s.writing(ctx, func(t tx) error {
			result, err := t.ExecContext(ctx, s.dialect.rebind(`INSERT INTO rooms (id, tenant, account, node, opened, room) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (tenant, account) WHERE closed = 0 DO NOTHING`), r.ID, r.Tenant, r.Account, r.Node, r.Opened.UnixNano(), string(text))
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			created = n == 1
			return err
		})
		if err != nil {
			return store.Room{}, false, s.fail(ctx, err, "opening a conference")
		}
		if created {
			return r, true, nil
		}
	}
	return store.Room{}, false, fmt.Errorf("opening a conference: %w: it is opened and closed all the time", store.ErrUnavailable)
}

// room reads one room.
func (t tx) room(query string, args ...any) (store.Room, error) {
	var text []byte
	var r store.Room
	if err := t.row(query, args...).Scan(&text); err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

func (s *Store) oneRoom(ctx context.Context, query string, args ...any) (r store.Room, err error) {
	err = s.reading(ctx, func(t tx) (err error) {
		r, err = t.room(query, args...)
		return err
	})
	return r, s.one(ctx, err, "conference")
}

// RoomOf returns the open room of a host.
func (s *Store) RoomOf(ctx context.Context, tenant, account string) (store.Room, error) {
	return s.oneRoom(ctx, "SELECT room FROM rooms WHERE tenant = ? AND account = ? AND closed = 0", tenant, account)
}

// Room returns a room.
func (s *Store) Room(ctx context.Context, id string) (store.Room, error) {
	return s.oneRoom(ctx, "SELECT room FROM rooms WHERE id = ?", id)
}

func (s *Store) manyRooms(ctx context.Context, query string, args ...any) ([]store.Room, error) {
	out := []store.Room{}
	err := s.reading(ctx, func(t tx) error {
		return t.each(query, func(scan scanner) error {
			var text []byte
			var r store.Room
			if err := scan(&text); err != nil {
				return err
			}
			err := json.Unmarshal(text, &r)
			out = append(out, r)
			return err
		}, args...)
	})
	return out, s.one(ctx, err, "conferences")
}

// OpenRooms returns the open rooms of a node.
func (s *Store) OpenRooms(ctx context.Context, node string) ([]store.Room, error) {
	return s.manyRooms(ctx, "SELECT room FROM rooms WHERE closed = 0 AND (? = '' OR node = ?) ORDER BY opened, id", node, node)
}

// ofOwner is the beginning of a condition on what an account, or all of a tenant when it is "", has: one that names the account only when it is
// given finds it by its index.
func ofOwner(tenant, account string) (where string, args []any) {
	if account == "" {
		return " WHERE tenant = ?", []any{tenant}
	}
	return " WHERE tenant = ? AND account = ?", []any{tenant, account}
}

// ListRooms returns rooms of an account or a tenant.
func (s *Store) ListRooms(ctx context.Context, tenant, account string, before time.Time, id string, limit int) ([]store.Room, error) {
	where, args := ofOwner(tenant, account)
	return s.manyRooms(ctx, "SELECT room FROM rooms"+where+" AND (opened, id) < (?, ?) ORDER BY opened DESC, id DESC LIMIT ?",
		append(args, before.UnixNano(), id, min(max(limit, 1), store.MaxList))...)
}

// ChangeRoom changes an open room.
func (s *Store) ChangeRoom(ctx context.Context, id string, change func(*store.Room)) (r store.Room, err error) {
	err = s.writing(ctx, func(t tx) (err error) {
		if r, err = t.room("SELECT room FROM rooms WHERE id = ? AND closed = 0"+s.dialect.Lock, id); err != nil {
			return err
		}
		change(&r)
		return t.putRoom(r)
	})
	return r, s.one(ctx, err, "conference")
}

func (t tx) putRoom(r store.Room) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	closed := int64(0)
	if !r.Closed.IsZero() {
		closed = r.Closed.UnixNano()
	}
	return t.exec("UPDATE rooms SET node = ?, closed = ?, room = ? WHERE id = ?", r.Node, closed, string(text), r.ID)
}

// CloseRoom closes a room.
func (s *Store) CloseRoom(ctx context.Context, id, why string, at time.Time) (bool, error) {
	return s.CloseRoomUnless(ctx, id, why, at, func([]store.Participant) bool { return false })
}

// CloseRoomUnless closes a room that is not busy.
func (s *Store) CloseRoomUnless(ctx context.Context, id, why string, at time.Time, busy func([]store.Participant) bool) (open bool, err error) {
	stays := false
	err = s.writing(ctx, func(t tx) error {
		r, list, err := t.openRoom(id)
		if err != nil {
			return err
		}
		if stays = busy(list); stays {
			return nil
		}
		r.Closed, r.Why = at, why
		if err := t.putRoom(r); err != nil {
			return err
		}
		open = true
		for _, p := range list {
			if !p.Left.IsZero() {
				continue
			}
			p.Left, p.Reason = at, why
			if err := t.putParticipant(p); err != nil {
				return err
			}
		}
		return nil
	})
	err = s.one(ctx, err, "conference")
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err == nil && stays:
		return true, fmt.Errorf("conference: %w", store.ErrInUse)
	}
	return open, err
}

// openRoom reads an open room, which nobody else changes meanwhile, and its participants.
func (t tx) openRoom(id string) (store.Room, []store.Participant, error) {
	r, err := t.room("SELECT room FROM rooms WHERE id = ? AND closed = 0"+t.dialect.Lock, id)
	if err != nil {
		return r, nil, err
	}
	list, err := t.participants(id)
	return r, list, err
}

// Admit keeps a participant whom may lets in.
func (s *Store) Admit(ctx context.Context, p *store.Participant, may func(store.Room, []store.Participant) error) error {
	var refused error
	err := s.writing(ctx, func(t tx) error {
		r, list, err := t.openRoom(p.Room)
		if err != nil {
			return err
		}
		if refused = may(r, list); refused != nil {
			return nil
		}
		return t.putParticipant(*p)
	})
	if err = s.one(ctx, err, "participant of a conference"); err != nil {
		return err
	}
	return refused
}

// ClaimDial claims the right to call the host.
func (s *Store) ClaimDial(ctx context.Context, room, owner string, now, until time.Time) (bool, error) {
	claimed := false
	_, err := s.ChangeRoom(ctx, room, func(r *store.Room) {
		if claimed = !r.DialUntil.After(now); claimed {
			r.DialOwner, r.DialUntil = owner, until
		}
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return claimed && err == nil, err
}

// KeepNode claims a node.
func (s *Store) KeepNode(ctx context.Context, node, owner string, patience time.Duration) (bool, error) {
	return s.changed(ctx, "INSERT INTO room_keepers (node, owner, seen) VALUES (?, ?, "+s.dialect.Now+`)
		ON CONFLICT (node) DO UPDATE SET owner = excluded.owner, seen = excluded.seen
		WHERE room_keepers.owner = excluded.owner OR room_keepers.seen < excluded.seen - ?`, node, owner, patience.Milliseconds())
}

// changed runs one statement and reports whether it changed a row.
func (s *Store) changed(ctx context.Context, query string, args ...any) (changed bool, err error) {
	err = s.writing(ctx, func(t tx) error {
		result, err := t.ExecContext(ctx, s.dialect.rebind(query), args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		changed = n > 0
		return err
	})
	return changed, s.one(ctx, err, "conference")
}

// PutParticipant keeps a participant.
func (s *Store) PutParticipant(ctx context.Context, p store.Participant) error {
	err := s.writing(ctx, func(t tx) error { return t.putParticipant(p) })
	return s.one(ctx, err, "participant of a conference")
}

func (t tx) putParticipant(p store.Participant) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return t.exec(`INSERT INTO room_participants (room, id, uuid, entered, participant) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (room, id) DO UPDATE SET uuid = excluded.uuid, participant = excluded.participant`, p.Room, p.ID, p.UUID, p.Entered.UnixNano(), string(text))
}

func (t tx) participants(room string) ([]store.Participant, error) {
	out := []store.Participant{}
	err := t.each("SELECT participant FROM room_participants WHERE room = ? ORDER BY entered, id", func(scan scanner) error {
		var text []byte
		var p store.Participant
		if err := scan(&text); err != nil {
			return err
		}
		err := json.Unmarshal(text, &p)
		out = append(out, p)
		return err
	}, room)
	return out, err
}

// Participants returns who was in a room.
func (s *Store) Participants(ctx context.Context, room string) (out []store.Participant, err error) {
	err = s.reading(ctx, func(t tx) (err error) {
		out, err = t.participants(room)
		return err
	})
	return out, s.one(ctx, err, "participants of a conference")
}

// ParticipantOf returns the participant of a leg.
func (s *Store) ParticipantOf(ctx context.Context, room, uuid string) (p store.Participant, err error) {
	err = s.reading(ctx, func(t tx) error {
		var text []byte
		if err := t.row("SELECT participant FROM room_participants WHERE room = ? AND uuid = ?", room, uuid).Scan(&text); err != nil {
			return err
		}
		return json.Unmarshal(text, &p)
	})
	return p, s.one(ctx, err, "participant of a conference")
}

// Bar keeps a number out of a room.
func (s *Store) Bar(ctx context.Context, room string, number tel.Number) error {
	err := s.writing(ctx, func(t tx) error {
		return t.exec("INSERT INTO room_bars (room, number) VALUES (?, ?) ON CONFLICT (room, number) DO NOTHING", room, string(number))
	})
	return s.one(ctx, err, "conference")
}

// Barred reports whether a number is kept out.
func (s *Store) Barred(ctx context.Context, room string, number tel.Number) (bool, error) {
	var n int
	err := s.reading(ctx, func(t tx) error {
		return t.row("SELECT count(*) FROM room_bars WHERE room = ? AND number = ?", room, string(number)).Scan(&n)
	})
	return n > 0, s.one(ctx, err, "conference")
}

// AddAccess keeps decisions.
func (s *Store) AddAccess(ctx context.Context, list []store.Access) error {
	err := s.writing(ctx, func(t tx) error {
		for _, a := range list {
			text, err := json.Marshal(a)
			if err != nil {
				return err
			}
			if err := t.exec("INSERT INTO room_access (tenant, account, at, access) VALUES (?, ?, ?, ?)", a.Tenant, a.Account, a.At.UnixNano(), string(text)); err != nil {
				return err
			}
		}
		return nil
	})
	return s.one(ctx, err, "access decisions")
}

// ListAccess returns decisions.
func (s *Store) ListAccess(ctx context.Context, tenant, account string, before int64, limit int) ([]store.Access, error) {
	out := []store.Access{}
	where, args := ofOwner(tenant, account)
	if before != 0 {
		where, args = where+" AND id < ?", append(args, before)
	}
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT id, access FROM room_access"+where+" ORDER BY id DESC LIMIT ?", func(scan scanner) error {
			var id int64
			var text []byte
			var a store.Access
			if err := scan(&id, &text); err != nil {
				return err
			}
			err := json.Unmarshal(text, &a)
			a.ID = id
			out = append(out, a)
			return err
		}, append(args, min(max(limit, 1), store.MaxList))...)
	})
	return out, s.one(ctx, err, "access decisions")
}

// WrongPIN counts a wrong PIN.
func (s *Store) WrongPIN(ctx context.Context, tenant, account string, caller tel.Number, now time.Time, patience time.Duration) (wrong int, err error) {
	err = s.writing(ctx, func(t tx) error {
		if err := t.exec(`INSERT INTO room_pins (tenant, account, caller, wrong, last) VALUES (?, ?, ?, 1, ?) ON CONFLICT (tenant, account, caller) DO UPDATE SET
			wrong = CASE WHEN room_pins.last < ? THEN 1 ELSE room_pins.wrong + 1 END, last = excluded.last`,
			tenant, account, string(caller), now.UnixNano(), now.Add(-patience).UnixNano()); err != nil {
			return err
		}
		return t.row("SELECT wrong FROM room_pins WHERE tenant = ? AND account = ? AND caller = ?", tenant, account, string(caller)).Scan(&wrong)
	})
	return wrong, s.one(ctx, err, "wrong PINs")
}

// Lockouts returns the callers of wrong PINs.
func (s *Store) Lockouts(ctx context.Context, tenant, account string, since time.Time) ([]store.Lockout, error) {
	out := []store.Lockout{}
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT caller, wrong, last FROM room_pins WHERE tenant = ? AND account = ? AND last >= ? AND wrong > 0 ORDER BY last DESC, caller LIMIT ?", func(scan scanner) error {
			var l store.Lockout
			var last int64
			err := scan((*string)(&l.Caller), &l.Wrong, &last)
			l.Last = time.Unix(0, last).UTC()
			out = append(out, l)
			return err
		}, tenant, account, since.UnixNano(), store.MaxList)
	})
	return out, s.one(ctx, err, "wrong PINs")
}

// ForgetPINs forgets the wrong PINs of a caller.
func (s *Store) ForgetPINs(ctx context.Context, tenant, account string, caller tel.Number) error {
	err := s.writing(ctx, func(t tx) error {
		if caller == "" {
			return t.exec("UPDATE room_pins SET wrong = wrong - 1 WHERE tenant = ? AND account = ? AND caller = '' AND wrong > 0", tenant, account)
		}
		return t.exec("DELETE FROM room_pins WHERE tenant = ? AND account = ? AND caller = ?", tenant, account, string(caller))
	})
	return s.one(ctx, err, "wrong PINs")
}

// TrimRooms deletes what is old.
func (s *Store) TrimRooms(ctx context.Context, before time.Time) (int, error) {
	total := 0
	err := s.writing(ctx, func(t tx) error {
		for _, trim := range []struct {
			query string
			args  []any
		}{
			{"DELETE FROM rooms WHERE id IN (SELECT id FROM rooms WHERE closed > 0 AND closed < ? ORDER BY closed LIMIT ?)", []any{before.UnixNano(), store.TrimBatch}},
			// Of those that are longest there: nothing has to be read to find that none is old.
			{"DELETE FROM room_access WHERE id IN (SELECT id FROM (SELECT id, at FROM room_access ORDER BY id LIMIT ?) oldest WHERE at < ?)", []any{store.TrimBatch, before.UnixNano()}},
		} {
			n, err := t.affected(trim.query, trim.args...)
			if err != nil {
				return err
			}
			total += int(n)
		}
		return t.exec("DELETE FROM room_pins WHERE last < ?", before.UnixNano())
	})
	return total, s.one(ctx, err, "trimming conferences")
}
