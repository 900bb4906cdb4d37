package edge

import (
	"strings"

	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/sipproxy"
)

// maxIdentities bounds the identities that are read of one INVITE.
const maxIdentities = 8

// identityHeaders are the places where a caller may stand, in the order in which FreeSWITCH 1.10 believes them (read from
// its source: each one that is there replaces what stood before). Judging another one than FreeSWITCH shows would let
// a caller pass with one number and appear with another.
var identityHeaders = [...]string{"P-Preferred-Identity", "P-Asserted-Identity", "Remote-Party-ID", "From"}

// Caller reads who calls whom. The caller is the one that FreeSWITCH will show; all others in the INVITE are kept beside
// him. Privacy is what the caller asked for (RFC 3323, and Remote-Party-ID's own privacy parameter).
func Caller(inv *sipproxy.Invite, trunk Trunk) screen.Caller {
	c := screen.Caller{Mode: trunk.Mode, Called: number(inv.Called.User, trunk.Region)}
	c.Diverted = len(inv.Header("Diversion")) > 0 || len(sipproxy.SplitList(inv.Header("History-Info"))) > 1
	withheld := tel.PrivacyAsked(inv.Header("Privacy"))
	var found []tel.Identity
	for _, header := range identityHeaders {
		for _, value := range sipproxy.SplitList(inv.Header(header)) {
			id, ok := tel.ParseIdentity(value, trunk.Region)
			if !ok || id.User == "" && !id.Withheld || len(found) == maxIdentities {
				continue
			}
			if id.Number == "" && !id.Withheld {
				id.Number = number(id.User, trunk.Region)
			}
			id.Asserted = header == "P-Asserted-Identity"
			// An anonymous From means it; an anonymous assertion is only no assertion.
			withheld = withheld || id.Withheld && header == "From" || header == "Remote-Party-ID" && rpidPrivacy(value)
			found = append(found, id)
		}
	}
	if len(found) == 0 {
		found = append(found, tel.Identity{Name: inv.From.Display, User: inv.From.User})
	}
	c.From, c.Others = found[0], found[1:]
	c.From.Withheld = c.From.Withheld || withheld
	return c
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

// number reads a number, also one with its country code but without the plus, as many carriers send it.
func number(user, region string) tel.Number {
	n, err := tel.ParseNumber(user, region)
	if err == nil {
		return n
	}
	digits, _, _ := strings.Cut(user, ";")
	if len(digits) >= 10 && strings.Trim(digits, "0123456789") == "" {
		if n, err := tel.ParseNumber("+"+digits, ""); err == nil && n.Valid() {
			return n
		}
	}
	return ""
}
