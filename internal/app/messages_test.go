package app

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/message"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
)

func TestAnInvitationStandsAsLongAsItsConference(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "signalbox.db")})
	if err != nil {
		t.Fatal(err)
	}
	a := &App{store: s}
	e := &account.ScheduleEntry{Account: "ada", ID: "weekly", Number: "+14155550100", From: time.Now(), Until: time.Now().Add(time.Hour)}
	change := func(changes ...store.Change) {
		t.Helper()
		if _, err := s.Change(t.Context(), "acme", changes, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	m := message.Message{Tenant: "acme", Account: "ada", About: "weekly", Event: message.Invitation}
	stands := func(want bool) {
		t.Helper()
		if got, err := a.stands(t.Context(), m); err != nil || got != want {
			t.Errorf("it stands: %v, %v, want %v", got, err, want)
		}
	}
	change(store.Change{Op: store.Put, Entry: &account.AccountEntry{ID: "ada"}}, store.Change{Op: store.Put, Entry: &account.NumberEntry{Number: e.Number, Account: "ada"}}, store.Change{Op: store.Put, Entry: e})
	stands(true)
	change(store.Change{Op: store.Delete, Kind: account.KindSchedule, Key: e.Key()})
	stands(false)
	if err := s.Shut(); err != nil {
		t.Fatal(err)
	}
	if got, err := a.stands(t.Context(), m); got || err == nil {
		t.Errorf("with a silent store: %v, %v", got, err)
	}
}
