// Package ical writes an announced conference as an iCalendar file (RFC 5545), and the content lines that iCalendar and vCard share.
//
// A file has one event, published (METHOD:PUBLISH) or called off (METHOD:CANCEL) as RFC 5546 has it: with its organizer, who is known by a
// telephone number, and without attendees, of whom none could answer. The way in is that number too: as location for people, as CONFERENCE
// (RFC 7986) for calendars that dial. Times are those of a time zone, which
// is described in the file by its changes around the event, so that no reader depends on a table of its own. The package is pure.
package ical

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Event is what a file says.
type Event struct {
	UID         string // the same for every version of the event
	Sequence    int64  // rises with each version; what calls a version off is one higher, or calendars would take it for the version they have
	Stamp       time.Time
	From, Until time.Time
	Zone        *time.Location // nil or UTC = in UTC
	Title       string
	Text        string // for people, how to join
	Number      string // E.164, which is called to join
	Host        string // what people call the organizer; "" = they know the number alone
	Cancelled   bool
}

// method is what a reader is to do with the file.
func (e Event) method() string {
	if e.Cancelled {
		return "CANCEL"
	}
	return "PUBLISH"
}

// Type is the media type of the file. Mail programs heed the method there, and not in the file (RFC 6047 section 2.4).
func (e Event) Type() string { return "text/calendar; charset=utf-8; method=" + e.method() }

const (
	foldAt    = 75 // bytes of a line, without its end (RFC 5545 section 3.1, RFC 6350 section 3.2)
	utcForm   = "20060102T150405Z"
	localForm = "20060102T150405"
)

// Write writes the file.
func (e Event) Write() string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(Fold(name + ":" + value)) }
	line("BEGIN", "VCALENDAR")
	line("VERSION", "2.0")
	line("PRODID", "-//Signalbox//Conferences//EN")
	sequence, status := e.Sequence, "CONFIRMED"
	if e.Cancelled {
		sequence, status = e.Sequence+1, "CANCELLED"
	}
	line("METHOD", e.method())
	zoned := e.Zone != nil && e.Zone != time.UTC && e.Zone.String() != "" && e.Zone.String() != "UTC"
	if zoned {
		writeZone(line, e.Zone, e.From, e.Until)
	}
	line("BEGIN", "VEVENT")
	line("UID", Escape(e.UID))
	line("SEQUENCE", fmt.Sprint(sequence))
	line("DTSTAMP", e.Stamp.UTC().Format(utcForm))
	if zoned {
		line("DTSTART;TZID="+e.Zone.String(), e.From.In(e.Zone).Format(localForm))
		line("DTEND;TZID="+e.Zone.String(), e.Until.In(e.Zone).Format(localForm))
	} else {
		line("DTSTART", e.From.UTC().Format(utcForm))
		line("DTEND", e.Until.UTC().Format(utcForm))
	}
	line("ORGANIZER"+commonName(e.Host), "tel:"+e.Number)
	line("SUMMARY", Escape(e.Title))
	if e.Text != "" {
		line("DESCRIPTION", Escape(e.Text))
	}
	line("LOCATION", Escape(e.Number))
	line("CONFERENCE;VALUE=URI;FEATURE=AUDIO,PHONE;LABEL=\""+e.Number+"\"", "tel:"+e.Number)
	line("STATUS", status)
	line("TRANSP", "OPAQUE")
	line("END", "VEVENT")
	line("END", "VCALENDAR")
	return b.String()
}

// commonName is the parameter that names a person, "" for nobody. Its value has no escapes: what cannot stand in quotes is left out, and a
// quote is a single one.
func commonName(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, name)
	if clean == "" {
		return ""
	}
	return `;CN="` + clean + `"`
}

// writeZone describes a zone by the observances that count from an event's begin until its end (RFC 5545 section 3.6.5).
func writeZone(line func(name, value string), zone *time.Location, from, until time.Time) {
	line("BEGIN", "VTIMEZONE")
	line("TZID", zone.String())
	for at := from.In(zone); ; {
		start, end := at.ZoneBounds()
		name, offset := at.Zone()
		before := offset
		if !start.IsZero() {
			_, before = start.Add(-time.Second).In(zone).Zone()
		} else {
			start = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		kind := "STANDARD"
		if at.IsDST() {
			kind = "DAYLIGHT"
		}
		line("BEGIN", kind)
		line("DTSTART", start.UTC().Add(time.Duration(before)*time.Second).Format(localForm)) // by the clock before the change
		line("TZOFFSETFROM", offsetForm(before))
		line("TZOFFSETTO", offsetForm(offset))
		line("TZNAME", name)
		line("END", kind)
		if end.IsZero() || end.After(until) {
			break
		}
		at = end.In(zone)
	}
	line("END", "VTIMEZONE")
}

func offsetForm(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	out := fmt.Sprintf("%c%02d%02d", sign, seconds/3600, seconds/60%60)
	if rest := seconds % 60; rest != 0 {
		out += fmt.Sprintf("%02d", rest)
	}
	return out
}

// Escape writes a text as a value of iCalendar and vCard (RFC 5545 section 3.3.11, RFC 6350 section 3.4).
func Escape(s string) string { return escaper.Replace(s) }

var escaper = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`)

// Fold breaks a line into as many as it needs, between characters, and ends it.
func Fold(line string) string {
	if len(line) <= foldAt {
		return line + "\r\n"
	}
	var b strings.Builder
	room := foldAt
	for _, r := range line {
		n := utf8.RuneLen(r)
		if n > room {
			b.WriteString("\r\n ")
			room = foldAt - 1
		}
		b.WriteRune(r)
		room -= n
	}
	b.WriteString("\r\n")
	return b.String()
}
