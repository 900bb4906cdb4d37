package sqlstore

import (
	"context"
	"fmt"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// directoryQuery reads the numbers of a phone with their accounts, which is one moment's because it is one statement.
const directoryQuery = `SELECT n.tenant, n.entry, a.entry FROM number_names m
	JOIN numbers n ON n.key = m.number
	JOIN accounts a ON a.tenant = n.tenant AND a.key = n.account
	WHERE m.kind = 'phone' AND m.name = ? ORDER BY m.number`

// DirectoryUser finds a phone by how it registers.
func (s *Store) DirectoryUser(ctx context.Context, user, domain string) (store.DirectoryUser, error) {
	u, err := s.directoryUser(ctx, store.PhoneKey(user, domain))
	switch {
	case err != nil:
		return store.DirectoryUser{}, s.fail(ctx, err, "a phone of the directory")
	case u == nil:
		return store.DirectoryUser{}, fmt.Errorf("a phone of the directory: %w", store.ErrNotFound)
	}
	return *u, nil
}

// directoryUser finds a phone by its key; nil = no number has a hash of it.
func (s *Store) directoryUser(ctx context.Context, key string) (*store.DirectoryUser, error) {
	db, err := s.place.Reader(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, s.dialect.rebind(directoryQuery), key)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant string
		var numberText, accountText []byte
		if err := rows.Scan(&tenant, &numberText, &accountText); err != nil {
			return nil, err
		}
		number, err := account.DecodeEntry(account.KindNumber, numberText)
		if err != nil {
			return nil, err
		}
		phone, ok := phoneOf(number.(*account.NumberEntry), key)
		if !ok {
			continue
		}
		owner, err := account.DecodeEntry(account.KindAccount, accountText)
		if err != nil {
			return nil, err
		}
		return &store.DirectoryUser{Tenant: tenant, Account: *owner.(*account.AccountEntry), Number: *number.(*account.NumberEntry), Device: phone}, nil
	}
	return nil, rows.Err()
}

// phoneOf finds a number's phone of a key that has an A1Hash.
func phoneOf(n *account.NumberEntry, key string) (account.DeviceEntry, bool) {
	for _, d := range n.Devices {
		if d.Kind == account.DeviceRegistered && d.A1Hash != "" && store.PhoneKey(d.User, d.Host) == key {
			return d, true
		}
	}
	return account.DeviceEntry{}, false
}

// onePassword looks whether phones that were given a hash have another one at another number, whoever's that is: a phone has one
// password, and which of two counts would be chance.
func (c *changing) onePassword() error {
	var keys []string
	given := map[string][]func(number *account.NumberEntry, tenant string){} // by phone
	puts(c, func(i *item, e *account.NumberEntry) {
		for j, d := range e.Devices {
			key := store.PhoneKey(d.User, d.Host)
			if d.Kind != account.DeviceRegistered || d.A1Hash == "" || i.was != nil && hadHash(i.was.Entry, key, d.A1Hash) {
				continue
			}
			if given[key] == nil {
				keys = append(keys, key)
			}
			given[key] = append(given[key], func(other *account.NumberEntry, tenant string) {
				if has, ok := phoneOf(other, key); !ok || has.A1Hash == d.A1Hash {
					return
				}
				at, where := field(i.At, fmt.Sprintf("devices[%d].a1_hash", j)), "number "+other.Number
				if tenant != c.tenant {
					where = "somebody else's number"
				} else if other.Number == e.Number {
					where = "the same number"
				}
				c.bad.Add(at, fmt.Sprintf("%s has another one at %s: write a1_hash: %s there first, or the same at both", key, where, account.NoA1Hash))
			})
		}
	})
	for part := range portions(keys) {
		err := c.each("SELECT m.name, n.tenant, n.entry FROM number_names m JOIN numbers n ON n.key = m.number WHERE m.kind = 'phone' AND m.name IN ("+marks(len(part))+") ORDER BY m.name, m.number",
			func(scan scanner) error {
				var key, tenant string
				var text []byte
				if err := scan(&key, &tenant, &text); err != nil {
					return err
				}
				other, err := account.DecodeEntry(account.KindNumber, text)
				if err != nil {
					return err
				}
				for _, differs := range given[key] {
					differs(other.(*account.NumberEntry), tenant)
				}
				return nil
			}, anys(part)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// hadHash reports whether a number's phone had that hash.
func hadHash(was account.Entry, key, hash string) bool {
	d, ok := phoneOf(was.(*account.NumberEntry), key)
	return ok && d.A1Hash == hash
}
