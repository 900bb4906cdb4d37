package sqlstore

import (
	"context"
	"strings"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// The change log names what each of the newest revisions changed, so that a cache need not read everything again.
const (
	logRevisions = 100 // that it holds
	logRows      = 200 // a revision that changed more is logged as one row of kind logAll: a load is followed by changes that trim it
	logAll       = "*"
)

// log logs what the transaction changed, and drops what is old.
func (c *changing) log() error {
	touched, seen := []store.Touch{}, map[store.Touch]bool{}
	for _, i := range c.items {
		if !i.writes() {
			continue
		}
		t := store.Touch{Tenant: c.tenant, Kind: i.Kind, Key: i.Key}
		if i.Kind == account.KindContact || i.Kind == account.KindRule || i.Kind == account.KindSchedule {
			t.Kind = account.KindAccount
			t.Key, _, _ = strings.Cut(i.Key, "/")
		}
		if !seen[t] {
			seen[t] = true
			touched = append(touched, t)
		}
	}
	if len(touched) > logRows {
		touched = []store.Touch{{Tenant: c.tenant, Kind: logAll}}
	}
	for part := range portions(touched) {
		args := make([]any, 0, 4*len(part))
		for _, t := range part {
			args = append(args, c.revision, t.Tenant, string(t.Kind), t.Key)
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(part)), ", ")
		if err := c.exec("INSERT INTO change_log (revision, tenant, kind, key) VALUES "+values, args...); err != nil {
			return err
		}
	}
	return c.exec("DELETE FROM change_log WHERE revision <= ?", c.revision-logRevisions)
}

// Touched returns what changed after a revision of the database's own count.
func (s *Store) Touched(ctx context.Context, since int64) (store.Touched, error) {
	var out store.Touched
	err := s.reading(ctx, func(t tx) error {
		if err := t.row("SELECT revision FROM revision").Scan(&out.Revision); err != nil {
			return err
		}
		if since > out.Revision || since < out.Revision-logRevisions {
			out.All = true
			return nil
		}
		return t.each("SELECT DISTINCT tenant, kind, key FROM change_log WHERE revision > ?", func(scan scanner) error {
			var touch store.Touch
			err := scan(&touch.Tenant, &touch.Kind, &touch.Key)
			out.All = out.All || touch.Kind == logAll
			out.Rows = append(out.Rows, touch)
			return err
		}, since)
	})
	if out.All {
		out.Rows = nil
	}
	if err != nil {
		return store.Touched{}, s.fail(ctx, err, "what changed")
	}
	return out, nil
}
