package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// apiTests are the contract of Tokens, Requests and Mailboxes.
var apiTests = []test{
	{"TokenIsKeptAndRevokedOnce", tokens},
	{"TokenOfAnAccountEndsWithIt", tokenOfAccount},
	{"RequestIsKeptOnce", requestOnce},
	{"RequestsOfAUserAreClaimedInOrder", requestOrder},
	{"LeaseThatRanOutIsAnybodys", requestLease},
	{"FailedRequestIsOpenedAgain", requestReopen},
	{"OldRequestsGoButTheNewest", requestTrim},
	{"MailboxIsWrittenByWhoReadIt", mailboxVersions},
	{"MailboxesAreFoundByUserSystemAndDue", mailboxLists},
	{"RecordsOfATenant", tenantRecords},
}

func tokenOfAccount(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, tenant := range []string{"acme", "other"} {
		if _, err := s.Apply(ctx, account.Document{Tenant: tenant, Accounts: []account.AccountEntry{{ID: "a"}, {ID: "b"}}}, now); err != nil {
			t.Fatal(err)
		}
	}
	for i, of := range []store.Token{{Tenant: "acme", Account: "a"}, {Tenant: "acme", Account: "b"}, {Tenant: "acme"}, {Tenant: "other", Account: "a"}} {
		of.ID, of.Scopes, of.Created = fmt.Sprint(i), []string{"accounts:read"}, now
		if err := s.AddToken(ctx, of); err != nil {
			t.Fatal(err)
		}
	}
	later := now.Add(time.Minute)
	for _, change := range []store.Change{{Op: store.Delete, Kind: account.KindAccount, Key: "a"}, {Op: store.Put, Entry: &account.AccountEntry{ID: "a"}}} {
		if _, err := s.Change(ctx, "acme", []store.Change{change}, later); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []time.Time{later, {}, {}, {}} {
		if got, err := s.Token(ctx, fmt.Sprint(i)); err != nil || !got.Revoked.Equal(want) {
			t.Errorf("token of account %q of %s: %v, revoked at %s, want %s", got.Account, got.Tenant, err, got.Revoked, want)
		}
	}
}

func tokens(t *testing.T, s store.Store) {
	ctx := t.Context()
	a := store.Token{ID: "a1", Tenant: "acme", Name: "CRM", Hash: sha256.Sum256([]byte("a")), Scopes: []string{"provisioning"}, Numbers: []string{"+1415555"}, Created: now, Expires: now.Add(time.Hour)}
	b := store.Token{ID: "b1", Tenant: "operator", Hash: sha256.Sum256([]byte("b")), Scopes: []string{"admin"}, Created: now}
	for _, token := range []store.Token{b, a} {
		if err := s.AddToken(ctx, token); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddToken(ctx, a); !errors.Is(err, store.ErrExists) {
		t.Errorf("adding one twice: %v", err)
	}
	if got, err := s.Token(ctx, "a1"); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("token %+v, %v", got, err)
	}
	if _, err := s.Token(ctx, "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a token that there is not: %v", err)
	}
	if got, err := s.Tokens(ctx, "", "", 1); err != nil || len(got) != 1 || got[0].ID != "a1" {
		t.Errorf("first of all tokens: %+v, %v", got, err)
	}
	if got, err := s.Tokens(ctx, "operator", "", 10); err != nil || len(got) != 1 || got[0].ID != "b1" {
		t.Errorf("tokens of a tenant: %+v, %v", got, err)
	}
	for _, at := range []time.Time{now, now.Add(time.Hour)} {
		if err := errors.Join(s.RevokeToken(ctx, "a1", at), s.UsedToken(ctx, "a1", now.Add(time.Minute)), s.UsedToken(ctx, "a1", now)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Token(ctx, "a1"); err != nil || !got.Revoked.Equal(now) || !got.Used.Equal(now.Add(time.Minute)) {
		t.Errorf("revoked %s, used %s, %v", got.Revoked, got.Used, err)
	}
	if err := s.RevokeToken(ctx, "nobody", now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoking a token that there is not: %v", err)
	}
}

func request(id, user string) store.Request {
	return store.Request{Tenant: "acme", ID: id, User: user, Hash: sha256.Sum256([]byte(id)), Body: []byte(`{"a":1}`), Progress: []byte(`{}`), Open: true, Created: now, Updated: now, Due: now}
}

func add(t *testing.T, s store.Store, r store.Request) store.Request {
	t.Helper()
	kept, added, err := s.AddRequest(t.Context(), r)
	if err != nil || !added || kept.Seq == 0 {
		t.Fatalf("adding request %s: %+v, %v, %v", r.ID, kept, added, err)
	}
	return kept
}

// claim returns the IDs of what is claimed, open or not.
func claim(t *testing.T, s store.Store, owner string, at time.Time) []string {
	t.Helper()
	ids := []string{}
	for _, open := range []bool{false, true} {
		got, err := s.ClaimRequests(t.Context(), owner, open, at, at.Add(time.Minute), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			if ids = append(ids, r.ID); r.Open != open {
				t.Errorf("claimed %s of those that are open: %v", r.ID, open)
			}
		}
	}
	return ids
}

func requestOnce(t *testing.T, s store.Store) {
	first := add(t, s, request("r1", "u1"))
	again := request("r1", "u2")
	if kept, added, err := s.AddRequest(t.Context(), again); err != nil || added || !reflect.DeepEqual(kept, first) {
		t.Errorf("the same ID again: %+v, %v, %v, want %+v", kept, added, err, first)
	}
	other := request("r1", "u1")
	other.Tenant = "other"
	add(t, s, other)
	if got, err := s.Request(t.Context(), "acme", "r1"); err != nil || !reflect.DeepEqual(got, first) {
		t.Errorf("request %+v, %v", got, err)
	}
	if _, err := s.Request(t.Context(), "acme", "r2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a request that there is not: %v", err)
	}
	add(t, s, request("r2", "u2"))
	if got, err := s.Requests(t.Context(), "acme", "", 0, 10); err != nil || len(got) != 2 || got[0].ID != "r2" {
		t.Errorf("requests, newest first: %+v, %v", got, err)
	}
	if got, err := s.Requests(t.Context(), "acme", "u1", 0, 10); err != nil || len(got) != 1 || got[0].ID != "r1" {
		t.Errorf("requests of a user: %+v, %v", got, err)
	}
	if got, err := s.Requests(t.Context(), "acme", "", first.Seq, 10); err != nil || len(got) != 0 {
		t.Errorf("requests before the first: %+v, %v", got, err)
	}
}

func requestOrder(t *testing.T, s store.Store) {
	first := add(t, s, request("r1", "u1"))
	add(t, s, request("r2", "u1"))
	add(t, s, request("r3", "u2"))
	later := request("r4", "u3")
	later.Due = now.Add(time.Hour)
	add(t, s, later)
	if got := claim(t, s, "one", now); !slices.Equal(got, []string{"r1", "r3"}) {
		t.Errorf("claimed %v, want the older of each user that is due", got)
	}
	if got := claim(t, s, "other", now); len(got) != 0 {
		t.Errorf("claimed %v, which somebody works on, or which waits", got)
	}
	first.Open, first.Due, first.Version, first.Progress = false, now.Add(time.Hour), 1, []byte(`{"b":2}`)
	if err := s.SaveRequest(t.Context(), first, "other", time.Time{}); !errors.Is(err, store.ErrLease) {
		t.Errorf("saving another's: %v", err)
	}
	if err := s.SaveRequest(t.Context(), first, "one", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveRequest(t.Context(), first, "one", time.Time{}); !errors.Is(err, store.ErrLease) {
		t.Errorf("saving what was given back: %v", err)
	}
	if got, err := s.Request(t.Context(), "acme", "r1"); err != nil || !reflect.DeepEqual(got, first) {
		t.Errorf("kept is %+v, %v, want %+v", got, err, first)
	}
	if got := claim(t, s, "other", now); !slices.Equal(got, []string{"r2"}) {
		t.Errorf("claimed %v, want the user's next", got)
	}
	if got := claim(t, s, "other", now.Add(time.Hour)); !slices.Equal(got, []string{"r1", "r2", "r3", "r4"}) {
		t.Errorf("an hour later claimed %v", got)
	}
}

func requestLease(t *testing.T, s store.Store) {
	r := add(t, s, request("r1", "u1"))
	claim(t, s, "dead", now)
	if got := claim(t, s, "heir", now.Add(2*time.Minute)); !slices.Equal(got, []string{"r1"}) {
		t.Errorf("claimed %v after the lease ran out", got)
	}
	if err := s.SaveRequest(t.Context(), r, "dead", now.Add(time.Hour)); !errors.Is(err, store.ErrLease) {
		t.Errorf("the dead saves: %v", err)
	}
	if _, err := s.SaveMailbox(t.Context(), store.Mailbox{FQDN: "vm.example.net", ID: "1", State: store.MailboxDeleting, Due: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := s.ReleaseRequests(t.Context()); err != nil {
		t.Fatal(err)
	}
	if due, err := s.DueMailboxes(t.Context(), now, 10); err != nil || len(due) != 1 {
		t.Errorf("mailboxes that somebody was deleting: %+v, %v", due, err)
	}
	if got := claim(t, s, "one", now.Add(2*time.Minute)); !slices.Equal(got, []string{"r1"}) {
		t.Errorf("claimed %v after all leases were given back", got)
	}
}

func requestReopen(t *testing.T, s store.Store) {
	r := add(t, s, request("r1", "u1"))
	if _, err := s.ReopenRequest(t.Context(), "acme", "r1", now); !errors.Is(err, store.ErrConflict) {
		t.Errorf("opening an open one: %v", err)
	}
	claim(t, s, "one", now)
	r.Open, r.Due = false, time.Time{}
	if err := s.SaveRequest(t.Context(), r, "one", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ReopenRequest(t.Context(), "acme", "r1", now); err != nil || !got.Open || !got.Due.Equal(now) {
		t.Errorf("opened again: %+v, %v", got, err)
	}
	claim(t, s, "one", now)
	if err := s.SaveRequest(t.Context(), r, "one", time.Time{}); err != nil {
		t.Fatal(err)
	}
	add(t, s, request("r2", "u1"))
	if _, err := s.ReopenRequest(t.Context(), "acme", "r1", now); !errors.Is(err, store.ErrConflict) {
		t.Errorf("opening one that has a younger one behind it: %v", err)
	}
	if _, err := s.ReopenRequest(t.Context(), "other", "r1", now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("opening another tenant's: %v", err)
	}
}

func requestTrim(t *testing.T, s store.Store) {
	for _, id := range []string{"r1", "r2", "r3"} {
		add(t, s, request(id, "u1"))
		add(t, s, request("other-"+id, "u-"+id))
	}
	for range 3 {
		got, err := s.ClaimRequests(t.Context(), "one", true, now, now.Add(time.Minute), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			r.Open, r.Due = false, time.Time{}
			if err := s.SaveRequest(t.Context(), r, "one", time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := s.TrimRequests(t.Context(), now); err != nil || n != 0 {
		t.Errorf("trimmed %d of today, %v", n, err)
	}
	if n, err := s.TrimRequests(t.Context(), now.Add(time.Hour)); err != nil || n != 2 {
		t.Errorf("trimmed %d, %v, want the user's older two", n, err)
	}
	if got, err := s.Requests(t.Context(), "acme", "u1", 0, 10); err != nil || len(got) != 1 || got[0].ID != "r3" {
		t.Errorf("left are %+v, %v", got, err)
	}
}

func mailboxVersions(t *testing.T, s store.Store) {
	ctx := t.Context()
	m := store.Mailbox{FQDN: "vm.example.net", ID: "+14155550100", Tenant: "acme", User: "u1", Number: "+14155550100", Class: "basic", State: store.MailboxCreating, Updated: now}
	if _, err := s.Mailbox(ctx, m.FQDN, m.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a mailbox that there is not: %v", err)
	}
	kept, err := s.SaveMailbox(ctx, m)
	if err != nil || kept.Version != 1 {
		t.Fatalf("saved %+v, %v", kept, err)
	}
	if _, err := s.SaveMailbox(ctx, m); !errors.Is(err, store.ErrConflict) {
		t.Errorf("making it twice: %v", err)
	}
	kept.State, kept.RetainUntil, kept.Due, kept.Attempts = store.MailboxRetained, now.Add(time.Hour), now, 3
	changed, err := s.SaveMailbox(ctx, kept)
	if err != nil || changed.Version != 2 {
		t.Fatalf("changed %+v, %v", changed, err)
	}
	if _, err := s.SaveMailbox(ctx, kept); !errors.Is(err, store.ErrConflict) {
		t.Errorf("changing what was changed meanwhile: %v", err)
	}
	if got, err := s.Mailbox(ctx, m.FQDN, m.ID); err != nil || !reflect.DeepEqual(got, changed) {
		t.Errorf("kept is %+v, %v, want %+v", got, err, changed)
	}
	if err := s.DeleteMailbox(ctx, kept); !errors.Is(err, store.ErrConflict) {
		t.Errorf("deleting what was changed meanwhile: %v", err)
	}
	for range 2 {
		if err := s.DeleteMailbox(ctx, changed); err != nil {
			t.Errorf("deleting: %v", err)
		}
	}
}

func mailboxLists(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, m := range []store.Mailbox{
		{FQDN: "vm-a.example.net", ID: "1", Tenant: "acme", User: "u1", Due: now},
		{FQDN: "vm-a.example.net", ID: "2", Tenant: "other", User: "u1"},
		{FQDN: "vm-b.example.net", ID: "1", Tenant: "acme", User: "u1", Due: now.Add(-time.Hour)},
		{FQDN: "vm-b.example.net", ID: "2", Tenant: "acme", User: "u2", Due: now.Add(time.Hour)},
	} {
		if _, err := s.SaveMailbox(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, list []store.Mailbox, err error, names ...string) {
		t.Helper()
		got := []string{}
		for _, m := range list {
			got = append(got, m.FQDN[3:4]+m.ID)
		}
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("%s: %v, %v, want %v", what, got, err, names)
		}
	}
	list, err := s.MailboxesOf(ctx, "acme", "u1")
	want("of a user", list, err, "a1", "b1")
	list, err = s.Mailboxes(ctx, "vm-a.example.net", "", 10)
	want("at a system", list, err, "a1", "a2")
	list, err = s.Mailboxes(ctx, "vm-a.example.net", "1", 10)
	want("after one", list, err, "a2")
	list, err = s.DueMailboxes(ctx, now, 10)
	want("that are due", list, err, "b1", "a1")
}

func tenantRecords(t *testing.T, s store.Store) {
	want := []string{}
	for i, of := range []string{"acme", "other", "acme", "acme", ""} {
		r := record(fmt.Sprintf("c%d", i), "fs1", now.Add(time.Duration(i)*time.Minute))
		r.Plan.Tenant = of
		if err := s.Open(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			continue // still open
		}
		if r.Ended = r.Started.Add(time.Second); of == "acme" {
			want = append([]string{r.ID}, want...)
		}
		if err := s.Close(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	got, mark, pages := []string{}, "", 0
	for {
		list, next, err := s.RecordsOf(t.Context(), "acme", mark, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			got = append(got, r.ID)
		}
		if pages++; next == "" || pages > 5 {
			break
		}
		mark = next
	}
	if !slices.Equal(got, want) || pages != 2 {
		t.Errorf("records of a tenant: %v on %d pages, want %v", got, pages, want)
	}
	if _, _, err := s.RecordsOf(t.Context(), "acme", "forged", 1); err == nil {
		t.Error("a mark that is none was taken")
	}
}
