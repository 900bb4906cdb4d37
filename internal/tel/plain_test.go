package tel

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// What plain takes apart is what Parse makes of it, for examples of every kind of number of every country and for what they become
// when digits of them change.
func TestPlainNumbersAreReadAsParseReadsThem(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	short := 0
	check := func(digits string) {
		got := plain(digits)
		if got == nil {
			return
		}
		short++
		want, err := phonenumbers.Parse("+"+digits, phonenumbers.UNKNOWN_REGION)
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
