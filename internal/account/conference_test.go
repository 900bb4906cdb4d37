package account

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/strictyaml"
)

func conferenceOf(t *testing.T, text string) (*ConferenceEntry, error) {
	t.Helper()
	var d Document
	if err := strictyaml.Decode([]byte("numbers:\n  - number: '+14155550100'\n    account: ada\n    conference: "+text+"\n"), &d); err != nil {
		t.Fatal(err)
	}
	d, err := d.Normalize()
	return d.Numbers[0].Conference, err
}

func TestAConferenceThatSaysNothingHasTheDefaults(t *testing.T) {
	entry, err := conferenceOf(t, "{}")
	if err != nil {
		t.Fatal(err)
	}
	want := Conference{
		Offer: OfferContacts, Host: HostNewest, Room: RoomPresent, JoinKey: '1', MessageKey: '2', RepeatKey: '9', MenuTimeout: 6 * time.Second,
		Tries: 3, AcceptTimeout: 25 * time.Second, MaxMembers: 30, Greeting: GreetingNumber, HostLeaves: LeavesContinue,
	}
	if got := entry.Conference(); got != want {
		t.Errorf("it means\n%+v, want\n%+v", got, want)
	}
}

func TestConferencesThatCannotBeAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{offer: friends}":               "numbers[0].conference.offer",
		"{when: [busy, asleep]}":         "conference.when[1]",
		"{join_key: '2'}":                "message_key: 2 is join_key already",
		"{repeat_key: '12'}":             "conference.repeat_key",
		"{menu_timeout: 1s}":             "conference.menu_timeout: 1s is not between 2s and 30s",
		"{tries: 9}":                     "conference.tries",
		"{max_members: 1}":               "conference.max_members",
		"{greeting: 'file:../secret'}":   "conference.greeting",
		"{greeting: 'file:'}":            "conference.greeting",
		"{pin: '12'}":                    "conference.pin",
		"{pin: 'pbkdf2:zz:11'}":          "conference.pin",
		"{forward_dial: ring me}":        "conference.forward_dial",
		"{create: always, grace: 1h}":    "conference.grace",
		"{host_leaves: stay, host: any}": "conference.host_leaves",
	} {
		if _, err := conferenceOf(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a problem with %q", text, err, want)
		}
		if _, err := conferenceOf(t, text); err != nil && strings.Contains(text, "pin") && strings.Contains(err.Error(), "zz") {
			t.Errorf("the error repeats the PIN: %v", err)
		}
	}
}

func TestAPINIsKeptAsAHashAndNeverGivenBack(t *testing.T) {
	row := func(pin string) *NumberEntry {
		return &NumberEntry{Number: "+14155550100", Account: "ada", Conference: &ConferenceEntry{PIN: pin}}
	}
	kept := KeepSecrets(row("4711"), nil).(*NumberEntry)
	hash := kept.Conference.PIN
	if !CheckPIN(hash, "4711") || CheckPIN(hash, "4712") || CheckPIN(hash, "") || CheckPIN("", "4711") || strings.Contains(hash, "4711") {
		t.Fatalf("kept as %q", hash)
	}
	if text, _ := json.Marshal(WithoutSecrets(kept)); strings.Contains(string(text), "pbkdf2") {
		t.Errorf("given back: %s", text)
	}
	for pin, want := range map[string]string{"": hash, "4711": hash, NoPIN: "", hash: hash} {
		if got := KeepSecrets(row(pin), kept).(*NumberEntry).Conference.PIN; got != want {
			t.Errorf("a row with pin %q keeps %q, want %q", pin, got, want)
		}
	}
	if got := KeepSecrets(row("0815"), kept).(*NumberEntry).Conference.PIN; got == hash || !CheckPIN(got, "0815") {
		t.Errorf("another PIN is kept as %q", got)
	}
	if other := KeepSecrets(row("4711"), nil).(*NumberEntry).Conference.PIN; other == hash {
		t.Error("two hosts with one PIN have one hash: it has no salt")
	}
	gone := &NumberEntry{Number: "+14155550100", Account: "ada"}
	if got := KeepSecrets(gone, kept).(*NumberEntry); got.Conference != nil {
		t.Error("a row without a conference has one")
	}
}
