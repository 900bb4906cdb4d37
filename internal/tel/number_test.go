package tel

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/tel/teltest"
)

// TestNumbersAsPeopleAndCarriersWriteThem reads the table that all packages share.
func TestNumbersAsPeopleAndCarriersWriteThem(t *testing.T) {
	for _, c := range teltest.Cases(t) {
		got, err := ParseNumber(c.Written, c.Region)
		have := ""
		switch {
		case errors.Is(err, ErrNotNumber):
			have = "not"
		case errors.Is(err, ErrImpossible):
			have = "impossible"
		case err != nil:
			t.Errorf("line %d: %q in %q: unnamed error %v", c.Line, c.Written, c.Region, err)
		}
		if string(got) != c.Number || have != c.Err {
			t.Errorf("line %d: %+q in %q = %s %s, want %s %s", c.Line, c.Written, c.Region, got, have, c.Number, c.Err)
		}
		if err == nil {
			if again, err := ParseNumber(string(got), ""); err != nil || again != got {
				t.Errorf("line %d: %s read again = %s, %v", c.Line, got, again, err)
			}
		}
	}
}

func TestNumbersAsCarriersPresentThem(t *testing.T) {
	for _, c := range teltest.Cases(t) {
		got, err := ParsePresented(c.Written, c.Region)
		if string(got) != c.Presented {
			t.Errorf("line %d: %+q in %q = %s, want %s", c.Line, c.Written, c.Region, got, c.Presented)
		}
		if (err == nil) != (got != "") || err != nil && !errors.Is(err, ErrNotNumber) && !errors.Is(err, ErrImpossible) {
			t.Errorf("line %d: %+q in %q: %q and error %v", c.Line, c.Written, c.Region, got, err)
		}
		if got != "" {
			if again, err := ParsePresented(string(got), ""); err != nil || again != got {
				t.Errorf("line %d: %s read again = %s, %v", c.Line, got, again, err)
			}
		}
	}
}

// A caller is the same however his address wraps the number.
func TestIdentitiesReadTheTable(t *testing.T) {
	for _, c := range teltest.Cases(t) {
		for _, value := range addresses(c.Written) {
			id, ok := ParseIdentity(value, c.Region)
			if string(id.Number) != c.Presented || id.Withheld != c.Withheld {
				t.Errorf("line %d: %+q in %q (read %t) = %+v, want %q, withheld %t", c.Line, value, c.Region, ok, id, c.Presented, c.Withheld)
			}
		}
	}
}

// addresses are header values that carry what is written, with every character that means something there escaped.
func addresses(written string) []string {
	lower := strings.ToLower(written)
	for _, scheme := range []string{"sip:", "sips:", "tel:", "urn:", "mailto:"} {
		if strings.HasPrefix(lower, scheme) {
			return []string{"<" + written + ">;tag=1"}
		}
	}
	switch {
	case strings.ContainsAny(written, "\r\n"): // no address can carry it
		return nil
	case strings.ContainsAny(written, "<@"): // an address already
		return []string{written}
	}
	user, params, _ := strings.Cut(written, ";")
	if params != "" {
		params = ";" + params
	}
	if !strings.Contains(user, "%") {
		user = url.PathEscape(user)
	}
	return []string{"<sip:" + user + params + "@h;user=phone>;tag=1", "\"x\" <tel:" + user + params + ">"}
}

func TestWhatANumberIs(t *testing.T) {
	for _, c := range []struct {
		n               Number
		possible, valid bool
		region          string
		code            int
	}{
		{"+14155550100", true, true, "US", 1},
		{"+14165550100", true, true, "CA", 1},
		{"+442079460958", true, true, "GB", 44},
		{"+80012345678", true, true, "001", 800},
		{"+10155550100", true, false, "", 1},
		{"+15550100", false, false, "", 1},
		{"+141555501001", false, false, "", 1},
		{"+9991234567", false, false, "", 0},
		{"", false, false, "", 0},
		{"4155550100", false, false, "", 0},
		{"+1415555010x", false, false, "", 0},
		{Number("+" + strings.Repeat("1", 60000)), false, false, "", 0},
	} {
		if c.n.Possible() != c.possible || c.n.Valid() != c.valid || c.n.Region() != c.region || c.n.CountryCode() != c.code {
			t.Errorf("%.20s: possible %t, valid %t, region %q, code %d; want %+v", c.n, c.n.Possible(), c.n.Valid(), c.n.Region(), c.n.CountryCode(), c)
		}
	}
}

func TestLogsDoNotShowNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "1000": "***", "5550100": "***", "+14155550100": "+1415***00", "alice.smith": "alice***th", "a\r\nb\x00cdefgh": "a??b?***gh",
	} {
		if got := Mask(in); got != want {
			t.Errorf("%q masked %q, want %q", in, got, want)
		}
	}
	if got := Number("+14155550100").Masked(); got != "+1415***00" {
		t.Errorf("masked %q", got)
	}
}

func TestRegions(t *testing.T) {
	for region, want := range map[string]bool{"US": true, "gb": true, "XX": false, "": false, "ZZ": false, "001": false} {
		if KnownRegion(region) != want {
			t.Errorf("%q known = %t", region, !want)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"+14155550100", "sip:%2B1415@h;user=phone", "tel:5550100;phone-context=+1415", `"a" <sip:1@h>`, "0049 (0)30 x12", "${1}\r\n"} {
		f.Add(s, "US")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, raw, region string) {
		n, err := ParseNumber(raw, region)
		if err != nil {
			if n != "" || !errors.Is(err, ErrNotNumber) && !errors.Is(err, ErrImpossible) {
				t.Fatalf("%q: %s, %v", raw, n, err)
			}
			return
		}
		if len(n) < 8 || len(n) > 16 || n[0] != '+' || n[1] == '0' || strings.Trim(string(n[1:]), "0123456789") != "" {
			t.Fatalf("%q in %q is no E.164: %q", raw, region, n)
		}
		if again, err := ParseNumber(string(n), ""); err != nil || again != n {
			t.Fatalf("%s read again = %s, %v", n, again, err)
		}
		n.Possible()
		n.Valid()
		n.Region()
	})
}
