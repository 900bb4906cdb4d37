package sqlstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// Apply makes the document true in one transaction.
func (s *Store) Apply(ctx context.Context, d account.Document, now time.Time) (store.Changes, error) {
	return s.apply(ctx, d, now, nil)
}

// Preview says what Apply would do.
func (s *Store) Preview(ctx context.Context, d account.Document, now time.Time) (store.Changes, error) {
	return s.apply(ctx, d, now, errPreview)
}

// apply applies the document; with an error as its end the transaction is rolled back at last.
func (s *Store) apply(ctx context.Context, d account.Document, now time.Time, end error) (store.Changes, error) {
	d, err := d.Normalize()
	if err != nil {
		return store.Changes{}, err
	}
	var items []*item
	for at, e := range d.Entries() {
		items = append(items, &item{Change: store.Change{Op: store.Put, Kind: e.Kind(), Key: e.Key(), Entry: e, At: at}})
	}
	c := &changing{tenant: d.Tenant, now: now, mayMove: d.Prune}
	err = s.changing(ctx, c, func() error {
		if d.Prune {
			gone, err := c.others(items)
			if err != nil {
				return err
			}
			items = append(items, gone...)
		}
		if err := c.do(items); err != nil {
			return err
		}
		return end
	})
	if err != nil && !errors.Is(err, errPreview) {
		return store.Changes{}, s.failChange(ctx, err)
	}
	return words(items), nil
}

// others deletes every row of the tenant that items do not name.
func (c *changing) others(items []*item) ([]*item, error) {
	var gone []*item
	for _, kind := range account.Kinds {
		named := map[string]bool{}
		for _, i := range items {
			if i.Kind == kind {
				named[i.Key] = true
			}
		}
		keys, err := c.strings("SELECT key FROM "+tables[kind].name+" WHERE tenant = ? ORDER BY key", c.tenant)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if !named[key] {
				gone = append(gone, &item{Change: store.Change{Op: store.Delete, Kind: kind, Key: key}})
			}
		}
	}
	return gone, nil
}

// words says what items changed.
func words(items []*item) store.Changes {
	var c store.Changes
	for _, i := range items {
		switch {
		case !i.writes():
		case i.Op == store.Delete:
			c.Removed = append(c.Removed, i.was.Entry.Line())
			c.Rows = append(c.Rows, account.RowChange{Before: i.was.Entry})
		case i.was == nil:
			c.Added = append(c.Added, i.row.Entry.Line())
			c.Rows = append(c.Rows, account.RowChange{After: i.row.Entry})
		default:
			c.Changed = append(c.Changed, i.row.Entry.Line())
			c.Rows = append(c.Rows, account.RowChange{Before: i.was.Entry, After: i.row.Entry})
		}
	}
	for _, list := range [][]string{c.Added, c.Changed, c.Removed} {
		slices.Sort(list)
	}
	return c
}
