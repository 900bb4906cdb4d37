package conference

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/call/calltest"
	"github.com/signalbox/signalbox/internal/tel"
)

// house keeps one room and what was done to it.
type house struct {
	did         []string
	hostPresent bool
	asked       Opening
	open, enter error
	accepts     bool
	never       bool // the host's phone rings for ever
	voice       bool // names are spoken
	noTries     bool // there were too many wrong PINs
	anew        int  // so often a room was closed by another sidecar before he entered
	elsewhere   bool // the first room is on another node
	lost        bool // which is dead
}

func (h *house) note(what string) { h.did = append(h.did, what) }

func (h *house) Open(_ context.Context, o Opening) (string, error) {
	h.asked = o
	h.note("open " + o.Node)
	return "0123456789abcdef", h.open
}
func (h *house) Abandon(context.Context, string) { h.note("abandon") }
func (h *house) Enter(_ context.Context, _ string, g Guest) (Entry, error) {
	who := g.Contact.ID
	if g.IsHost {
		who = "the host"
	}
	h.note("enter " + who)
	if h.anew > 0 {
		h.anew--
		return Entry{}, ErrAnew
	}
	entry := Entry{Join: call.JoinOrder{Room: "sb-0123456789abcdef"}, HostPresent: h.hostPresent, Gone: func(why string) { h.note("gone: " + why) }}
	if h.elsewhere {
		entry.Bridge = func() (call.RingOrder, error) {
			return call.RingOrder{Devices: []account.Device{{Kind: account.DeviceURI, User: "n2", Host: "192.0.2.1"}}}, nil
		}
		entry.NotTaken = func(context.Context) bool {
			h.note("not taken")
			h.elsewhere = !h.lost
			return h.lost
		}
	}
	return entry, h.enter
}
func (h *house) Fetch(context.Context, string, Host) Fetching {
	h.note("fetch")
	done := make(chan struct{})
	if !h.never {
		close(done)
	}
	return Fetching{Done: done, Reached: func() bool { return h.accepts }}
}
func (h *house) Spoken(_ context.Context, node, name string) (string, error) {
	if !h.voice {
		return "/not/all/of/it.wav", errors.New("no voice")
	}
	return "/recordings/" + node + "/" + name + ".wav", nil
}
func (h *house) TryPIN(context.Context, Host, tel.Identity) bool {
	h.note("try PIN")
	return !h.noTries
}
func (h *house) RightPIN(context.Context, Host, tel.Identity) { h.note("right PIN") }

// step is the step of a caller whom the host knows.
func step(mode call.ConferenceMode) call.Conference {
	return call.Conference{
		Mode: mode, Number: hana, Create: account.RoomFetch, Contact: "anna", Caller: account.Contact{ID: "anna", Name: "Anna Smith"},
		Host:     account.Account{Tenant: "acme", ID: "hana", Language: "de-AT"},
		Settings: account.Conference{JoinKey: '1', MessageKey: '2', RepeatKey: '9', Tries: 3, MenuTimeout: time.Second, AcceptTimeout: 5 * time.Second, Greeting: account.GreetingNumber},
	}
}

const (
	greeting = "reached number-1 number-4 number-1 number-5 number-5 number-5 number-5 number-0 number-1 number-0 number-0 300 "
	sayOffer = "menu offer"
)

func TestWhatACallerHearsAndPresses(t *testing.T) {
	joined := []string{"waiting", "menu " + greeting + "offer", "join sb-0123456789abcdef"}
	for name, tt := range map[string]struct {
		mode    call.ConferenceMode
		presses []string
		change  func(*house, *calltest.Leg, *call.Conference)
		result  call.Result
		note    string
		leg     []string // what was done to the leg; nil = not looked at
		rooms   []string
	}{
		"1 joins": {call.ByKey, []string{"1"}, nil, call.Answered, "", joined, []string{"open n1", "enter anna", "gone: left"}},
		"2 leaves a message": {call.ByKey, []string{"2"}, nil, call.NotJoined, "wants to leave a message",
			[]string{"waiting", "menu " + greeting + "offer"}, []string{"open n1", "abandon"}},
		"7, 7, 1": {call.ByKey, []string{"7", "7", "1"}, nil, call.Answered, "",
			[]string{"waiting", "menu " + greeting + "offer", "menu invalid offer", "menu invalid offer", "join sb-0123456789abcdef"}, nil},
		"7, 7, 7":                         {call.ByKey, []string{"7", "7", "7"}, nil, call.NotJoined, "chose nothing", nil, []string{"open n1", "abandon"}},
		"star and hash are none of these": {call.ByKey, []string{"*", "#", ""}, nil, call.NotJoined, "chose nothing", nil, nil},
		"nothing": {call.ByKey, nil, nil, call.NotJoined, "chose nothing",
			[]string{"waiting", "menu " + greeting + "offer", sayOffer, sayOffer}, []string{"open n1", "abandon"}},
		"9 hears it again, and that is no try": {call.ByKey, []string{"9", "9", "9", "", "", "1"}, nil, call.Answered, "", nil, nil},
		"9 without an end":                     {call.ByKey, strings.Split(strings.Repeat("9 ", 30), " "), nil, call.NotJoined, "chose nothing", nil, nil},
		"keys of his own": {call.ByKey, []string{"*"}, func(_ *house, _ *calltest.Leg, c *call.Conference) {
			c.Settings.JoinKey, c.Settings.MessageKey, c.Settings.RepeatKey = '*', '0', '#'
		}, call.Answered, "", []string{"waiting", "menu " + greeting + "to-join key-star to-message number-0 to-repeat key-hash", "join sb-0123456789abcdef"}, nil},
		"no voicemail, so none is offered": {call.ByKey, []string{"1"}, func(_ *house, _ *calltest.Leg, c *call.Conference) { c.NoMessages = true },
			call.Answered, "", []string{"waiting", "menu " + greeting + "to-join number-1 to-repeat number-9", "join sb-0123456789abcdef"}, nil},
		"a recorded greeting": {call.ByKey, []string{"1"}, func(_ *house, _ *calltest.Leg, c *call.Conference) { c.Settings.Greeting = "file:me.wav" },
			call.Answered, "", []string{"waiting", "menu me 300 offer", "join sb-0123456789abcdef"}, nil},
		"his name is spoken": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, c *call.Conference) {
			h.voice, c.Settings.Greeting, c.Host.Name = true, account.GreetingName, "Hana"
		}, call.Answered, "", []string{"waiting", "menu reached Hana 300 offer", "join sb-0123456789abcdef"}, nil},
		"no voice, so his number is read": {call.ByKey, []string{"1"}, func(_ *house, _ *calltest.Leg, c *call.Conference) {
			c.Settings.Greeting, c.Host.Name = account.GreetingName, "Hana"
		}, call.Answered, "", joined, nil},
		"he has no name, so his number is read": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, c *call.Conference) {
			h.voice, c.Settings.Greeting = true, account.GreetingName
		}, call.Answered, "", joined, nil},
		"without a key": {call.AtOnce, nil, nil, call.Answered, "", []string{"waiting", "menu " + strings.TrimSpace(greeting), "join sb-0123456789abcdef"}, nil},
		"the host":      {call.AsHost, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.hostPresent = false }, call.Answered, "", joined, []string{"open n1", "enter the host", "gone: left"}},
		"he hangs up in the greeting": {call.ByKey, nil, func(_ *house, l *calltest.Leg, _ *call.Conference) { l.GoneAt = 2 },
			call.CallerGone, "", nil, []string{"open n1", "abandon"}},
		"there are no prompts": {call.ByKey, []string{"1"}, func(_ *house, l *calltest.Leg, _ *call.Conference) { l.NoPrompts = true },
			call.NotJoined, "could not be played", nil, []string{"open n1", "abandon"}},
		"no room to be had": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.open = errors.New("the store is silent") },
			call.NotJoined, "the store is silent", []string{"waiting"}, []string{"open n1"}},
		"locked": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.enter = ErrLocked },
			call.NotJoined, "locked", []string{"waiting", "menu " + greeting + "offer", "menu locked"}, []string{"open n1", "enter anna", "abandon"}},
		"full": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.enter = ErrFull },
			call.NotJoined, "full", []string{"waiting", "menu " + greeting + "offer", "menu full"}, nil},
		"sent out meanwhile, and not told so": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.enter = ErrRemoved },
			call.NotJoined, "sent the caller out", []string{"waiting", "menu " + greeting + "offer", "menu locked"}, nil},
		"another sidecar has closed the room that nobody was in": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.anew = 1 },
			call.Answered, "", joined, []string{"open n1", "enter anna", "open n1", "enter anna", "gone: left"}},
		"and again": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.anew = 2 },
			call.NotJoined, "before anybody came", []string{"waiting", "menu " + greeting + "offer", "menu ended"}, []string{"open n1", "enter anna", "open n1", "enter anna", "abandon"}},
		"and callers make none": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, c *call.Conference) { h.anew, c.Create = 1, account.RoomPresent },
			call.NotJoined, "before anybody came", []string{"waiting", "menu " + greeting + "offer", "menu ended"}, []string{"open n1", "enter anna", "abandon"}},
		"and callers make none, but he has an appointment": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, c *call.Conference) {
			h.anew, c.Create, c.Scheduled = 1, account.RoomPresent, true
		}, call.Answered, "", joined, nil},
		"the node of the room is dead": {call.ByKey, []string{"1"}, func(h *house, l *calltest.Leg, _ *call.Conference) {
			h.elsewhere, h.lost = true, true
			l.Answers = map[string]call.Result{"sip:n2@192.0.2.1": call.Unreachable}
		}, call.Answered, "", []string{"waiting", "menu " + greeting + "offer", "ring [sip:n2@192.0.2.1]", "join sb-0123456789abcdef"},
			[]string{"open n1", "enter anna", "not taken", "gone: the media server of the conference was lost", "open n1", "enter anna", "gone: left"}},
		"the node of the room takes nobody": {call.ByKey, []string{"1"}, func(h *house, l *calltest.Leg, _ *call.Conference) {
			h.elsewhere = true
			l.Answers = map[string]call.Result{"sip:n2@192.0.2.1": call.Unreachable}
		}, call.NotJoined, "did not take the caller", []string{"waiting", "menu " + greeting + "offer", "ring [sip:n2@192.0.2.1]", "menu ended"},
			[]string{"open n1", "enter anna", "not taken", "gone: the node of the conference did not take the caller"}},
		"ended while he was in the menu": {call.ByKey, []string{"1"}, func(h *house, l *calltest.Leg, _ *call.Conference) { l.Joins = call.NotJoined },
			call.NotJoined, "had ended", []string{"waiting", "menu " + greeting + "offer", "join sb-0123456789abcdef", "menu ended"},
			[]string{"open n1", "enter anna", "gone: the conference had ended when the caller came in"}},
		"the host is fetched": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.hostPresent, h.accepts = false, true },
			call.Answered, "", []string{"waiting", "menu " + greeting + "offer", "hold", "join sb-0123456789abcdef"}, []string{"open n1", "enter anna", "fetch", "gone: left"}},
		"the host is not reached": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, _ *call.Conference) { h.hostPresent = false },
			call.NotJoined, "not reached", []string{"waiting", "menu " + greeting + "offer", "hold", "menu no-answer"}, []string{"open n1", "enter anna", "fetch", "gone: the host was not reached"}},
		"the host is never heard of": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, c *call.Conference) {
			h.hostPresent, h.never, c.Settings.AcceptTimeout = false, true, -fetchSlack+10*time.Millisecond
		}, call.NotJoined, "not reached", nil, nil},
		"he gives up while the host is called": {call.ByKey, []string{"1"}, func(h *house, l *calltest.Leg, _ *call.Conference) { h.hostPresent, l.GoneAt = false, 3 },
			call.CallerGone, "", nil, []string{"open n1", "enter anna", "fetch", "gone: caller-gone"}},
		"callers wait for the host": {call.ByKey, []string{"1"}, func(h *house, _ *calltest.Leg, c *call.Conference) { h.hostPresent, c.Create = false, account.RoomOpen },
			call.Answered, "", joined, []string{"open n1", "enter anna", "gone: left"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, leg, c := &house{hostPresent: true}, &calltest.Leg{Presses: tt.presses}, step(tt.mode)
			if tt.change != nil {
				tt.change(h, leg, &c)
			}
			rec, err := Run(t.Context(), leg, call.Arrival{UUID: "u", Node: "n1", From: tel.Identity{Number: anna}}, "r", c, Tools{Rooms: h})
			if err != nil || rec.Result != tt.result || !strings.Contains(rec.Note, tt.note) {
				t.Errorf("%s (%s), %v; want %s (%s)", rec.Result, rec.Note, err, tt.result, tt.note)
			}
			if tt.leg != nil && !reflect.DeepEqual(leg.Did, tt.leg) {
				t.Errorf("the leg\n%q, want\n%q", leg.Did, tt.leg)
			}
			if tt.rooms != nil && !reflect.DeepEqual(h.did, tt.rooms) {
				t.Errorf("the room\n%q, want\n%q", h.did, tt.rooms)
			}
		})
	}
}

// TestAPrivateHostIsNotNamed: where his network asks for privacy he is told of by no number and no name, but his own recording is; and the
// caller hears first that he has come to the right place.
func TestAPrivateHostIsNotNamed(t *testing.T) {
	private := call.Arrival{UUID: "u", Node: "n1", From: tel.Identity{Number: anna}, Diversions: []tel.Diversion{{Number: hana, Privacy: "full"}}}
	for kind, want := range map[account.Greeting]string{
		account.GreetingNumber: "reached-neutral", account.GreetingName: "reached-neutral", "file:me.wav": "me",
	} {
		for mode, behind := range map[call.ConferenceMode]string{call.ByKey: " 300 offer", call.AtOnce: " 300", call.ByPIN: " 300 pin"} {
			leg, c := &calltest.Leg{Presses: []string{"1"}}, step(mode)
			c.Settings.Greeting, c.Host.Name = kind, "Hana"
			if _, err := Run(t.Context(), leg, private, "r", c, Tools{Rooms: &house{hostPresent: true, voice: true}}); err != nil || leg.Did[1] != "menu "+want+behind {
				t.Errorf("greeting %s, %s: %q, %v; want %q", kind, mode, leg.Did, err, want+behind)
			}
		}
	}
}

// TestWhatAPrivateHostHides: his number, his name or both, as his network asks for it in either header.
func TestWhatAPrivateHostHides(t *testing.T) {
	diverted := func(privacy string) call.Arrival {
		return call.Arrival{Diversions: []tel.Diversion{{Number: hana, Privacy: privacy}}}
	}
	kept := call.Arrival{History: []tel.HistoryEntry{{URI: "sip:" + string(hana) + "@h", Privacy: "history", Index: "1", Cause: 486}}}
	for name, tt := range map[string]struct {
		arrival call.Arrival
		kind    account.Greeting
		heard   string
	}{
		"uri, number":     {diverted("uri"), account.GreetingNumber, "reached-neutral "},
		"uri, name":       {diverted("uri"), account.GreetingName, "reached Hana "},
		"name, number":    {diverted("name"), account.GreetingNumber, "reached number-1 "},
		"name, name":      {diverted("name"), account.GreetingName, "reached number-1 "},
		"off":             {diverted("off"), account.GreetingName, "reached Hana "},
		"history, number": {kept, account.GreetingNumber, "reached-neutral "},
		"history, name":   {kept, account.GreetingName, "reached-neutral "},
	} {
		leg, c := &calltest.Leg{Presses: []string{"1"}}, step(call.ByKey)
		c.Settings.Greeting, c.Host.Name = tt.kind, "Hana"
		tt.arrival.UUID, tt.arrival.Node, tt.arrival.From = "u", "n1", tel.Identity{Number: anna}
		if _, err := Run(t.Context(), leg, tt.arrival, "r", c, Tools{Rooms: &house{hostPresent: true, voice: true}}); err != nil {
			t.Fatal(err)
		}
		if heard := leg.Did[1]; !strings.HasPrefix(heard, "menu "+tt.heard) {
			t.Errorf("%s: the caller hears %q, want %q", name, heard, tt.heard)
		}
	}
}

func TestTheWayInByPIN(t *testing.T) {
	row := &account.NumberEntry{Conference: &account.ConferenceEntry{PIN: "4711"}}
	pin := account.KeepSecrets(row, nil).(*account.NumberEntry).Conference.PIN
	for name, tt := range map[string]struct {
		presses []string
		result  call.Result
		rooms   []string
		noTries bool
	}{
		"the right one":         {[]string{"4711"}, call.Answered, []string{"try PIN", "right PIN", "open n1", "enter ", "gone: left"}, false},
		"the right one, second": {[]string{"0000", "4711"}, call.Answered, []string{"try PIN", "try PIN", "right PIN", "open n1", "enter ", "gone: left"}, false},
		"three wrong ones":      {[]string{"0000", "1111", "2222", "4711"}, call.NotJoined, []string{"try PIN", "try PIN", "try PIN"}, false},
		"none":                  {nil, call.NotJoined, []string(nil), false},
		"a message key":         {[]string{"2"}, call.NotJoined, []string{"try PIN"}, false},
		"the right one behind too many wrong ones": {[]string{"4711"}, call.NotJoined, []string{"try PIN"}, true},
	} {
		c := step(call.ByPIN)
		c.Contact, c.Caller, c.Settings.PINHash = "", account.Contact{}, pin
		h, leg := &house{hostPresent: true, noTries: tt.noTries}, &calltest.Leg{Presses: tt.presses}
		rec, err := Run(t.Context(), leg, call.Arrival{Node: "n1", From: tel.Identity{Withheld: true}}, "r", c, Tools{Rooms: h})
		if err != nil || rec.Result != tt.result || !reflect.DeepEqual(h.did, tt.rooms) {
			t.Errorf("%s: %s (%s), %v, %q; want %s, %q", name, rec.Result, rec.Note, err, h.did, tt.result, tt.rooms)
		}
	}
}

func TestARightPINMakesNoRoom(t *testing.T) {
	row := &account.NumberEntry{Conference: &account.ConferenceEntry{PIN: "4711"}}
	c := step(call.ByPIN)
	c.Settings.PINHash, c.Create = account.KeepSecrets(row, nil).(*account.NumberEntry).Conference.PIN, account.RoomPresent
	h, leg := &house{open: ErrAbsent}, &calltest.Leg{Presses: []string{"4711"}}
	rec, err := Run(t.Context(), leg, call.Arrival{Node: "n1", From: tel.Identity{Withheld: true}}, "r", c, Tools{Rooms: h})
	if err != nil || rec.Result != call.NotJoined || !h.asked.Present {
		t.Errorf("%s (%s), %v, asked for %+v", rec.Result, rec.Note, err, h.asked)
	}
	if last := leg.Did[len(leg.Did)-1]; !strings.Contains(last, "no-answer") {
		t.Errorf("at last the caller hears %q", last)
	}
}

// TestALostLegIsLetGoEverywhere: whatever the verb, nothing further is done to the leg, and the room knows.
func TestALostLegIsLetGoEverywhere(t *testing.T) {
	for at := 1; at <= 4; at++ {
		h, leg := &house{}, &calltest.Leg{Presses: []string{"1"}, LostAt: at}
		rec, err := Run(t.Context(), leg, call.Arrival{Node: "n1"}, "r", step(call.ByKey), Tools{Rooms: h})
		if !errors.Is(err, calltest.ErrSwitchGone) || rec.Result != call.Broken || len(leg.Did) != at-1 {
			t.Errorf("lost at verb %d: %s, %v, %q", at, rec.Result, err, leg.Did)
		}
		if last := append([]string{"nothing"}, h.did...)[len(h.did)]; at > 1 && last != "abandon" && !strings.HasPrefix(last, "gone: ") {
			t.Errorf("lost at verb %d: the room is left with %q", at, h.did)
		}
	}
	if rec, err := Run(t.Context(), &calltest.Leg{}, call.Arrival{}, "r", step(call.ByKey), Tools{}); err != nil || rec.Result != call.NotJoined {
		t.Errorf("without rooms: %s, %v", rec.Result, err)
	}
}
