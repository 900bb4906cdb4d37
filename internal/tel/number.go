package tel

import (
	"errors"
	"net/url"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Number is a telephone number in E.164 with its plus, such as "+14155550100"; "" = none.
type Number string

// ErrNotNumber means that the text is no telephone number in E.164 sense: a short code, a name, "anonymous", nothing.
var ErrNotNumber = errors.New("not a telephone number")

// maxRaw bounds the text that is looked at, in bytes.
const maxRaw = 256

// ParseNumber reads a number as it stands in a SIP message or a file: "+14155550100", "0014155550100", "(415) 555-0100",
// "tel:+1-415-555-0100", "sip:+14155550100@host;user=phone". National forms are read in region (ISO 3166); with
// region "" only international ones are taken. Parameters of the user part (";verstat=", ";rn=", ";ext=") are cut off.
// Possible length is checked; whether the number exists is not.
func ParseNumber(raw, region string) (Number, error) {
	text := userPart(raw)
	if text == "" || !dialable(text) {
		return "", ErrNotNumber
	}
	if region == "" && !strings.HasPrefix(text, "+") {
		if !strings.HasPrefix(text, "00") {
			return "", ErrNotNumber
		}
		text = "+" + text[2:]
	}
	if region != "" && region != "ZZ" && strings.HasPrefix(text, "00") && !strings.HasPrefix(text, "000") {
		// 00 is the international prefix of most countries and means nothing else in the others.
		text = "+" + text[2:]
	}
	parsed, err := phonenumbers.Parse(text, region)
	if err != nil {
		return "", ErrNotNumber
	}
	number := Number(phonenumbers.Format(parsed, phonenumbers.E164))
	if !number.wellFormed() || !strings.HasPrefix(text, "+") && !phonenumbers.IsPossibleNumber(parsed) {
		return "", ErrNotNumber
	}
	return number, nil
}

// userPart takes the number out of a URI and cuts parameters off.
func userPart(raw string) string {
	if len(raw) > maxRaw {
		return ""
	}
	text := strings.TrimSpace(raw)
	lower := strings.ToLower(text)
	switch {
	case strings.HasPrefix(lower, "tel:"):
		text = text[len("tel:"):]
	case strings.HasPrefix(lower, "sips:"):
		text = text[len("sips:"):]
	case strings.HasPrefix(lower, "sip:"):
		text = text[len("sip:"):]
	}
	text, _, _ = strings.Cut(text, "@")
	text, _, _ = strings.Cut(text, ";")
	if strings.Contains(text, "%") {
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return ""
		}
		text = decoded
	}
	return strings.TrimSpace(text)
}

// dialable reports whether text holds only digits and the separators people write, with a plus at most in front.
func dialable(text string) bool {
	digits := 0
	for i, r := range text {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r == '+' && i == 0, r == ' ', r == '-', r == '.', r == '(', r == ')', r == '/':
		default:
			return false
		}
	}
	return digits >= 5
}

// wellFormed reports whether n is a plus and 7 to 15 digits, of which the first is not 0 (ITU-T E.164 section 6).
func (n Number) wellFormed() bool {
	if len(n) < 8 || len(n) > 16 || n[0] != '+' || n[1] == '0' {
		return false
	}
	for i := 1; i < len(n); i++ {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return true
}

// Possible reports whether the number has a length that its country uses.
func (n Number) Possible() bool {
	parsed, err := phonenumbers.Parse(string(n), "ZZ")
	return err == nil && phonenumbers.IsPossibleNumber(parsed)
}

// Valid reports whether the number lies in a range that its country's plan has given out.
func (n Number) Valid() bool {
	parsed, err := phonenumbers.Parse(string(n), "ZZ")
	return err == nil && phonenumbers.IsValidNumber(parsed)
}

// Region is the country of the number as in ISO 3166, "" when unknown.
func (n Number) Region() string {
	parsed, err := phonenumbers.Parse(string(n), "ZZ")
	if err != nil {
		return ""
	}
	region := phonenumbers.GetRegionCodeForNumber(parsed)
	if region == "ZZ" {
		return ""
	}
	return region
}

// Masked is the number for logs: the first digits and the last two.
func (n Number) Masked() string {
	if len(n) < 8 {
		if n == "" {
			return ""
		}
		return "***"
	}
	return string(n[:5]) + "***" + string(n[len(n)-2:])
}

// Identity is a caller as presented.
type Identity struct {
	Name     string // display name: free text from outside
	User     string // user part as presented
	Number   Number // "" = not a number
	Withheld bool   // the caller asked for privacy (RFC 3323)
	Asserted bool   // a P-Asserted-Identity said so (RFC 3325)
}
