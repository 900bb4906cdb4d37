package tel

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestNumbersAsPeopleAndCarriersWriteThem reads testdata/numbers.tsv.
func TestNumbersAsPeopleAndCarriersWriteThem(t *testing.T) {
	f, err := os.Open("testdata/numbers.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cases := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "# ") {
			continue
		}
		cols := strings.Split(lines.Text(), "\t")
		if len(cols) != 3 {
			t.Fatalf("%q has %d columns, want 3", lines.Text(), len(cols))
		}
		raw, err := strconv.Unquote(`"` + strings.ReplaceAll(cols[0], `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("%q: %v", cols[0], err)
		}
		cases++
		got, err := ParseNumber(raw, cols[1])
		have := string(got)
		switch {
		case errors.Is(err, ErrNotNumber):
			have = "not"
		case errors.Is(err, ErrImpossible):
			have = "impossible"
		case err != nil:
			t.Errorf("%q in %q: unnamed error %v", raw, cols[1], err)
		}
		if err != nil && got != "" {
			t.Errorf("%q in %q: an error and the number %s", raw, cols[1], got)
		}
		if have != cols[2] {
			t.Errorf("%q in %q = %s, want %s", raw, cols[1], have, cols[2])
		}
		if err == nil {
			if again, err := ParseNumber(have, ""); err != nil || again != got {
				t.Errorf("%s read again = %s, %v", have, again, err)
			}
		}
	}
	if cases < 200 {
		t.Errorf("only %d cases were read", cases)
	}
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
