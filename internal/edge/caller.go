package edge

import (
	"cmp"
	"strings"

	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/sipproxy"
)

// maxValues is how many values of one header are read, and kept. RFC 3325 knows two, and whoever writes 1,500 would have 10 ms of the proxy for
// each of his calls. It is for each header, so that none hides what the next one says.
const maxValues = 8

// identityHeaders are the places where a caller may stand, in the order in which FreeSWITCH 1.10.12 believes them (measured):
// the first of them that has a user part in its first value. Judging another one than FreeSWITCH shows would let a
// caller pass with one number and appear with another.
var identityHeaders = [...]string{"P-Preferred-Identity", "P-Asserted-Identity", "Remote-Party-ID", "From"}

// Caller reads who calls whom. The caller is the one that FreeSWITCH will show; all others in the INVITE are kept beside
// him. Privacy is what the caller asked for (RFC 3323, and Remote-Party-ID's own privacy parameter).
func Caller(inv *sipproxy.Invite, trunk Trunk) screen.Caller {
	c := screen.Caller{Mode: trunk.Mode}
	c.Called, _ = tel.ParsePresented(inv.Called.User, trunk.Region) // "" when it is no number
	c.Diverted = len(sipproxy.SplitList(inv.Header("Diversion"))) > 0 || len(sipproxy.SplitList(inv.Header("History-Info"))) > 1
	withheld := tel.PrivacyAsked(inv.Header("Privacy"))
	found, shown := false, ""
	for _, header := range identityHeaders {
		values := sipproxy.SplitList(inv.Header(header))
		for i, value := range values[:min(len(values), maxValues)] {
			id, ok := tel.ParseIdentity(value, trunk.Region)
			if !ok {
				if c.Unread == "" {
					c.Unread = header
				}
				continue
			}
			if verstat(value) == screen.VerstatFailed { // of whichever identity
				c.Verstat = screen.VerstatFailed
			}
			id.Asserted = header == "P-Asserted-Identity"
			// An anonymous From means it; an anonymous assertion is only no assertion.
			withheld = withheld || id.Withheld && header == "From" || header == "Remote-Party-ID" && rpidPrivacy(value)
			switch {
			case id.User == "" && !id.Withheld:
			case !found && i == 0:
				c.From, found = id, true
				shown = value
			default:
				c.Others = append(c.Others, id)
			}
		}
	}
	c.Verstat = cmp.Or(c.Verstat, verstat(shown))
	if !found {
		c.From = tel.Identity{Name: inv.From.Display, User: inv.From.User}
	}
	c.From.Withheld = c.From.Withheld || withheld
	return c
}

// verstat reads the parameter of that name, with which a trunk says how its verification of the number ended. From a trunk that is not
// trusted with it the proxy has taken it off already.
func verstat(value string) string {
	a, err := sipproxy.ParseAddress(value)
	if err != nil {
		return ""
	}
	for _, params := range []string{a.User, a.URIParams, a.Params} {
		for param := range strings.SplitSeq(params, ";") {
			name, said, _ := strings.Cut(strings.TrimSpace(param), "=")
			if !strings.EqualFold(name, "verstat") {
				continue
			}
			for _, known := range []string{screen.VerstatPassed, screen.VerstatFailed} {
				// -A, -B or -C may stand behind it, the attestation.
				if len(said) >= len(known) && strings.EqualFold(said[:len(known)], known) {
					return known
				}
			}
		}
	}
	return ""
}

// rpidPrivacy reads the privacy parameter of a Remote-Party-ID: "full", "uri" and "full-network" and the like hide the number.
func rpidPrivacy(value string) bool {
	a, err := sipproxy.ParseAddress(value)
	if err != nil {
		return false
	}
	privacy, _ := a.Param("privacy")
	privacy, _, _ = strings.Cut(strings.ToLower(strings.Trim(privacy, `"`)), "-")
	return privacy == "full" || privacy == "uri"
}
