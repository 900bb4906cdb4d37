package account

import (
	"slices"
	"strings"
)

// NoA1Hash is what a device says that is to lose its A1Hash; one that says nothing keeps it.
const NoA1Hash = "none"

// WithoutSecrets is a row for somebody who may read it, and not register as its phones or join its conference: the hashes of passwords
// and PINs are left out.
func WithoutSecrets(e Entry) Entry {
	n, ok := e.(*NumberEntry)
	if !ok || !n.hasSecrets() {
		return e
	}
	out := *n
	out.Devices = slices.Clone(n.Devices)
	for i := range out.Devices {
		out.Devices[i].A1Hash = ""
	}
	out.Conference = n.Conference.withPIN("")
	return &out
}

func (n *NumberEntry) hasSecrets() bool {
	return n.Conference != nil && n.Conference.PIN != "" || slices.ContainsFunc(n.Devices, func(d DeviceEntry) bool { return d.A1Hash != "" })
}

// withPIN is a conference with another PIN; nil stays nil.
func (c *ConferenceEntry) withPIN(pin string) *ConferenceEntry {
	if c == nil {
		return nil
	}
	out := *c
	out.PIN = pin
	return &out
}

// KeepSecrets is a row as it is kept, in place of what was kept before, nil = nothing: a phone that is named without its A1Hash has
// the one that it had, and a conference its PIN, so that what was read can be sent back. A PIN in digits becomes its hash.
func KeepSecrets(e, before Entry) Entry {
	n, ok := e.(*NumberEntry)
	if !ok {
		return e
	}
	was, _ := before.(*NumberEntry)
	out := *n
	out.Devices = slices.Clone(n.Devices)
	for i := range out.Devices {
		d := &out.Devices[i]
		switch d.A1Hash {
		case NoA1Hash:
			d.A1Hash = ""
		case "":
			d.A1Hash = was.a1HashOf(*d)
		}
	}
	if c := n.Conference; c != nil {
		before := ""
		if was != nil && was.Conference != nil {
			before = was.Conference.PIN
		}
		out.Conference = c.withPIN(keepPIN(c.PIN, before))
	}
	return &out
}

// a1HashOf is what a number keeps of a phone; "" = nothing.
func (n *NumberEntry) a1HashOf(phone DeviceEntry) string {
	if n == nil {
		return ""
	}
	for _, d := range n.Devices {
		if d.Kind == DeviceRegistered && phone.Kind == d.Kind && d.User == phone.User && strings.EqualFold(d.Host, phone.Host) && d.A1Hash != "" {
			return d.A1Hash
		}
	}
	return ""
}
