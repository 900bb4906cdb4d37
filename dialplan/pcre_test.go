package dialplan

import "testing"

// What PCRE 8.39, the one in FreeSWITCH 1.10.12, refuses, and where a dash in a class is just a dash.
func TestRepeatsAndDashesAsPCRE(t *testing.T) {
	for expression, compiles := range map[string]bool{
		`^+1`: false, `1$+`: false, `\b+1`: false, `\A+1`: false, `(+1)`: false, `^*1`: false, `^{1,2}1`: false, `1|+`: false, `*1`: false, `(?i)+1`: false,
		`a**`: false, `[a-\d]`: false, `[x-[:digit:]]`: false, `[z-a]`: false,
		`(?=1)+1`: true, `(?:)*`: true, `(?!1)?x`: true, `a{2}+`: true, `^{x`: true, `[\d-x]`: true, `[\w-.]`: true, `[[:digit:]-x]`: true, `[a-]`: true, `[--a]`: true, `[a-c-e]`: true,
	} {
		if _, err := CompilePattern(expression); (err == nil) != compiles {
			t.Errorf("%s: %v", expression, err)
		}
	}
	for _, tt := range []struct {
		expression, subject string
		want                bool
	}{
		{`^[\d-x]$`, "-", true}, {`^[\d-x]$`, "x", true}, {`^[\d-x]$`, "w", false},
		{`^[\w-.]+$`, "a-b.c", true}, {`^[[:digit:]-x]$`, "-", true}, {`^[a-c-e]$`, "d", false}, {`^[a-c-e]$`, "-", true}, {`^[a-c-e]$`, "b", true},
		{`^[--/]$`, ".", true}, {`^[a-]$`, "-", true}, {`^[+-[]$`, "A", true},
	} {
		p, err := CompilePattern(tt.expression)
		if err != nil {
			t.Errorf("%s: %v", tt.expression, err)
			continue
		}
		if got, _ := p.Match(tt.subject); got != tt.want {
			t.Errorf("%s on %q: %v", tt.expression, tt.subject, got)
		}
	}
}

func TestPatternsThatCannotMatchAreToldApart(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{`^\+?1?(415555\d{4})$`, "9999", true}, {`^\+?1?(415555\d{4})$`, "+14155550100", false}, {`^(\d{2,3})?5$`, "5", false}, {`^(\d{2,3})?5$`, "15", true},
		{`5$`, "56", true}, {`5`, "456", false}, {`^[^0-4x-z]+$`, "59", false}, {`^[^0-4x-z]+$`, "5y", true}, {`^a*b`, "aab", false}, {`^a*b`, "aac", true},
		// On these it gives up.
		{`^a|b`, "c", false}, {`^(?!a)`, "a", false}, {`^a\b`, "b", false}, {`^a**`, "b", false}, {`^(a`, "b", false}, {`^a{3,1}`, "b", false}, {`^(a)+$`, "b", false},
		{`^é`, "e", false}, {`^a`, "é", false}, {`^a`, "b\n", false}, {`[z-a]`, "b", false},
	} {
		if got := cannotMatch(c.pattern, c.subject); got != c.want {
			t.Errorf("%s on %q: %v, want %v", c.pattern, c.subject, got, c.want)
		}
	}
}
