package tel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Errors of ParseNumber.
var (
	// ErrNotNumber means that the text is no telephone number: a name, a short code, an extension, "anonymous".
	ErrNotNumber = errors.New("not a telephone number")
	// ErrImpossible means that the text is written like a number but cannot be one under E.164: more than 15 digits,
	// a "+" followed by 0, or an international number of fewer than 7 digits.
	ErrImpossible = errors.New("impossible telephone number")
)

// Bounds of ParseNumber.
const (
	maxRawNumber = 512 // bytes of text looked at; longer is ErrNotNumber
	minDigits    = 7   // of an international number: +683 4000 (Niue) is among the shortest in use
	maxDigits    = 15  // E.164 section 6.1
)

// Number is a telephone number in E.164 with its "+", for example "+14155550100". The zero value is no number.
//
// A Number that ParseNumber gave has the form of E.164; whether such a number can exist is another question, which
// Possible and Valid answer.
type Number string

// ParseNumber reads a number as carriers, phones and people write it.
//
// It takes "+" forms, "00" and the region's own international prefix ("011" in the US), national forms of region (with or
// without the national prefix), and tel, sip and sips URIs, bare or in a name-addr. Parameters of the user part
// (";verstat=", ";npdi;rn=", ";ext="), written extensions ("x12", "ext. 12", ",,12") and visual separators are cut off; a
// ";phone-context=+1415" (RFC 3966) is put in front where that makes a number. Digits of other scripts than ASCII's are no
// digits. The 1 of Mexico's mobile numbers, gone since 2019, is taken off. region is an ISO 3166 code such as "US"; with "" only
// international forms are read. Letters are not translated to digits.
//
// The error wraps ErrNotNumber or ErrImpossible. A local number without its area code, a short code and an extension
// are ErrNotNumber: which of them a caller means is known to the dialplan alone.
func ParseNumber(raw, region string) (Number, error) {
	if len(raw) > maxRawNumber {
		return "", fmt.Errorf("%w: %d bytes", ErrNotNumber, len(raw))
	}
	subscriber, context := userOf(raw)
	digits, international, ok := digitsOf(subscriber)
	if !ok || standsForNobody(digits) {
		return "", fmt.Errorf("%w: %.40q", ErrNotNumber, raw)
	}
	if !international && strings.HasPrefix(context, "+") {
		return inContext(digits, context, raw)
	}
	if international {
		return fromInternational(digits, raw)
	}
	return fromNational(digits, strings.ToUpper(region), raw)
}

// inContext reads a local number that says where it is one. RFC 3966 section 5.1.5 warns that the context need not be what is
// missing in front of it: it is taken so only where both together are a number.
func inContext(digits, context, raw string) (Number, error) {
	prefix, _, ok := digitsOf(context)
	if !ok {
		return "", fmt.Errorf("%w: %.40q", ErrNotNumber, raw)
	}
	n, err := fromInternational(prefix+digits, raw)
	if err != nil || !n.Possible() {
		return "", fmt.Errorf("%w: %.40q is not complete in its context", ErrNotNumber, raw)
	}
	return n, nil
}

// fromInternational reads digits that begin with a country code.
func fromInternational(digits, raw string) (Number, error) {
	if len(digits) < minDigits || digits[0] == '0' {
		return "", fmt.Errorf("%w: %.40q", ErrImpossible, raw)
	}
	digits = withoutNationalPrefix(withoutMexicos1(digits))
	if len(digits) < minDigits {
		return "", fmt.Errorf("%w: %.40q", ErrImpossible, raw)
	}
	if len(digits) > maxDigits {
		return "", fmt.Errorf("%w: %d digits, at most %d", ErrImpossible, len(digits), maxDigits)
	}
	return Number("+" + digits), nil
}

// fromNational reads digits as dialled in region, its own international prefix included.
func fromNational(digits, region, raw string) (Number, error) {
	if len(digits) > maxDigits+6 { // a prefix with a carrier code before 15 digits
		return "", fmt.Errorf("%w: %d digits", ErrImpossible, len(digits))
	}
	if region == "MX" {
		digits = withoutMexicosPrefix(digits)
	}
	if region != "" {
		p, err := phonenumbers.Parse(digits, region)
		if err == nil && region != "MX" { // at home nobody dialled the 1
			if e164 := phonenumbers.Format(p, phonenumbers.E164)[1:]; withoutMexicos1(e164) != e164 {
				return fromInternational(e164, raw)
			}
		}
		if err == nil && strictlyPossible(p) && (phonenumbers.IsValidNumber(p) || len(digits) >= minDigits) {
			return fromInternational(phonenumbers.Format(p, phonenumbers.E164)[1:], raw)
		}
	}
	if rest, ok := strings.CutPrefix(digits, "00"); ok && len(rest) >= minDigits {
		return fromInternational(rest, raw)
	}
	return "", fmt.Errorf("%w: %.40q is not complete in region %.8q", ErrNotNumber, raw, region)
}

// withoutMexicos1 takes off the 1 that mobile numbers of Mexico had behind the country code until August 2019, and that carriers
// and address books go on writing.
func withoutMexicos1(digits string) string {
	if rest, ok := strings.CutPrefix(digits, "521"); ok && len(rest) == 10 {
		return "52" + rest
	}
	return digits
}

// withoutMexicosPrefix takes off what was dialled inside Mexico until then.
func withoutMexicosPrefix(digits string) string {
	for _, prefix := range []string{"044", "045", "01"} {
		if rest, ok := strings.CutPrefix(digits, prefix); ok && len(rest) == 10 {
			return rest
		}
	}
	return digits
}

// withoutNationalPrefix takes off a national prefix that was left in, as in +44 (0)20, where the plan says so. It goes on
// until nothing changes, so that a number once read is read the same for ever.
func withoutNationalPrefix(digits string) string {
	for len(digits) <= maxDigits+2 && !isPlain(digits) { // each round takes off at least one digit, or is the last
		p, err := phonenumbers.Parse("+"+digits, phonenumbers.UNKNOWN_REGION)
		if err != nil || !strictlyPossible(p) {
			break
		}
		next := phonenumbers.Format(p, phonenumbers.E164)[1:]
		if len(next) >= len(digits) {
			break
		}
		digits = next
	}
	return digits
}

func strictlyPossible(p *phonenumbers.PhoneNumber) bool {
	return phonenumbers.IsPossibleNumberWithReason(p) == phonenumbers.IS_POSSIBLE
}

// userOf gives the part of raw that names a subscriber, without parameters and extension, and the phone-context.
func userOf(raw string) (subscriber, context string) {
	s := strings.TrimSpace(raw)
	if i := strings.IndexByte(s, '<'); i >= 0 {
		a, ok := parseAddr(s)
		if !ok {
			return "", ""
		}
		s = a.uri
	}
	lower := strings.ToLower(s[:min(len(s), 5)])
	switch {
	case strings.HasPrefix(lower, "tel:"):
		s = s[4:]
	case strings.HasPrefix(lower, "sip:"), strings.HasPrefix(lower, "sips:"):
		_, s, _ = strings.Cut(s, ":")
		i := strings.LastIndexByte(s, '@')
		if i < 0 {
			return "", ""
		}
		s = s[:i]
		s, _, _ = strings.Cut(s, ":") // a password; never of use to us
	}
	s, params, _ := strings.Cut(s, ";")
	for p := range strings.SplitSeq(params, ";") {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(k, "phone-context") {
			context, _ = unescape(v)
		}
	}
	s, ok := unescape(s)
	if !ok || !clean(s) {
		return "", ""
	}
	s, _, _ = strings.Cut(s, ";") // parameters whose semicolon came escaped
	return withoutExtension(s), context
}

// withoutExtension cuts "x12", "ext. 12" and what is dialled after the answer (",12", "p12", "w12") off a number.
func withoutExtension(s string) string {
	lower := strings.ToLower(s)
	for _, mark := range []string{"ext", "x", ",", "p", "w"} {
		if i := strings.Index(lower, mark); i > 0 {
			if _, _, ok := digitsOf(s[:i]); ok && onlyExtension(lower[i:]) {
				return s[:i]
			}
		}
	}
	return s
}

func onlyExtension(s string) bool {
	s = strings.TrimLeft(s, "extnsio.,pw: ")
	return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789*#,pw ") == ""
}

// separators are those of RFC 3966, the slash, and what word processors and address books write in their place: typographic
// spaces and hyphens, and marks of direction that nobody sees.
const separators = "-./() \u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f" +
	"\u2010\u2011\u2012\u2013\u2212" + "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069\ufeff"

// digitsOf takes visual separators out. It refuses everything else but digits and one leading plus.
func digitsOf(s string) (digits string, international, ok bool) {
	s = strings.TrimSpace(s)
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			b.WriteByte(byte(r))
		case r == '+':
			if international || b.Len() > 0 {
				return "", false, false
			}
			international = true
		case strings.ContainsRune(separators, r):
		default:
			return "", false, false
		}
	}
	return b.String(), international, b.Len() > 0
}

// standsForNobody knows the digits that networks send in place of a withheld number: nothing but zeros, and
// "anonymous" on a keypad, which phones show as unknown.
func standsForNobody(digits string) bool {
	return strings.Trim(digits, "0") == "" || digits == "266696687"
}

func (n Number) parsed() *phonenumbers.PhoneNumber {
	digits, ok := n.digits()
	if !ok {
		return nil
	}
	if p := plain(digits); p != nil {
		return p
	}
	return n.asWritten()
}

// asWritten has Parse find out what is meant.
func (n Number) asWritten() *phonenumbers.PhoneNumber {
	p, err := phonenumbers.Parse(string(n), phonenumbers.UNKNOWN_REGION)
	if err != nil {
		return nil
	}
	return p
}

// digits are those of a number that is written as one.
func (n Number) digits() (string, bool) {
	digits, ok := strings.CutPrefix(string(n), "+")
	return digits, ok && len(digits) <= maxDigits && strings.Trim(digits, "0123456789") == ""
}

// plain takes the digits of an international number apart that its plan knows just as it stands; nil for all others. It is what
// Parse gives for them, without the regular expressions by which Parse finds out what people may have meant.
func plain(digits string) *phonenumbers.PhoneNumber {
	code, rest, valid := inPlan(digits)
	if !valid {
		return nil
	}
	national, err := strconv.ParseUint(rest, 10, 64)
	if err != nil {
		return nil
	}
	p := &phonenumbers.PhoneNumber{CountryCode: new(int32(code)), NationalNumber: new(national)}
	if zeros := len(rest) - len(strings.TrimLeft(rest[:len(rest)-1], "0")+rest[len(rest)-1:]); zeros > 0 {
		p.ItalianLeadingZero = new(true)
		if zeros > 1 {
			p.NumberOfLeadingZeros = new(int32(zeros))
		}
	}
	return p
}

// isPlain says whether plain gives something.
func isPlain(digits string) bool {
	_, _, valid := inPlan(digits)
	return valid
}

// Possible reports whether a number of this length exists in its country code's plan.
func (n Number) Possible() bool {
	digits, ok := n.digits()
	if !ok || isPlain(digits) {
		return ok
	}
	p := n.asWritten()
	return p != nil && strictlyPossible(p)
}

// Valid reports whether the number lies in a range that its numbering plan has opened. Plans change faster than any
// table: a number that is not Valid deserves doubt, not certainty.
func (n Number) Valid() bool {
	digits, ok := n.digits()
	if !ok || isPlain(digits) {
		return ok
	}
	p := n.asWritten()
	return p != nil && phonenumbers.IsValidNumber(p)
}

// Region is the ISO 3166 code of the number's country, "001" for a number of the whole world, "" if unknown.
func (n Number) Region() string {
	p := n.parsed()
	if p == nil {
		return ""
	}
	r := phonenumbers.GetRegionCodeForNumber(p)
	if r == phonenumbers.UNKNOWN_REGION {
		return ""
	}
	return r
}

// CountryCode is the number's country calling code, 0 if unknown.
func (n Number) CountryCode() int {
	if digits, ok := n.digits(); ok {
		if code, _, valid := inPlan(digits); valid {
			return code
		}
	}
	if p := n.parsed(); p != nil {
		return int(p.GetCountryCode())
	}
	return 0
}

// Masked is the number for logs: "+1415***00".
func (n Number) Masked() string { return Mask(string(n)) }

// String is the number itself.
func (n Number) String() string { return string(n) }

// Mask hides the middle of a number or user part for logs. Of 8 characters or more the first five and the last two stay, of
// fewer nothing. The result is printable ASCII whatever s holds.
func Mask(s string) string {
	switch n := len(s); {
	case n == 0:
		return ""
	case n < 8:
		return "***"
	default:
		return printable(s[:5]) + "***" + printable(s[n-2:])
	}
}

func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// Digits are the digits of what a caller presents as a number, whether such a number can be or not: visual separators and one
// leading plus are taken out, parameters cut off. "" of everything else, an extension's name or "anonymous".
func Digits(user string) string {
	user, _, _ = strings.Cut(user, ";")
	digits, _, _ := digitsOf(user)
	return digits
}

// Emergency reports whether dialled digits call for help wherever phones roam: the emergency numbers of 3GPP TS 22.101 section
// 10.1. What a single country has beside them, and others use for something else, is not among them.
func Emergency(dialled string) bool {
	switch dialled {
	case "112", "911", "000", "08", "110", "999", "118", "119":
		return true
	}
	return false
}

// KnownRegion reports whether region is one whose national numbers ParseNumber can read.
func KnownRegion(region string) bool {
	return phonenumbers.GetSupportedRegions()[strings.ToUpper(region)]
}
