package book

import (
	"bufio"
	"encoding/csv"
	"io"
	"strings"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/ical"
)

// Properties that only this program writes.
const (
	xMayJoin = "X-SIGNALBOX-MAY-JOIN"
	xClip    = "X-SIGNALBOX-CLIP"
	xShared  = "X-SIGNALBOX-SHARED"
)

// Write writes contacts so that Read gives the same contacts again. Format JCard is not written.
func Write(w io.Writer, format Format, contacts []account.ContactEntry) error {
	if format == CSV {
		return writeCSV(w, contacts)
	}
	out := bufio.NewWriter(w)
	line := func(name, value string) { _, _ = out.WriteString(ical.Fold(name + ":" + value)) }
	for _, c := range contacts {
		line("BEGIN", "VCARD")
		line("VERSION", "3.0") // what every phone and mail program reads
		line("UID", ical.Escape(ownUID+c.ID))
		line("FN", ical.Escape(c.Name))
		if c.Contact().Shared { // as phones write a firm
			line("N", ";;;;")
			line("ORG", ical.Escape(c.Name))
			line("X-ABShowAs", "COMPANY")
		} else {
			line("N", ical.Escape(c.Name)+";;;;")
		}
		for _, n := range c.Numbers {
			line("TEL"+typeOf(c.Label), n)
		}
		if c.MayJoin != account.MayJoinInherit {
			line(xMayJoin, string(c.MayJoin))
		}
		if c.Clip != "" {
			line(xClip, ical.Escape(c.Clip))
		}
		if c.Shared != nil {
			line(xShared, sharedWord(c))
		}
		line("END", "VCARD")
	}
	return out.Flush()
}

// sharedWord says whether a contact is shared; "" = nobody has said.
func sharedWord(c account.ContactEntry) string {
	switch {
	case c.Shared == nil:
		return ""
	case *c.Shared:
		return "yes"
	}
	return "no"
}

func typeOf(label string) string {
	switch label {
	case "mobile":
		return ";TYPE=CELL"
	case "work", "home":
		return ";TYPE=" + strings.ToUpper(label)
	}
	return ""
}

// writeCSV writes the columns that this program reads. A value that a spreadsheet would take for a formula stays what it is.
func writeCSV(w io.Writer, contacts []account.ContactEntry) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"id", "name", "label", "numbers", "may_join", "clip", "shared"})
	for _, c := range contacts {
		_ = out.Write([]string{c.ID, armoured(c.Name), armoured(c.Label), strings.Join(c.Numbers, " "), string(c.MayJoin), c.Clip, sharedWord(c)})
	}
	out.Flush()
	return out.Error()
}

// armoured has a spreadsheet take a text for one, although it begins as a formula does.
func armoured(s string) string {
	if s != "" && strings.IndexByte("=+-@'", s[0]) >= 0 {
		return "'" + s
	}
	return s
}
