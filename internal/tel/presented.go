package tel

import "strings"

// Digits that a number without its plus may have, to be read with a country code: +290 and +500 and their like have 8, a
// local number without its area code has 7 at most.
const minBare = 8

// ParsePresented reads a number as a carrier presents it, of a caller or of the called party: like ParseNumber, and digits
// with a country code but without the plus, as many carriers send them.
//
// Bare digits have two readings. The national one of region counts as long as such a number can be; otherwise the
// international one, of 8 digits or more, if that can be; otherwise what ParseNumber says. So a number that comes back and
// cannot be has no reading that could. In plans without a fixed length (Germany's, Austria's) nearly all digits can be a
// number: there the international reading counts if only that one is Valid. The proxy and the sidecar read callers and called numbers with this one function, or
// they would not agree about who called whom.
func ParsePresented(raw, region string) (Number, error) {
	national, err := ParseNumber(raw, region)
	can := err == nil && national.canBe()
	if can && (strings.HasPrefix(string(national), "+1") || national.Valid()) {
		return national, nil
	}
	if bare := bareDigits(raw); bare != "" {
		if n, bareErr := fromInternational(bare, raw); bareErr == nil && (!can && n.canBe() || n.Valid()) {
			return n, nil
		}
	}
	return national, err
}

// bareDigits are the digits of a number that was written without a plus and without the place it belongs to.
func bareDigits(raw string) string {
	if len(raw) > maxRawNumber {
		return ""
	}
	subscriber, context := userOf(raw)
	digits, international, ok := digitsOf(subscriber)
	if !ok || international || context != "" || len(digits) < minBare || standsForNobody(digits) {
		return ""
	}
	return digits
}

// canBe reports whether a number breaks no rule of its plan. It may lie in a range that nobody has opened.
func (n Number) canBe() bool { return n.Possible() && n.BreaksNANP() == "" }

// BreaksNANP says which rule of the North American plan a +1 number of full length breaks, "" for none and for other
// numbers: NXX-NXX-XXXX with N from 2 to 9, and no area code of the form N11, which are service codes.
func (n Number) BreaksNANP() string {
	national, ok := strings.CutPrefix(string(n), "+1")
	switch {
	case !ok || len(national) != 10:
		return ""
	case national[0] < '2':
		return "no area code begins with " + national[:1]
	case national[1:3] == "11":
		return national[:3] + " is a service, not an area"
	case national[3] < '2':
		return "no exchange begins with " + national[3:4]
	}
	return ""
}
