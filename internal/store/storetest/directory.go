package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// directoryTests are the contract of Directory, and of what phones register with.
var directoryTests = []test{
	{"PhonesAreFoundByHowTheyRegister", directory},
	{"PhonesKeepTheirHash", directoryKeeps},
	{"APhoneHasOneHash", directoryOne},
}

// aHash is a hash of one byte, over and over.
func aHash(b string) string { return strings.Repeat(b, 16) }

func phones(user, hash string) []account.DeviceEntry {
	return []account.DeviceEntry{{User: user, Host: "PBX.example.net", A1Hash: hash}, {Kind: account.DeviceURI, User: "desk", Host: "pbx.example.net"}}
}

func directory(t *testing.T, s store.Store) {
	apply(t, s, account.Document{
		Accounts: []account.AccountEntry{{ID: "alice", Name: "Alice"}},
		Numbers: []account.NumberEntry{
			{Number: string(Alice), Account: "alice", Devices: phones("1000", "")},
			{Number: string(Bob), Account: "alice", Devices: phones("1000", aHash("0a"))},
		},
	})
	apply(t, s, account.Document{Tenant: "acme",
		Accounts: []account.AccountEntry{{ID: "eve"}},
		Numbers:  []account.NumberEntry{{Number: "+14155550155", Account: "eve", Devices: phones("2000", aHash("0e"))}},
	})
	u, err := s.DirectoryUser(t.Context(), "1000", "pbx.EXAMPLE.net")
	if err != nil || u.Tenant != account.OperatorTenant || u.Account.Name != "Alice" || u.Number.Number != string(Bob) || u.Device.A1Hash != aHash("0a") || u.Device.User != "1000" {
		t.Errorf("%+v, %v: want the row that has a hash", u, err)
	}
	if u, err := s.DirectoryUser(t.Context(), "2000", "pbx.example.net"); err != nil || u.Tenant != "acme" || u.Account.ID != "eve" {
		t.Errorf("another tenant's phone: %+v, %v", u, err)
	}
	nobody := func(who ...[2]string) {
		t.Helper()
		for _, w := range who {
			if u, err := s.DirectoryUser(t.Context(), w[0], w[1]); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%v: %+v, %v", w, u, err)
			}
		}
	}
	nobody([2]string{"desk", "pbx.example.net"}, [2]string{"1000", "example.net"}, [2]string{"10%", "pbx.example.net"}, [2]string{"", ""},
		[2]string{"1000@pbx.example.net", ""}, [2]string{"' OR 1=1 --", "pbx.example.net"})
	apply(t, s, account.Document{Numbers: []account.NumberEntry{{Number: string(Bob), Account: "alice", Devices: phones("1001", "")}}})
	nobody([2]string{"1000", "pbx.example.net"}, [2]string{"1001", "pbx.example.net"})
	apply(t, s, account.Document{Tenant: "acme", Prune: true})
	nobody([2]string{"2000", "pbx.example.net"})
}

func directoryKeeps(t *testing.T, s store.Store) {
	number := account.NumberEntry{Number: string(Alice), Account: "alice", Devices: phones("1000", aHash("0a"))}
	document := account.Document{Accounts: []account.AccountEntry{{ID: "alice"}}, Numbers: []account.NumberEntry{number}}
	apply(t, s, document)
	hash := func() string {
		u, err := s.DirectoryUser(t.Context(), "1000", "pbx.example.net")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		return u.Device.A1Hash
	}
	document.Numbers[0].Devices = phones("1000", "")
	if c := apply(t, s, document); len(c.Changed) != 0 || hash() != aHash("0a") {
		t.Errorf("applied without its hash: changed %v, kept %q", c.Changed, hash())
	}
	put := account.NumberEntry{Number: string(Alice), Account: "alice", NoAnswer: account.Duration(account.MaxNoAnswer), Devices: phones("1000", "")}
	rows, err := s.Change(t.Context(), account.OperatorTenant, []store.Change{{Op: store.Put, Entry: &put}}, now)
	if err != nil || rows[0].Entry.(*account.NumberEntry).Devices[0].A1Hash != aHash("0a") || hash() != aHash("0a") {
		t.Errorf("put without its hash: %+v, %v, kept %q", rows, err, hash())
	}
	before := rows[0].Version
	put.Devices = phones("1000", aHash("0b"))
	if rows, err = s.Change(t.Context(), account.OperatorTenant, []store.Change{{Op: store.Put, Entry: &put}}, now); err != nil || rows[0].Version <= before || hash() != aHash("0b") {
		t.Errorf("a new hash: %+v, %v, kept %q", rows, err, hash())
	}
	put.Devices = phones("1000", account.NoA1Hash)
	if _, err = s.Change(t.Context(), account.OperatorTenant, []store.Change{{Op: store.Put, Entry: &put}}, now); err != nil || hash() != "" {
		t.Errorf("taken away: %v, kept %q", err, hash())
	}
}

func directoryOne(t *testing.T, s store.Store) {
	apply(t, s, account.Document{
		Accounts: []account.AccountEntry{{ID: "alice"}},
		Numbers:  []account.NumberEntry{{Number: string(Alice), Account: "alice", Devices: phones("1000", aHash("0a"))}},
	})
	bob := func(hash string) account.NumberEntry {
		return account.NumberEntry{Number: string(Bob), Account: "alice", Devices: phones("1000", hash)}
	}
	refused := func(d account.Document, want string) {
		t.Helper()
		var invalid *account.Invalid
		if _, err := s.Apply(t.Context(), d, now); !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused(account.Document{Numbers: []account.NumberEntry{bob(aHash("0b"))}}, "numbers[0].devices[0].a1_hash: 1000@pbx.example.net has another one at number "+string(Alice))
	refused(account.Document{Tenant: "acme", Accounts: []account.AccountEntry{{ID: "eve"}},
		Numbers: []account.NumberEntry{{Number: "+14155550155", Account: "eve", Devices: phones("1000", aHash("0e"))}}}, "has another one at somebody else's number")
	apply(t, s, account.Document{Numbers: []account.NumberEntry{bob(aHash("0a"))}})
	refused(account.Document{Numbers: []account.NumberEntry{bob(aHash("0b"))}}, "a1_hash")
	both := account.Document{Numbers: []account.NumberEntry{bob(aHash("0b")), {Number: string(Alice), Account: "alice", Devices: phones("1000", account.NoA1Hash)}}}
	apply(t, s, both)
	if u, err := s.DirectoryUser(t.Context(), "1000", "pbx.example.net"); err != nil || u.Device.A1Hash != aHash("0b") {
		t.Errorf("changed at both numbers at once: %+v, %v", u, err)
	}
}
