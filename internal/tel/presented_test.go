package tel

import (
	"errors"
	"testing"
)

func TestNumbersWithTheirCountryCodeButWithoutThePlus(t *testing.T) {
	for _, c := range []struct{ raw, region, want string }{
		// as ParseNumber reads them
		{"+14155550100", "US", "+14155550100"},
		{"4155550100", "US", "+14155550100"},
		{"14155550100", "US", "+14155550100"},
		{"02079460958", "GB", "+442079460958"},
		{"<sip:(415)%20555-0100@h>", "US", "+14155550100"},
		{"472123;phone-context=+1415", "US", "+1415472123"}, // the place it belongs to is written: no other reading
		// country codes of three digits make short numbers
		{"298201234", "US", "+298201234"}, // Faroe Islands, 9 digits
		{"29922123", "US", ""},            // Greenland's have six after the 299
		{"299321234", "US", "+299321234"},
		{"29022158", "US", "+29022158"}, // Saint Helena
		{"50021234", "US", "+50021234"}, // Falkland Islands
		{"24712345", "US", "+24712345"}, // Ascension
		{"6834000", "US", ""},           // Niue has 7 digits, as a local number has
		{"354 421-2345", "", "+3544212345"},
		{"sip:298201234@h", "US", "+298201234"},
		{"298201234;npdi", "US", "+298201234"},
		// ten digits that no American number can have
		{"4721234567", "US", "+4721234567"},
		{"4930123456", "US", "+4930123456"},
		{"442079460958", "US", "+442079460958"},
		// ten digits that one could have: read as here
		{"4512345678", "US", "+14512345678"},
		// no reading makes these possible
		{"123456789", "US", ""},
		{"99912345678", "US", ""},
		{"1234567890123456", "US", ""},
		{"1000", "US", ""},
		{"5550100", "US", ""},
		{"alice", "US", ""},
		{"", "US", ""},
		{"00000000", "US", ""},
		{"266696687", "US", ""}, // "anonymous" on a keypad
		// what breaks the North American plan in the only reading it has stays as it is, for the verdict
		{"4150550100", "US", "+14150550100"},
		{"+14150550100", "US", "+14150550100"},
		{"0005550100", "US", "+10005550100"},
	} {
		got, err := ParsePresented(c.raw, c.region)
		if string(got) != c.want {
			t.Errorf("%q in %q = %q, want %q", c.raw, c.region, got, c.want)
		}
		if (err == nil) != (got != "") || err != nil && !errors.Is(err, ErrNotNumber) && !errors.Is(err, ErrImpossible) {
			t.Errorf("%q in %q: %q and error %v", c.raw, c.region, got, err)
		}
		if got != "" {
			if again, err := ParsePresented(string(got), ""); err != nil || again != got {
				t.Errorf("%q read again = %q, %v", got, again, err)
			}
		}
	}
}
