package book

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// Rows is what an import reads and writes; store.Rows is one.
type Rows interface {
	Get(ctx context.Context, tenant string, kind account.Kind, key string) (store.Row, error)
	List(ctx context.Context, tenant string, kind account.Kind, opt store.ListOptions) ([]store.Row, error)
	Change(ctx context.Context, tenant string, changes []store.Change, now time.Time) ([]store.Row, error)
}

// ErrFull means that an account would have more than MaxContacts.
var ErrFull = fmt.Errorf("an address book has at most %d contacts: remove some, or replace those of the last import", MaxContacts)

// batch is how many contacts are written in one transaction: few enough that the calls' own writes wait for it a moment only.
const batch = 500

// Plan is what an import changes.
type Plan struct {
	Added   []account.ContactEntry
	Changed []Change
	Removed []account.ContactEntry
	Same    int // contacts that are as the file has them
}

// Change is a contact before and after.
type Change struct{ Before, After account.ContactEntry }

// Of returns the contacts of an account by their IDs; store.ErrNotFound when there is no such account.
func Of(ctx context.Context, rows Rows, tenant, accountID string) ([]account.ContactEntry, error) {
	if _, err := rows.Get(ctx, tenant, account.KindAccount, accountID); err != nil {
		return nil, err
	}
	var out []account.ContactEntry
	for after := ""; ; {
		page, err := rows.List(ctx, tenant, account.KindContact, store.ListOptions{After: after, Account: accountID, Limit: store.MaxList})
		if err != nil {
			return nil, err
		}
		for _, row := range page {
			out = append(out, *row.Entry.(*account.ContactEntry))
		}
		if len(page) < store.MaxList {
			return out, nil
		}
		after = page[len(page)-1].Key
	}
}

// Country is the country of an account: that of its first number that has one; "" = it has none.
func Country(ctx context.Context, rows Rows, tenant, accountID string) (string, error) {
	page, err := rows.List(ctx, tenant, account.KindNumber, store.ListOptions{Account: accountID, Limit: store.MaxList})
	for _, row := range page {
		if region := tel.Number(row.Key).Region(); len(region) == 2 {
			return region, nil
		}
	}
	return "", err
}

// Compare says what has to change so that an account, which has some contacts, has those of a file. What a file does not say of a
// contact (whether he may join, his clip, his label, whether it is shared) stays as it is; what only looks like a firm is shared where nobody has
// said. An entry whose name and one number an existing contact has under
// another ID adds its numbers to that. With replace, contacts of an earlier import that are not in the file go.
func Compare(have []account.ContactEntry, file []Contact, replace bool) Plan {
	byID, byName := map[string]account.ContactEntry{}, map[string]string{}
	for _, c := range have {
		byID[c.ID] = c
		for _, n := range c.Numbers {
			key := n + " " + folded(c.Name)
			if _, taken := byName[key]; !taken {
				byName[key] = c.ID
			}
		}
	}
	var plan Plan
	wanted := map[string]account.ContactEntry{} // by ID
	var order []string
	for _, c := range file {
		e := c.Entry
		before, known := byID[e.ID]
		if id := sameAs(e, byName); !known && id != "" {
			before, known = byID[id], true
			e.ID, e.Name, e.Numbers = id, before.Name, union(before.Numbers, e.Numbers)
		}
		if known {
			e.Label, e.Clip, e.MayJoin = cmp.Or(e.Label, before.Label), cmp.Or(e.Clip, before.Clip), cmp.Or(e.MayJoin, before.MayJoin)
			e.Source, e.Shared = before.Source, cmp.Or(e.Shared, before.Shared)
		}
		if c.Firm && e.Shared == nil {
			yes := true
			e.Shared = &yes
		}
		if earlier, twice := wanted[e.ID]; twice {
			e.Numbers, e.Shared = union(earlier.Numbers, e.Numbers), cmp.Or(e.Shared, earlier.Shared)
		} else {
			order = append(order, e.ID)
		}
		wanted[e.ID] = e
	}
	for _, id := range order {
		before, known := byID[id]
		switch after := wanted[id]; {
		case !known:
			plan.Added = append(plan.Added, after)
		case account.Same(&before, &after):
			plan.Same++
		default:
			plan.Changed = append(plan.Changed, Change{before, after})
		}
	}
	for _, c := range have {
		if _, stays := wanted[c.ID]; !stays && replace && c.Source == "import" {
			plan.Removed = append(plan.Removed, c)
		}
	}
	return plan
}

// sameAs is the ID of a contact that has the name and a number of an entry.
func sameAs(e account.ContactEntry, byName map[string]string) string {
	name := folded(e.Name)
	for _, n := range e.Numbers {
		if id, ok := byName[n+" "+name]; ok {
			return id
		}
	}
	return ""
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, n := range b {
		if !slices.Contains(out, n) && len(out) < account.MaxContactNumbers {
			out = append(out, n)
		}
	}
	return out
}

// Import makes what a plan says, in transactions of some hundred contacts each. After an error the same file imported again goes on:
// what was written is then the same. done is told how many changes of all are made; nil = nobody asks.
func Import(ctx context.Context, rows Rows, tenant string, plan Plan, had int, now time.Time, done func(made, all int)) error {
	if n := had + len(plan.Added) - len(plan.Removed); n > MaxContacts {
		return fmt.Errorf("%w: it would have %d", ErrFull, n)
	}
	var changes []store.Change
	for _, c := range plan.Removed {
		changes = append(changes, store.Change{Op: store.Delete, Kind: account.KindContact, Key: c.Key()})
	}
	for _, c := range plan.Changed {
		changes = append(changes, store.Change{Op: store.Put, Entry: &c.After})
	}
	for i := range plan.Added {
		changes = append(changes, store.Change{Op: store.Put, Entry: &plan.Added[i]})
	}
	made := 0
	for part := range slices.Chunk(changes, batch) {
		if _, err := rows.Change(ctx, tenant, part, now); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				err = fmt.Errorf("somebody else changed the address book meanwhile: import again (%w)", err)
			}
			return fmt.Errorf("%d of %d changes are made: %w", made, len(changes), err)
		}
		made += len(part)
		if done != nil {
			done(made, len(changes))
		}
	}
	return nil
}

// FormatOf tells the format of a file by its name or, where that says nothing, by how it begins.
func FormatOf(name string, begin []byte) (Format, error) {
	switch lower := strings.ToLower(name); {
	case strings.HasSuffix(lower, ".vcf"), strings.HasSuffix(lower, ".vcard"):
		return VCard, nil
	case strings.HasSuffix(lower, ".csv"), strings.HasSuffix(lower, ".tsv"):
		return CSV, nil
	case strings.HasSuffix(lower, ".json"), strings.HasSuffix(lower, ".jcf"):
		return JCard, nil
	}
	switch text := strings.ToUpper(strings.TrimLeft(string(begin), "\ufeff \t\r\n")); {
	case strings.HasPrefix(text, "BEGIN:VCARD"):
		return VCard, nil
	case strings.HasPrefix(text, "["):
		return JCard, nil
	}
	return "", fmt.Errorf("what %s is cannot be told by its name: say --format vcard, jcard or csv", name)
}
