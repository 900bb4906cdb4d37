package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// outboxTests are the contract of Outbox.
var outboxTests = []test{
	{"OutgoingIsSentByOne", outgoingSent},
	{"OutgoingIsPutOff", outgoingPutOff},
	{"OutgoingGoesByTurns", outgoingTurns},
	{"OutgoingIsReplaced", outgoingReplaced},
	{"OutgoingIsBounded", outgoingBounded},
	{"OutgoingGoesWithItsAccount", outgoingGoes},
}

func outgoing(id string, due time.Time) store.Outgoing {
	return store.Outgoing{ID: id, Tenant: other, Account: "a", About: "s1", Address: string(Bob), Body: []byte(`{"text":"é"}`), State: store.OutgoingWaiting, Due: due, Created: now, Updated: now}
}

func outgoingIDs(t *testing.T, list []store.Outgoing, err error) string {
	t.Helper()
	must(t, err)
	var ids []string
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

func outgoingSent(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, other, acc("a"))
	one, two, later := outgoing("m1", now), outgoing("m2", now.Add(-time.Second)), outgoing("m3", now.Add(time.Hour))
	must(t, s.AddOutgoing(ctx, other, []store.Outgoing{one, two, later}, 10))
	changed := one
	changed.Address = "another"
	must(t, s.AddOutgoing(ctx, other, []store.Outgoing{changed}, 10)) // is there
	list, err := s.ClaimOutgoing(ctx, "me", "", now, now.Add(time.Minute), 10)
	if got := outgoingIDs(t, list, err); got != "m2 m1" {
		t.Fatalf("due are %s", got)
	}
	if !reflect.DeepEqual(list[1], one) {
		t.Errorf("claimed is %+v, want %+v", list[1], one)
	}
	if list, err := s.ClaimOutgoing(ctx, "other", "", now, now.Add(time.Minute), 10); err != nil || len(list) != 0 {
		t.Errorf("claimed twice: %+v, %v", list, err)
	}
	one.State, one.Tries, one.Note, one.Updated = store.OutgoingSent, 1, "200", now.Add(time.Second)
	if err := s.SaveOutgoing(ctx, one, "other"); !errors.Is(err, store.ErrLease) {
		t.Errorf("saved by another: %v, want ErrLease", err)
	}
	must(t, s.SaveOutgoing(ctx, one, "me"))
	all, err := s.OutgoingAbout(ctx, other, "a", "s1", "", 10)
	if got := outgoingIDs(t, all, err); got != "m1 m2 m3" || !reflect.DeepEqual(all[0], one) {
		t.Errorf("about the schedule are %s: %+v", got, all)
	}
	if list, err := s.OutgoingAbout(ctx, other, "a", "s1", "m1", 1); outgoingIDs(t, list, err) != "m2" {
		t.Errorf("the page after is %+v", list)
	}
	for _, of := range [][3]string{{other, "a", "s2"}, {other, "b", "s1"}, {account.OperatorTenant, "a", "s1"}} {
		if list, err := s.OutgoingAbout(ctx, of[0], of[1], of[2], "", 10); err != nil || len(list) != 0 {
			t.Errorf("of %v there are %+v, %v", of, list, err)
		}
	}
	if n, err := s.CountOutgoing(ctx); err != nil || n != 2 {
		t.Errorf("%d wait, %v", n, err)
	}
	if n, err := s.TrimOutgoing(ctx, now.Add(time.Second)); err != nil || n != 0 {
		t.Errorf("trimmed %d, %v, of what is not older", n, err)
	}
	if n, err := s.TrimOutgoing(ctx, now.Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("trimmed %d, %v, want the one that was sent", n, err)
	}
}

func outgoingPutOff(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, other, acc("a"))
	must(t, s.AddOutgoing(ctx, other, []store.Outgoing{outgoing("m1", now)}, 10))
	claim := func(at time.Time) []store.Outgoing {
		t.Helper()
		list, err := s.ClaimOutgoing(ctx, "me", "", at, at.Add(time.Minute), 10)
		must(t, err)
		return list
	}
	m := claim(now)[0]
	m.Due, m.Tries = now.Add(time.Hour), 1
	must(t, s.SaveOutgoing(ctx, m, "me"))
	if list := claim(now.Add(time.Minute)); len(list) != 0 {
		t.Errorf("due before its time: %+v", list)
	}
	if list := claim(now.Add(time.Hour)); len(list) != 1 || list[0].Tries != 1 {
		t.Errorf("due then: %+v", list)
	}
	// Whoever holds it dies; when the lease has run out it is anybody's.
	if list := claim(now.Add(time.Hour + 30*time.Second)); len(list) != 0 {
		t.Errorf("leased to two: %+v", list)
	}
	if list := claim(now.Add(time.Hour + time.Minute)); len(list) != 1 {
		t.Errorf("lost with its owner: %+v", list)
	}
}

// outgoingTurns has a tenant with many old messages, three with a new one, and one whose messages are not due.
func outgoingTurns(t *testing.T, s store.Store) {
	ctx := t.Context()
	var many []store.Outgoing
	for i := range 30 {
		many = append(many, outgoing(fmt.Sprintf("m%02d", i), now.Add(time.Duration(i-100)*time.Minute)))
	}
	put(t, s, "b", acc("a"))
	must(t, s.AddOutgoing(ctx, "b", many, 100))
	for _, tenant := range []string{"a", "c", "d", "late"} {
		due := now
		if tenant == "late" {
			due = now.Add(time.Hour)
		}
		put(t, s, tenant, acc("a"))
		must(t, s.AddOutgoing(ctx, tenant, []store.Outgoing{outgoing("m", due)}, 100))
	}
	claim := func(behind string, limit int) (got []string, last string) {
		t.Helper()
		list, err := s.ClaimOutgoing(ctx, "me", behind, now, now.Add(time.Minute), limit)
		must(t, err)
		for _, m := range list {
			got, last = append(got, m.Tenant+"/"+m.ID), m.Tenant
		}
		return got, last
	}
	got, last := claim("", 3)
	if want := []string{"a/m", "b/m00", "c/m"}; !slices.Equal(got, want) {
		t.Errorf("the first three are %v, want %v", got, want)
	}
	got, last = claim(last, 3)
	if want := []string{"d/m", "b/m01", "b/m02"}; !slices.Equal(got, want) {
		t.Errorf("behind c there are %v, want %v", got, want)
	}
	if got, _ = claim(last, 100); len(got) != 27 || got[0] != "b/m03" || got[26] != "b/m29" {
		t.Errorf("the rest is %v", got)
	}
	if got, _ = claim("", 3); len(got) != 0 {
		t.Errorf("at last there are %v", got)
	}
}

func outgoingReplaced(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, other, acc("a"))
	waits, underWay, sent, elsewhere, else2 := outgoing("m1", now.Add(time.Hour)), outgoing("m2", now), outgoing("m3", now), outgoing("m4", now.Add(time.Hour)), outgoing("m5", now.Add(time.Hour))
	elsewhere.Address, else2.About = "ben@example.com", "s2"
	must(t, s.AddOutgoing(ctx, other, []store.Outgoing{sent}, 10))
	claimed, err := s.ClaimOutgoing(ctx, "me", "", now, now.Add(time.Minute), 10)
	must(t, err)
	sent = claimed[0]
	sent.State = store.OutgoingSent
	must(t, s.SaveOutgoing(ctx, sent, "me"))
	must(t, s.AddOutgoing(ctx, other, []store.Outgoing{waits, underWay, elsewhere, else2}, 10))
	if _, err = s.ClaimOutgoing(ctx, "me", "", now, now.Add(time.Minute), 10); err != nil {
		t.Fatal(err)
	}
	off := outgoing("m6", now)
	off.Replaces = true
	for range 2 { // the second is there
		must(t, s.AddOutgoing(ctx, other, []store.Outgoing{off}, 3))
	}
	if err := s.SaveOutgoing(ctx, underWay, "me"); !errors.Is(err, store.ErrLease) {
		t.Errorf("the one under way is put off: %v, want ErrLease", err)
	}
	var got []string
	for _, about := range []string{"s1", "s2"} {
		list, err := s.OutgoingAbout(ctx, other, "a", about, "", 10)
		must(t, err)
		for _, m := range list {
			got = append(got, m.ID+" "+string(m.State))
		}
	}
	if want := []string{"m1 failed", "m2 failed", "m3 sent", "m4 waiting", "m6 waiting", "m5 waiting"}; !slices.Equal(got, want) {
		t.Errorf("in the end %v, want %v", got, want)
	}
}

func outgoingBounded(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, other, acc("a"))
	if err := s.AddOutgoing(ctx, other, []store.Outgoing{outgoing("m1", now), outgoing("m2", now), outgoing("m3", now)}, 2); !errors.Is(err, store.ErrTooMany) {
		t.Errorf("three where two may wait: %v, want ErrTooMany", err)
	}
	if n, err := s.CountOutgoing(ctx); err != nil || n != 0 {
		t.Errorf("%d of them wait, %v", n, err)
	}
	must(t, s.AddOutgoing(ctx, other, []store.Outgoing{outgoing("m1", now), outgoing("m2", now)}, 2))
	must(t, s.AddOutgoing(ctx, other, []store.Outgoing{outgoing("m1", now)}, 2))
	put(t, s, account.OperatorTenant, acc("a"))
	must(t, s.AddOutgoing(ctx, account.OperatorTenant, []store.Outgoing{outgoing("m1", now)}, 2)) // another tenant's of the same ID
	nobody := outgoing("m9", now)
	nobody.Account = "x"
	if err := s.AddOutgoing(ctx, other, []store.Outgoing{nobody}, 10); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of an account that there is not: %v, want ErrNotFound", err)
	}
}

func outgoingGoes(t *testing.T, s store.Store) {
	ctx := t.Context()
	put(t, s, other, acc("a"), num(Alice, "a"))
	bens := outgoing("m2", now)
	bens.Address = "ben@example.com"
	must(t, s.AddOutgoing(ctx, other, []store.Outgoing{outgoing("m1", now), bens}, 10))
	got, err := s.Forget(ctx, other, "a", store.Person{Numbers: []tel.Number{Bob}}, now, false)
	if err != nil || got.Messages != 1 {
		t.Errorf("forgot %+v, %v, want one message", got, err)
	}
	list, err := s.OutgoingAbout(ctx, other, "a", "s1", "", 10)
	if ids := outgoingIDs(t, list, err); ids != "m2" {
		t.Errorf("left are %s", ids)
	}
	must(t, remove(t, s, other, account.KindNumber, string(Alice)))
	must(t, remove(t, s, other, account.KindAccount, "a"))
	if list, err := s.OutgoingAbout(ctx, other, "a", "s1", "", 10); err != nil || len(list) != 0 {
		t.Errorf("of a removed account are left %+v, %v", slices.Clone(list), err)
	}
}
