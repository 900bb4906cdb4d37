package ical_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/signalbox/signalbox/internal/ical"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// The file of an event over the night in which Rome puts its clocks back.
func TestFileOfAnEvent(t *testing.T) {
	e := ical.Event{
		UID: "weekly.ada.operator@signalbox", Sequence: 7, Stamp: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		From: time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC), Until: time.Date(2026, 10, 25, 10, 0, 0, 0, time.UTC), Zone: zone(t, "Europe/Rome"),
		Title: "Weekly; with Zoë, \"Z\" \\ ${x}\nEND:VEVENT", Text: "Call +14155550100.", Number: "+14155550100", Host: "Ada \"Countess\" L.;\r\nX",
	}
	want := strings.ReplaceAll(`BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Signalbox//Conferences//EN
METHOD:PUBLISH
BEGIN:VTIMEZONE
TZID:Europe/Rome
BEGIN:DAYLIGHT
DTSTART:20260329T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
TZNAME:CEST
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:20261025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
TZNAME:CET
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:weekly.ada.operator@signalbox
SEQUENCE:7
DTSTAMP:20260301T120000Z
DTSTART;TZID=Europe/Rome:20261024T220000
DTEND;TZID=Europe/Rome:20261025T110000
ORGANIZER;CN="Ada 'Countess' L.;X":tel:+14155550100
SUMMARY:Weekly\; with Zoë\, "Z" \\ ${x}\nEND:VEVENT
DESCRIPTION:Call +14155550100.
LOCATION:+14155550100
CONFERENCE;VALUE=URI;FEATURE=AUDIO,PHONE;LABEL="+14155550100":tel:+14155550
 100
STATUS:CONFIRMED
TRANSP:OPAQUE
END:VEVENT
END:VCALENDAR
`, "\n", "\r\n")
	if got := e.Write(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if e.Type() != "text/calendar; charset=utf-8; method=PUBLISH" {
		t.Errorf("its type is %s", e.Type())
	}
	e.Zone, e.Cancelled, e.Host = nil, true, ""
	if e.Type() != "text/calendar; charset=utf-8; method=CANCEL" {
		t.Errorf("called off, its type is %s", e.Type())
	}
	for _, line := range []string{"METHOD:CANCEL\r\n", "SEQUENCE:8\r\n", "ORGANIZER:tel:+14155550100\r\n", "DTSTART:20261024T200000Z\r\n", "DTEND:20261025T100000Z\r\n", "STATUS:CANCELLED\r\n"} {
		if got := e.Write(); !strings.Contains(got, line) || strings.Contains(got, "VTIMEZONE") {
			t.Errorf("in UTC, called off: no %q in\n%s", line, got)
		}
	}
}

// Zones without changes, with odd offsets, and west of Greenwich.
func TestZones(t *testing.T) {
	for name, want := range map[string][]string{
		"Asia/Kathmandu":   {"TZOFFSETTO:+0545", "BEGIN:STANDARD"},
		"America/New_York": {"TZOFFSETFROM:-0400", "TZOFFSETTO:-0500", "DTSTART:20251102T020000"},
		"Etc/GMT+3":        {"TZOFFSETTO:-0300"},
	} {
		e := ical.Event{From: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC), Until: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC), Zone: zone(t, name)}
		got := e.Write()
		for _, line := range want {
			if !strings.Contains(got, line+"\r\n") {
				t.Errorf("%s: no %s in\n%s", name, line, got)
			}
		}
		if n := strings.Count(got, "TZOFFSETTO"); n != 1 {
			t.Errorf("%s: %d observances for one hour in winter", name, n)
		}
	}
}

// No line is longer than 75 bytes, none begins inside a character, and unfolded it is what it was.
func TestFold(t *testing.T) {
	for _, line := range []string{"", strings.Repeat("a", 75), strings.Repeat("a", 76), strings.Repeat("é", 100), strings.Repeat("漢", 60) + "\U0001F600"} {
		folded := ical.Fold(line)
		for part := range strings.SplitSeq(strings.TrimSuffix(folded, "\r\n"), "\r\n") {
			if len(part) > 75 {
				t.Errorf("a line of %d bytes: %q", len(part), part)
			}
			if strings.ToValidUTF8(part, "?") != part {
				t.Errorf("a character is cut: %q", part)
			}
		}
		if got := strings.ReplaceAll(strings.TrimSuffix(folded, "\r\n"), "\r\n ", ""); got != line {
			t.Errorf("unfolded %q, was %q", got, line)
		}
	}
}
