package tel

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"github.com/signalbox/signalbox/internal/tel/teltest"
)

// What plain takes apart is what Parse makes of it, for examples of every kind of number of every country and for what they become
// when digits of them change.
func TestPlainNumbersAreReadAsParseReadsThem(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	short := 0
	check := func(digits string) {
		got := plain(digits)
		want, err := phonenumbers.Parse("+"+digits, phonenumbers.UNKNOWN_REGION)
		if got == nil {
			if err == nil && phonenumbers.IsValidNumber(want) && phonenumbers.Format(want, phonenumbers.E164) == "+"+digits {
				t.Errorf("+%s is valid as it stands and not taken", digits)
			}
			return
		}
		short++
		if err != nil {
			t.Errorf("+%s is taken, Parse says %v", digits, err)
			return
		}
		if phonenumbers.Format(got, phonenumbers.E164) != "+"+digits {
			t.Errorf("+%s is written %s", digits, phonenumbers.Format(got, phonenumbers.E164))
		}
		if got.String() != want.String() {
			t.Errorf("+%s is %v, Parse says %v", digits, got, want)
		}
	}
	for region := range phonenumbers.GetSupportedRegions() {
		for kind := range phonenumbers.PhoneNumberType(11) {
			example := phonenumbers.GetExampleNumberForType(region, kind)
			if example == nil {
				continue
			}
			digits := strings.TrimPrefix(phonenumbers.Format(example, phonenumbers.E164), "+")
			if plain(digits) == nil && phonenumbers.IsValidNumber(example) {
				t.Errorf("example +%s of %s is not taken", digits, region)
			}
			for range 20 {
				b := []byte(digits)
				for range random.IntN(3) {
					b[1+random.IntN(len(b)-1)] = '0' + byte(random.IntN(10))
				}
				check(string(b))
			}
		}
	}
	if short < 10000 {
		t.Errorf("only %d numbers were taken", short)
	}
}

// What a Number says of itself is what the library says of it, whichever way it was found: for every number of the table, and
// for random digits, most of which nobody has.
func TestNumbersSayOfThemselvesWhatTheLibrarySays(t *testing.T) {
	check := func(n Number) {
		t.Helper()
		var possible, valid bool
		var region string
		var code int
		if p, err := phonenumbers.Parse(string(n), phonenumbers.UNKNOWN_REGION); err == nil {
			possible, valid, code = strictlyPossible(p), phonenumbers.IsValidNumber(p), int(p.GetCountryCode())
			if region = phonenumbers.GetRegionCodeForNumber(p); region == phonenumbers.UNKNOWN_REGION {
				region = ""
			}
		}
		if n.Possible() != possible || n.Valid() != valid || n.Region() != region || n.CountryCode() != code {
			t.Errorf("%s: possible %t, valid %t, region %q, code %d; the library: %t, %t, %q, %d", n,
				n.Possible(), n.Valid(), n.Region(), n.CountryCode(), possible, valid, region, code)
		}
	}
	for _, c := range teltest.Cases(t) {
		for _, n := range []string{c.Number, c.Presented} {
			if n != "" {
				check(Number(n))
			}
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		b := []byte{'+', '1' + byte(random.IntN(9))}
		for range 6 + random.IntN(9) {
			b = append(b, '0'+byte(random.IntN(10)))
		}
		n, err := ParseNumber(string(b), "")
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		check(n)
	}
}
