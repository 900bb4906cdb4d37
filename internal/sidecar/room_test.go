package sidecar_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/internal/treat/conference"
)

// elsewhere keeps one open room, which is on another node than any call comes to: that node is the same switch.
type elsewhere struct {
	sidecar.Conferences // what is not used here
	way                 func() call.RingOrder
	arrived             chan string
	gone                chan string
}

const roomID = "0123456789abcdef"

func (e *elsewhere) Look(context.Context, conference.Host, tel.Identity) (*call.Room, bool, error) {
	return &call.Room{ID: roomID, HostPresent: true}, false, nil
}
func (e *elsewhere) Decided(conference.Host, call.Record)                     {}
func (e *elsewhere) Open(context.Context, conference.Opening) (string, error) { return roomID, nil }
func (e *elsewhere) Spoken(context.Context, string, string) (string, error)   { return "", nil }
func (e *elsewhere) Abandon(context.Context, string)                          {}
func (e *elsewhere) Enter(context.Context, string, conference.Guest) (conference.Entry, error) {
	return conference.Entry{HostPresent: true, Bridge: func() (call.RingOrder, error) { return e.way(), nil }, Gone: func(string) {}}, nil
}

func (e *elsewhere) Arrive(_ context.Context, room, participant, leg, node string) (call.JoinOrder, func(string), error) {
	e.arrived <- room + " " + participant + " " + node
	return call.JoinOrder{Room: "sb-" + room, Profile: "signalbox"}, func(why string) { e.gone <- why }, nil
}

func TestACallerIsBridgedToTheNodeOfTheRoom(t *testing.T) {
	e := &elsewhere{arrived: make(chan string, 4), gone: make(chan string, 4)}
	r := newRig(t, options{conferences: e, ownDirectory: true})
	external := r.Switch.ExternalAddr()
	e.way = func() call.RingOrder {
		text, err := token.SignRoom(token.Room{Room: roomID, Participant: "p1", Time: time.Now()}, key)
		if err != nil {
			t.Error(err)
		}
		return call.RingOrder{
			Devices: []account.Device{{Kind: account.DeviceURI, Profile: "external", User: "+" + served, Host: external.Addr().String(), Port: external.Port()}},
			Answer:  5 * time.Second, Headers: []call.Header{{Name: fsw.RoomHeader, Value: text}},
		}
	}
	d := account.Document{Contacts: []account.ContactEntry{{Account: "ada", ID: "attendee", Name: "Ada's friend", Numbers: []string{"+12125550123"}}}}
	d.Numbers = []account.NumberEntry{{Number: "+" + served, Account: "ada", Conference: &account.ConferenceEntry{AutoAdmit: true}}}
	if _, err := r.store.Apply(t.Context(), d, time.Now()); err != nil {
		t.Fatal(err)
	}
	settings := r.settings
	settings.Treat.Conference.TrustUnscreened = true
	r.sidecar.Reload(settings)

	c := r.Call(r.caller, served)
	if got := fswtest.Wait(t, "the caller at the room's node", e.arrived); got != roomID+" p1 fs1" {
		t.Errorf("arrived %q", got)
	}
	for deadline := time.Now().Add(fswtest.Patience); strings.TrimSpace(r.API("conference sb-"+roomID+" list count")) != "1"; {
		if time.Now().After(deadline) {
			t.Fatalf("the caller is not in the room: %s", r.API("conference list"))
		}
	}
	c.Hangup()
	r.Ended(c)
	fswtest.Wait(t, "the leg's end in the room", e.gone)
	rec := r.record("closed", func(rec call.Record) bool { return !rec.Open() })
	// He may have hung up before the two nodes were through with each other.
	if len(rec.Steps) != 1 || rec.Steps[0].Result != call.Answered && rec.Steps[0].Result != call.CallerGone || len(rec.Steps[0].Attempts) != 1 {
		t.Errorf("the record tells %+v", rec.Steps)
	}
}

func TestATokenOfNobodysOpensNoRoom(t *testing.T) {
	e := &elsewhere{arrived: make(chan string, 4), gone: make(chan string, 4)}
	r := newRig(t, options{conferences: e})
	foreign := token.Key{ID: key.ID, Secret: []byte("fedcba9876543210fedcba9876543210")}
	text, err := token.SignRoom(token.Room{Room: roomID, Participant: "p1", Time: time.Now()}, foreign)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{text, "1.k1.e30.e30", "x"} {
		c := r.Call(r.caller, served, fmt.Sprintf("%s: %s", fsw.RoomHeader, header))
		r.Status(c, 403)
		r.Ended(c)
	}
	if len(e.arrived) > 0 {
		t.Errorf("somebody came into the room: %s", <-e.arrived)
	}
}
