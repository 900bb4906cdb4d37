package tel

import (
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nyaruka/phonenumbers"
)

// callingCodes are the country calling codes that exist.
var callingCodes = phonenumbers.GetSupportedCallingCodes()

// plans are the numbering plans by calling code, each made when it is first asked for. They say what phonenumbers.IsValidNumber
// says, from the same tables, with a tenth of its work: it puts together and looks up the text of each regular expression each time.
var plans [1000]atomic.Pointer[[]territory]

// territory is one region of a calling code.
type territory struct {
	leading pattern // of regions that share a code; none = its kinds tell
	general kind
	kinds   []kind // any of them makes a number valid
}

// kind is one sort of number: mobile, toll-free and so on.
type kind struct {
	lengths uint32 // bit n: n digits are possible; 0 = any length
	pattern pattern
}

// pattern is a regular expression that is compiled when it is first needed; nil matches nothing.
type pattern func() *regexp.Regexp

func lazily(expression string) pattern {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

func newKind(d *phonenumbers.PhoneNumberDesc) (k kind) {
	for _, n := range d.GetPossibleLength() {
		if n >= 0 && n < 32 { // -1 is a kind that the region does not have
			k.lengths |= 1 << n
		}
	}
	if p := d.GetNationalNumberPattern(); p != "" && (k.lengths != 0 || len(d.GetPossibleLength()) == 0) {
		k.pattern = lazily("^(?:" + p + ")$")
	}
	return k
}

func (k kind) matches(national string) bool {
	if k.pattern == nil || k.lengths != 0 && (len(national) > 31 || k.lengths&(1<<len(national)) == 0) {
		return false
	}
	return k.pattern().MatchString(national)
}

func (t *territory) has(national string) bool {
	if !t.general.matches(national) {
		return false
	}
	for _, k := range t.kinds {
		if k.matches(national) {
			return true
		}
	}
	return false
}

// planOf gives the territories of a calling code, in the order in which they are asked.
func planOf(code int) []territory {
	if made := plans[code].Load(); made != nil {
		return *made
	}
	var out []territory
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		return nil // it was read when the program started
	}
	for _, region := range phonenumbers.GetRegionCodesForCountryCode(code) {
		for _, m := range all.GetMetadata() {
			if m.GetId() == region && int(m.GetCountryCode()) == code {
				out = append(out, newTerritory(m))
				break
			}
		}
	}
	plans[code].Store(&out)
	return out
}

func newTerritory(m *phonenumbers.PhoneMetadata) territory {
	t := territory{general: newKind(m.GetGeneralDesc())}
	if leading := m.GetLeadingDigits(); leading != "" {
		t.leading = lazily("^(?:" + leading + ")")
	}
	descriptions := []*phonenumbers.PhoneNumberDesc{
		m.GetFixedLine(), m.GetMobile(), m.GetTollFree(), m.GetPremiumRate(), m.GetSharedCost(), m.GetVoip(), m.GetPersonalNumber(), m.GetPager(), m.GetUan(), m.GetVoicemail(),
	}
	if m.GetSameMobileAndFixedLinePattern() {
		descriptions[1] = nil
	}
	for _, d := range descriptions {
		if k := newKind(d); k.pattern != nil {
			t.kinds = append(t.kinds, k)
		}
	}
	return t
}

// inPlan takes the digits of an international number apart and says whether they lie, just as they stand, in a range that the plan
// has opened. code is 0 when no calling code begins them.
func inPlan(digits string) (code int, national string, valid bool) {
	if strings.HasPrefix(digits, "0") {
		return 0, "", false
	}
	for n := 1; n <= 3 && n < len(digits); n++ {
		c := digits[n-1] - '0'
		if c > 9 {
			return 0, "", false
		}
		if code = 10*code + int(c); !callingCodes[code] {
			continue // no code is the beginning of another
		}
		national = digits[n:]
		list := planOf(code)
		for i := range list {
			t := &list[i]
			switch {
			case len(list) == 1:
				return code, national, t.has(national)
			case t.leading != nil:
				if t.leading().MatchString(national) {
					return code, national, t.has(national)
				}
			case t.has(national):
				return code, national, true
			}
		}
		return code, national, false
	}
	return 0, "", false
}
