package sqlstore

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// KeepVoiceFile notes a file.
func (s *Store) KeepVoiceFile(ctx context.Context, f store.VoiceFile) error {
	err := s.writing(ctx, func(t tx) error {
		return t.exec(`INSERT INTO voice_files (node, file, name, kind, made) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (node, file, name) DO UPDATE SET made = excluded.made, unwanted = 0, due = 0, tries = 0, note = ''`,
			f.Node, f.File, f.Name, string(f.Kind), nanos(f.Made))
	})
	return s.one(ctx, err, "noting a file with a spoken name")
}

// UnwantedVoiceFiles returns what is to be removed.
func (s *Store) UnwantedVoiceFiles(ctx context.Context, node string, now, old time.Time, limit int) ([]store.VoiceFile, error) {
	var out []store.VoiceFile
	err := s.reading(ctx, func(t tx) error {
		return t.each(`SELECT node, kind, file, name, made, unwanted, tries, note FROM voice_files
			WHERE (node = ? OR ? = '') AND due <= ? AND (unwanted > 0 OR made < ?) ORDER BY made, node, file, name LIMIT ?`, func(scan scanner) error {
			var f store.VoiceFile
			var kind string
			var made, unwanted int64
			err := scan(&f.Node, &kind, &f.File, &f.Name, &made, &unwanted, &f.Tries, &f.Note)
			f.Kind, f.Made, f.Unwanted = store.VoiceKind(kind), fromNanos(made), fromNanos(unwanted)
			out = append(out, f)
			return err
		}, node, node, nanos(now), nanos(old), min(max(limit, 1), store.MaxList))
	})
	return out, s.one(ctx, err, "files that are to be removed")
}

// VoiceFileGone forgets a file.
func (s *Store) VoiceFileGone(ctx context.Context, node, file string, old time.Time) error {
	err := s.writing(ctx, func(t tx) error {
		return t.exec("DELETE FROM voice_files WHERE node = ? AND file = ? AND (unwanted > 0 OR made < ?)", node, file, nanos(old))
	})
	return s.one(ctx, err, "forgetting a file that is gone")
}

// VoiceFileStays keeps why a file could not be removed.
func (s *Store) VoiceFileStays(ctx context.Context, node, file, note string, next time.Time) error {
	err := s.writing(ctx, func(t tx) error {
		return t.exec("UPDATE voice_files SET tries = tries + 1, note = ?, due = ? WHERE node = ? AND file = ?", note, nanos(next), node, file)
	})
	return s.one(ctx, err, "noting a file that stays")
}

// leaving is what goes with rows that are removed or changed: names of people, and recordings of names.
type leaving struct {
	names map[string]bool
	clips map[string]bool // TENANT/ACCOUNT/FILE
	kept  map[string]bool // the same, of rows that are written
}

// leaves looks, before anything is written, what goes with the rows that change.
func (c *changing) leaves() (*leaving, error) {
	l := &leaving{names: map[string]bool{}, clips: map[string]bool{}, kept: map[string]bool{}}
	clip := func(in map[string]bool, accountID, file string) {
		if file != "" {
			in[path.Join(c.tenant, accountID, file)] = true
		}
	}
	contact := func(e *account.ContactEntry) {
		l.names[e.Name] = true
		clip(l.clips, e.Account, e.Clip)
	}
	for _, i := range c.items {
		if !i.writes() {
			continue
		}
		if i.Op == store.Put {
			switch e := i.Entry.(type) {
			case *account.ContactEntry:
				clip(l.kept, e.Account, e.Clip)
			case *account.NumberEntry:
				clip(l.kept, e.Account, greetingOf(e))
			}
		}
		if i.was == nil {
			continue
		}
		switch was := i.was.Entry.(type) {
		case *account.ContactEntry:
			contact(was)
			if e, ok := i.Entry.(*account.ContactEntry); ok && i.Op == store.Put && e.Name == was.Name {
				delete(l.names, was.Name)
			}
		case *account.NumberEntry:
			clip(l.clips, was.Account, greetingOf(was))
		case *account.AccountEntry:
			if e, ok := i.Entry.(*account.AccountEntry); !ok || i.Op == store.Delete || e.Name != was.Name {
				l.names[was.Name] = true
			}
			if i.Op != store.Delete {
				continue
			}
			err := c.each("SELECT "+rowColumns+" FROM contacts WHERE tenant = ? AND account = ?", func(scan scanner) error {
				r, err := readRow(account.KindContact, scan)
				if err == nil {
					contact(r.Entry.(*account.ContactEntry))
				}
				return err
			}, c.tenant, i.Key)
			if err != nil {
				return nil, err
			}
		}
	}
	delete(l.names, "")
	return l, nil
}

// greetingOf is the recording that a number's conference greets with.
func greetingOf(n *account.NumberEntry) string {
	if n.Conference == nil {
		return ""
	}
	return n.Conference.Greeting.File()
}

// unwant has the files removed that nobody needs any more, now that the rows are written, and counts them.
func (c *changing) unwant(l *leaving) error {
	for file := range l.kept {
		if err := c.exec("DELETE FROM voice_files WHERE kind = ? AND file = ?", string(store.RecordedName), file); err != nil {
			return err
		}
	}
	if err := c.unwantNames(l.names); err != nil {
		return err
	}
	for file := range l.clips {
		used, err := c.usesClip(file)
		if err != nil {
			return err
		}
		if used {
			continue
		}
		n, err := c.affected(`INSERT INTO voice_files (node, file, name, kind, made, unwanted) SELECT node, ?, '', ?, ?, ? FROM room_keepers WHERE true
			ON CONFLICT (node, file, name) DO NOTHING`, file, string(store.RecordedName), nanos(c.now), nanos(c.now))
		if err != nil {
			return err
		}
		c.files += int(n)
	}
	return nil
}

// unwantNames has the files removed in which one of the names is spoken.
func (c *changing) unwantNames(names map[string]bool) error {
	if len(names) == 0 {
		return nil
	}
	spoken, err := c.strings("SELECT DISTINCT name FROM voice_files WHERE kind = ? AND unwanted = 0", string(store.SpokenName))
	if err != nil {
		return err
	}
	for _, name := range spoken {
		if !names[name] {
			continue
		}
		n, err := c.affected("UPDATE voice_files SET unwanted = ?, due = 0 WHERE name = ? AND kind = ? AND unwanted = 0", nanos(c.now), name, string(store.SpokenName))
		if err != nil {
			return err
		}
		c.files += int(n)
	}
	return nil
}

// usesClip reports whether a contact or a greeting of the account needs a recording.
func (c *changing) usesClip(clip string) (used bool, err error) {
	accountID, file := path.Base(path.Dir(clip)), path.Base(clip)
	for kind, text := range map[account.Kind]string{account.KindContact: file, account.KindNumber: "file:" + file} {
		if used {
			break
		}
		like := `%"` + strings.ReplaceAll(text, "_", "!_") + `"%`
		err = c.each("SELECT "+rowColumns+" FROM "+tables[kind].name+" WHERE tenant = ? AND account = ? AND CAST(entry AS TEXT) LIKE ? ESCAPE '!'", func(scan scanner) error {
			r, err := readRow(kind, scan)
			if err != nil {
				return err
			}
			switch e := r.Entry.(type) {
			case *account.ContactEntry:
				used = used || e.Clip == file
			case *account.NumberEntry:
				used = used || greetingOf(e) == file
			}
			return nil
		}, c.tenant, accountID, like)
		if err != nil {
			return false, err
		}
	}
	return used, nil
}

// forgetAccounts erases what is kept of the conferences of accounts that go: whoever gets such a key later shall not read it. What is on ends by
// itself and is trimmed in its time; call records are the operator's books.
func (c *changing) forgetAccounts() error {
	var gone []string
	for _, i := range c.of(account.KindAccount) {
		if i.Op != store.Delete {
			continue
		}
		gone = append(gone, i.Key)
		for _, query := range []string{
			"DELETE FROM rooms WHERE tenant = ? AND account = ? AND closed > 0", "DELETE FROM room_access WHERE tenant = ? AND account = ?",
			"DELETE FROM room_pins WHERE tenant = ? AND account = ?",
		} {
			if err := c.exec(query, c.tenant, i.Key); err != nil {
				return err
			}
		}
	}
	// Who has a token for one of them must not find the next account of that key open to him.
	for part := range portions(gone) {
		args := append([]any{nanos(c.now), c.tenant}, anys(part)...)
		if err := c.exec("UPDATE tokens SET revoked = ? WHERE tenant = ? AND revoked = 0 AND account IN ("+marks(len(part))+")", args...); err != nil {
			return err
		}
	}
	return nil
}

// messages drops what the person has said for voicemail and was not delivered yet, with the recordings.
func (f *forgetting) messages(c *changing) error {
	numbers, err := c.strings("SELECT key FROM numbers WHERE tenant = ? AND account = ?", f.tenant, f.account)
	if err != nil || len(f.own) == 0 {
		return err
	}
	var drop []store.Spooled
	err = c.each("SELECT message FROM spool", func(scan scanner) error {
		var text []byte
		var m store.Spooled
		if err := scan(&text); err != nil {
			return err
		}
		if json.Unmarshal(text, &m) == nil && slices.Contains(numbers, string(m.Number)) && slices.Contains(f.own, tel.Number(m.Arrival.From.Number)) {
			drop = append(drop, m)
		}
		return nil
	})
	for _, m := range drop {
		if err == nil {
			err = c.exec("DELETE FROM spool WHERE id = ?", m.ID)
		}
		if err == nil {
			err = c.exec(`INSERT INTO voice_files (node, file, name, kind, made, unwanted) VALUES (?, ?, '', ?, ?, ?) ON CONFLICT (node, file, name) DO NOTHING`,
				m.Node, m.File, string(store.LeftMessage), nanos(m.Recorded), nanos(c.now))
		}
		c.files++
	}
	return err
}
