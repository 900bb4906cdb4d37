package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// erased stands where a person was named.
const erased = "[erased]"

// forgetBatch is how many records are written in one transaction, so that those of calls wait for it a moment only.
const forgetBatch = 100

// forgetting is what is known of a person.
type forgetting struct {
	tenant, account string
	store.Person
	names []string
	own   []tel.Number    // his numbers that no contact has who stays
	gone  map[string]bool // IDs of his contacts
}

// Forget makes an account forget a person.
func (s *Store) Forget(ctx context.Context, tenant, accountID string, p store.Person, now time.Time, dry bool) (store.Forgotten, error) {
	f := &forgetting{tenant: tenant, account: accountID, Person: p, gone: map[string]bool{}}
	var out store.Forgotten
	c := &changing{tenant: tenant, now: now}
	err := s.changing(ctx, c, func() error {
		contacts, err := f.contacts(c)
		if err != nil {
			return err
		}
		schedules, err := f.schedules(c)
		if err != nil {
			return err
		}
		out.Contacts, out.Schedules = len(contacts), len(schedules)
		for _, n := range f.own {
			gone, err := c.affected("DELETE FROM outbox WHERE tenant = ? AND account = ? AND address = ?", tenant, accountID, string(n))
			if err != nil {
				return err
			}
			out.Messages += int(gone)
		}
		if err := f.messages(c); err != nil {
			return err
		}
		if err := c.do(append(contacts, schedules...)); err != nil {
			return err
		}
		if out.Files = c.files; dry {
			return errPreview
		}
		return nil
	})
	if err != nil && !errors.Is(err, errPreview) {
		return store.Forgotten{}, s.failChange(ctx, err)
	}
	for _, part := range []struct {
		count *int
		do    func(context.Context, *forgetting, bool) (int, error)
	}{{&out.Records, s.forgetRecords}, {&out.Participants, s.forgetParticipants}, {&out.Decisions, s.forgetDecisions}} {
		if *part.count, err = part.do(ctx, f, dry); err != nil {
			return out, s.fail(ctx, err, "erasing a person from what is kept of calls")
		}
	}
	return out, nil
}

// contacts finds the contacts that go: the one that is meant, or all with the numbers. It learns names and numbers.
func (f *forgetting) contacts(c *changing) ([]*item, error) {
	var known int
	if err := c.row("SELECT count(*) FROM accounts WHERE tenant = ? AND key = ?", f.tenant, f.account).Scan(&known); err != nil {
		return nil, err
	}
	if known == 0 {
		return nil, fmt.Errorf("account %.64s: %w", f.account, store.ErrNotFound)
	}
	going, sharing := map[string]*account.ContactEntry{}, map[tel.Number]bool{}
	if f.Contact != "" {
		err := c.each("SELECT "+rowColumns+" FROM contacts WHERE tenant = ? AND key = ?", func(scan scanner) error {
			r, err := readRow(account.KindContact, scan)
			if err == nil {
				going[r.Key] = r.Entry.(*account.ContactEntry)
			}
			return err
		}, f.tenant, f.account+"/"+f.Contact)
		if err != nil {
			return nil, err
		}
		if len(going) == 0 {
			return nil, fmt.Errorf("contact %.64s: %w", f.Contact, store.ErrNotFound)
		}
	}
	byNumber := len(f.Numbers) > 0
	for _, e := range going {
		f.Numbers = append(slices.Clone(f.Numbers), e.Contact().Numbers...)
	}
	for _, n := range f.Numbers {
		err := c.each(`SELECT c.tenant, c.key, c.version, c.updated, c.entry FROM contact_numbers n JOIN contacts c ON c.tenant = n.tenant AND c.key = n.contact
			WHERE n.tenant = ? AND n.account = ? AND n.number = ?`, func(scan scanner) error {
			r, err := readRow(account.KindContact, scan)
			if err != nil {
				return err
			}
			if byNumber {
				going[r.Key] = r.Entry.(*account.ContactEntry)
			} else if going[r.Key] == nil {
				sharing[n] = true
			}
			return nil
		}, f.tenant, f.account, string(n))
		if err != nil {
			return nil, err
		}
	}
	var items []*item
	for key, e := range going {
		items = append(items, &item{Change: store.Change{Op: store.Delete, Kind: account.KindContact, Key: key}})
		f.names = append(f.names, e.Name)
		f.gone[e.ID] = true
	}
	for _, n := range f.Numbers {
		if !sharing[n] && !slices.Contains(f.own, n) {
			f.own = append(f.own, n)
		}
	}
	return items, nil
}

// schedules takes the person's own numbers off the lists of schedules.
func (f *forgetting) schedules(c *changing) ([]*item, error) {
	var items []*item
	err := c.each("SELECT "+rowColumns+" FROM schedules WHERE tenant = ? AND account = ?", func(scan scanner) error {
		r, err := readRow(account.KindSchedule, scan)
		if err != nil {
			return err
		}
		e := *r.Entry.(*account.ScheduleEntry)
		left := slices.DeleteFunc(slices.Clone(e.Allowed), func(n string) bool { return slices.Contains(f.own, tel.Number(n)) })
		if len(left) == len(e.Allowed) {
			return nil
		}
		if e.Allowed = left; len(left) == 0 {
			e.Allowed = nil
		}
		items = append(items, &item{Change: store.Change{Op: store.Put, Kind: account.KindSchedule, Key: e.Key(), Entry: &e}})
		return nil
	}, f.tenant, f.account)
	return items, err
}

// forgetRecords erases a person from the finished records of the account's numbers, and returns from how many.
func (s *Store) forgetRecords(ctx context.Context, f *forgetting, dry bool) (int, error) {
	var changes []document
	seen := map[string]bool{}
	err := s.reading(ctx, func(t tx) error {
		for _, n := range f.Numbers {
			err := t.each(`SELECT id, record FROM call_records WHERE number IN (SELECT key FROM numbers WHERE tenant = ? AND account = ?)
				AND tenant = ? AND ended IS NOT NULL AND record LIKE ?`, func(scan scanner) error {
				var id string
				var text []byte
				if err := scan(&id, &text); err != nil || seen[id] {
					return err
				}
				seen[id] = true
				if after, changed := f.record(text); changed {
					changes = append(changes, document{id, after})
				}
				return nil
			}, f.tenant, f.account, f.tenant, "%"+strings.TrimPrefix(string(n), "+")+"%")
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || dry {
		return len(changes), err
	}
	return len(changes), s.rewrite(ctx, changes, func(t tx, d document) error {
		return t.exec("UPDATE call_records SET record = ? WHERE id = ? AND ended IS NOT NULL", d.text, d.id)
	})
}

// record is a record in JSON without the person. One that cannot be read stays as it is.
func (f *forgetting) record(text []byte) (string, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil {
		return "", false
	}
	words := slices.Clone(f.names)
	if name := callerOf(tree, f.own); name != "" {
		words = append(words, name)
	}
	if f.WithNumbers {
		for _, n := range f.own {
			words = append(words, string(n), strings.TrimPrefix(string(n), "+"))
		}
	}
	after, changed := erase(tree, words)
	if !changed {
		return "", false
	}
	out, err := json.Marshal(after)
	return string(out), err == nil
}

// callerOf is the display name that a caller with one of the numbers gave himself. A number that others share says nothing.
func callerOf(record any, numbers []tel.Number) string {
	top, _ := record.(map[string]any)
	arrival, _ := top["Arrival"].(map[string]any)
	from, _ := arrival["From"].(map[string]any)
	number, _ := from["Number"].(string)
	name, _ := from["Name"].(string)
	if !slices.Contains(numbers, tel.Number(number)) {
		return ""
	}
	return name
}

// erase replaces words in every string of a tree.
func erase(v any, words []string) (any, bool) {
	changed := false
	switch v := v.(type) {
	case string:
		out := v
		for _, w := range words {
			out = eraseWord(out, w)
		}
		return out, out != v
	case []any:
		for i := range v {
			var c bool
			v[i], c = erase(v[i], words)
			changed = changed || c
		}
	case map[string]any:
		for k := range v {
			var c bool
			v[k], c = erase(v[k], words)
			changed = changed || c
		}
	}
	return v, changed
}

// eraseWord replaces a word where it stands by itself: forgetting Al leaves Alice.
func eraseWord(s, word string) string {
	if utf8.RuneCountInString(word) < 2 || word == erased {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, word)
		if i < 0 {
			break
		}
		end := i + len(word)
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[end:])
		if i > 0 && isWord(before) && isWord(first(word)) || end < len(s) && isWord(after) {
			_, n := utf8.DecodeRuneInString(s[i:])
			b.WriteString(s[:i+n])
			s = s[i+n:]
			continue
		}
		b.WriteString(s[:i] + erased)
		s = s[end:]
	}
	return b.String() + s
}

func first(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// document is a row that holds JSON.
type document struct{ id, text string }

// forgetParticipants erases a person from those who were in the account's conferences that are over, and returns from how many.
func (s *Store) forgetParticipants(ctx context.Context, f *forgetting, dry bool) (int, error) {
	var changes []document
	err := s.reading(ctx, func(t tx) error {
		return t.each(`SELECT p.room, p.id, p.participant FROM room_participants p JOIN rooms r ON r.id = p.room
			WHERE r.tenant = ? AND r.account = ? AND r.closed > 0`, func(scan scanner) error {
			var room, id string
			var text []byte
			var p store.Participant
			if err := scan(&room, &id, &text); err != nil {
				return err
			}
			if json.Unmarshal(text, &p) != nil || p.Host || !f.is(p.Number, p.Contact) {
				return nil
			}
			before := p
			if p.Name, p.Contact, p.Clip = erasedName(p.Name), "", ""; f.WithNumbers {
				p.Number = ""
			}
			if p == before {
				return nil
			}
			after, err := json.Marshal(p)
			changes = append(changes, document{room + " " + id, string(after)})
			return err
		}, f.tenant, f.account)
	})
	if err != nil || dry {
		return len(changes), err
	}
	return len(changes), s.rewrite(ctx, changes, func(t tx, d document) error {
		room, id, _ := strings.Cut(d.id, " ")
		return t.exec("UPDATE room_participants SET participant = ? WHERE room = ? AND id = ?", d.text, room, id)
	})
}

// forgetDecisions erases a person from decisions about access, with the wrong PINs that were counted, and returns from how many.
func (s *Store) forgetDecisions(ctx context.Context, f *forgetting, dry bool) (int, error) {
	var changes []document
	err := s.reading(ctx, func(t tx) error {
		return t.each("SELECT id, access FROM room_access WHERE tenant = ? AND account = ?", func(scan scanner) error {
			var id string
			var text []byte
			var a store.Access
			if err := scan(&id, &text); err != nil {
				return err
			}
			if json.Unmarshal(text, &a) != nil || !f.is(a.Caller, a.Contact) {
				return nil
			}
			before := a
			for key := range f.gone {
				a.Rule = eraseWord(a.Rule, key)
			}
			if a.Contact = ""; f.WithNumbers {
				a.Caller = ""
			}
			if a == before {
				return nil
			}
			after, err := json.Marshal(a)
			changes = append(changes, document{id, string(after)})
			return err
		}, f.tenant, f.account)
	})
	if err != nil || dry {
		return len(changes), err
	}
	err = s.rewrite(ctx, changes, func(t tx, d document) error {
		return t.exec("UPDATE room_access SET access = ? WHERE id = CAST(? AS BIGINT)", d.text, d.id)
	})
	if err != nil {
		return 0, err
	}
	return len(changes), s.writing(ctx, func(t tx) error {
		for _, n := range f.own {
			if err := t.exec("DELETE FROM room_pins WHERE tenant = ? AND account = ? AND caller = ?", f.tenant, f.account, string(n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// is reports whether a number or a contact is the person's.
func (f *forgetting) is(number tel.Number, contact string) bool {
	return number != "" && slices.Contains(f.own, number) || contact != "" && f.gone[contact]
}

func erasedName(name string) string {
	if name == "" {
		return ""
	}
	return erased
}

// rewrite writes documents, some in one transaction.
func (s *Store) rewrite(ctx context.Context, changes []document, write func(tx, document) error) error {
	for part := range slices.Chunk(changes, forgetBatch) {
		err := s.writing(ctx, func(t tx) error {
			for _, d := range part {
				if err := write(t, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
