package bulk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// Store is what a Preview reads.
type Store interface {
	Get(ctx context.Context, tenant string, kind account.Kind, key string) (store.Row, error)
	Each(ctx context.Context, tenant string, do func(store.Row) error) error
	Preview(ctx context.Context, d account.Document, now time.Time) (store.Changes, error)
}

// Plan says field by field what applying a document would change, or has changed.
type Plan struct {
	Added   []Difference `json:"added"`
	Changed []Difference `json:"changed"`
	Removed []Difference `json:"removed"`
	DryRun  bool         `json:"dry_run,omitempty"` // nothing was written
}

// None reports whether nothing would change.
func (p Plan) None() bool { return len(p.Added)+len(p.Changed)+len(p.Removed) == 0 }

// Done says what an Apply has changed, as a Preview said it before.
func Done(changes store.Changes) (Plan, error) {
	p := Plan{Added: []Difference{}, Changed: []Difference{}, Removed: []Difference{}}
	for _, r := range changes.Rows {
		switch {
		case r.Before == nil:
			p.Added = append(p.Added, differenceOf(r.After, nil))
		case r.After == nil:
			p.Removed = append(p.Removed, differenceOf(r.Before, nil))
		default:
			fields, err := fieldsOf(r.Before, r.After)
			if err != nil {
				return p, err
			}
			p.Changed = append(p.Changed, differenceOf(r.After, fields))
		}
	}
	return p, nil
}

func differenceOf(e account.Entry, fields []Field) Difference {
	return Difference{Kind: e.Kind(), Key: e.Key(), Line: e.Line(), Fields: fields}
}

// Difference is one row that would change, or has changed.
type Difference struct {
	Kind   account.Kind `json:"kind"`
	Key    string       `json:"key"`
	Line   string       `json:"row"` // for people
	Fields []Field      `json:"fields,omitempty"`
}

// Field is one field of a row, such as "voicemail.pilot" or "devices[1].user". Without Before it is new, without After it goes.
type Field struct {
	Name   string `json:"name"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// Preview says what applying the document would change, and changes nothing. The error is that of an Apply.
func Preview(ctx context.Context, s Store, d account.Document, now time.Time) (Plan, error) {
	p := Plan{Added: []Difference{}, Changed: []Difference{}, Removed: []Difference{}, DryRun: true}
	d, err := d.Normalize()
	if err != nil {
		return p, err
	}
	if _, err := s.Preview(ctx, d, now); err != nil { // what rows refer to, and what is in use
		return p, err
	}
	named := map[string]bool{}
	for _, e := range d.Entries() {
		named[string(e.Kind())+" "+e.Key()] = true
		was, err := s.Get(ctx, d.Tenant, e.Kind(), e.Key())
		switch {
		case errors.Is(err, store.ErrNotFound):
			p.Added = append(p.Added, differenceOf(e, nil))
		case err != nil:
			return p, err
		default:
			fields, err := fieldsOf(was.Entry, account.KeepSecrets(e, was.Entry))
			if err != nil {
				return p, err
			}
			if len(fields) > 0 {
				p.Changed = append(p.Changed, differenceOf(e, fields))
			}
		}
	}
	if !d.Prune {
		return p, nil
	}
	return p, s.Each(ctx, d.Tenant, func(r store.Row) error {
		if !named[string(r.Kind)+" "+r.Key] {
			p.Removed = append(p.Removed, Difference{Kind: r.Kind, Key: r.Key, Line: r.Entry.Line()})
		}
		return nil
	})
}

// fieldsOf says in which fields two rows differ, sorted by name.
func fieldsOf(before, after account.Entry) ([]Field, error) {
	old, err := flat(before)
	if err != nil {
		return nil, err
	}
	is, err := flat(after)
	if err != nil {
		return nil, err
	}
	var out []Field
	for name, value := range is {
		if was, ok := old[name]; !ok || was != value {
			out = append(out, shown(Field{name, was, value}))
		}
	}
	for name, was := range old {
		if _, ok := is[name]; !ok {
			out = append(out, shown(Field{Name: name, Before: was}))
		}
	}
	slices.SortFunc(out, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// shown hides what nobody is to read over the operator's shoulder.
func shown(f Field) Field {
	if !strings.HasSuffix(f.Name, ".a1_hash") && f.Name != "conference.pin" {
		return f
	}
	if f.Before != nil {
		f.Before = "***"
	}
	if f.After != nil {
		f.After = "***"
	}
	return f
}

// flat gives the scalars of a row by their paths.
func flat(e account.Entry) (map[string]any, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	out := map[string]any{}
	flatten("", tree, out)
	return out, nil
}

func flatten(path string, v any, out map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			flatten(strings.TrimPrefix(path+"."+name, "."), inner, out)
		}
	case []any:
		for i, inner := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), inner, out)
		}
	case nil:
	default:
		out[path] = v
	}
}
