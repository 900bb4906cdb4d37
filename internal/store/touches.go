package store

import (
	"github.com/signalbox/signalbox/internal/account"
)

// maxTouches bounds the rows whose last change is remembered. Beyond it every entry counts as changed.
const maxTouches = 50_000

// touches remember at which revision the rows changed that profiles are made of.
type touches struct {
	least int64           // what is known to hold at a lower revision may have changed
	rows  map[Touch]int64 // by row: an upper bound of the revision that changed it last
}

// add notes what changed.
func (t *touches) add(n Touched) {
	if n.All || len(t.rows)+len(n.Rows) > maxTouches {
		t.least, t.rows = n.Revision, nil
		return
	}
	if t.rows == nil {
		t.rows = map[Touch]int64{}
	}
	for _, row := range n.Rows {
		t.rows[part(row.Tenant, row.Kind, row.Key)] = n.Revision
	}
}

// part names a row that a profile may be made of. Only accounts are told apart by their tenants: a number is one tenant's, and a
// pilot or system of a tenant may appear before the operator's of the same key.
func part(tenant string, kind account.Kind, key string) Touch {
	if kind != account.KindAccount {
		tenant = ""
	}
	return Touch{Tenant: tenant, Kind: kind, Key: key}
}

// since reports whether a row changed after a revision.
func (t *touches) since(revision int64, row Touch) bool { return t.rows[row] > revision }

// holds reports whether an entry is as the store has it at the revision, and notes that it is. mu is held.
func (c *Cache) holds(e *cached) bool {
	if e.revision == c.revision {
		return true
	}
	t := &c.touched
	if e.revision > c.revision || e.revision < t.least || t.since(e.revision, part("", account.KindNumber, string(e.number))) {
		return false
	}
	if p := &e.profile; !e.unknown {
		if t.since(e.revision, part(p.Account.Tenant, account.KindAccount, p.Account.ID)) {
			return false
		}
		if p.Voicemail != nil && t.since(e.revision, part("", account.KindPilot, p.Voicemail.Pilot)) {
			return false
		}
		for _, s := range p.Systems {
			if t.since(e.revision, part("", account.KindVoicemailSystem, s.FQDN)) {
				return false
			}
		}
	}
	e.revision = c.revision
	return true
}
