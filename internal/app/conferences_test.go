package app

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/api"
	"github.com/signalbox/signalbox/internal/rooms"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/store/sqlite"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/conference"
)

// TestPINsCannotBeTriedOut: neither by many calls at once nor by calls from ever other numbers.
func TestPINsCannotBeTriedOut(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Shut() }()
	if _, err := s.Apply(t.Context(), account.Document{Tenant: "acme", Accounts: []account.AccountEntry{{ID: "one"}, {ID: "other"}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	c := RoomsOf(s)
	host := conference.Host{Account: account.Account{Tenant: "acme", ID: "one"}}
	other := conference.Host{Account: account.Account{Tenant: "acme", ID: "other"}}
	withheld := tel.Identity{Withheld: true}
	lockedOut := func(h conference.Host, caller tel.Identity) bool {
		t.Helper()
		_, locked, err := c.Look(t.Context(), h, caller)
		if err != nil {
			t.Fatal(err)
		}
		return locked
	}

	for range 2 * api.LockedOut { // people who know the PIN never lock each other out
		if !c.TryPIN(t.Context(), host, withheld) {
			t.Fatal("a right PIN is not looked at")
		}
		c.RightPIN(t.Context(), host, withheld)
	}
	var tried atomic.Int32
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if c.TryPIN(t.Context(), host, withheld) {
				tried.Add(1)
			}
		})
	}
	all.Wait()
	if got := tried.Load(); got != api.LockedOut || !lockedOut(host, withheld) {
		t.Errorf("%d wrong PINs of one caller were looked at, want %d; locked out: %t", got, api.LockedOut, lockedOut(host, withheld))
	}

	looked := 0
	for i := range 2 * api.HostLockedOut {
		if c.TryPIN(t.Context(), other, tel.Identity{Number: tel.Number(fmt.Sprintf("+1212555%04d", i))}) {
			looked++
		}
	}
	if looked != api.HostLockedOut || !lockedOut(other, tel.Identity{Number: "+12125559999"}) {
		t.Errorf("%d wrong PINs of ever other callers were looked at, want %d", looked, api.HostLockedOut)
	}
}

// hanging is a store that does not answer questions about rooms until it is let go.
type hanging struct {
	store.Rooms
	asked, letGo chan struct{}
}

func (h hanging) Room(ctx context.Context, id string) (store.Room, error) {
	h.asked <- struct{}{}
	<-h.letGo
	return h.Rooms.Room(ctx, id)
}

// A caller who does not join goes on to voicemail at once, and not when the store has answered.
func TestWhoDoesNotJoinDoesNotWaitForTheStore(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Shut() }()
	if _, err := s.Apply(t.Context(), account.Document{Tenant: "acme", Accounts: []account.AccountEntry{{ID: "one"}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	kept := hanging{s, make(chan struct{}), make(chan struct{})}
	m := rooms.New(rooms.Options{Store: kept})
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- m.Run(ctx) }()
	c := &conferences{rooms: m, store: s, log: zap.NewNop()}
	room, err := c.Open(t.Context(), conference.Opening{Host: conference.Host{Account: account.Account{Tenant: "acme", ID: "one"}}, Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	c.Abandon(t.Context(), room) // would wait for ever
	<-kept.asked
	close(kept.letGo)
	stop()
	if err := <-over; err != nil { // what is under way is done before
		t.Fatal(err)
	}
	if r, err := s.Room(t.Context(), room); err != nil || r.Closed.IsZero() {
		t.Errorf("the room that nobody came into: %+v, %v", r, err)
	}
}
