package lint

import (
	"regexp"
	"testing"
)

func TestWhichNumbersAPatternTakes(t *testing.T) {
	for _, tt := range []struct {
		outer, inner string
		holds        bool
	}{
		{`^\d+$`, `^\d{10}$`, true},
		{`^\d{10}$`, `^\d+$`, false},
		{`^(10[01][0-9])$`, `^1001$`, true},
		{`^(10[01][0-9])$`, `^1020$`, false},
		{``, `^\d+$`, true},
		{`.*`, `^$`, true},
		{`^.+$`, `^$`, false},
		{`^.+$`, ``, false},
		{`911`, `^1911\d$`, true},
		{`^\+?1?(\d{10})$`, `^\+1[2-9]\d{9}$`, true},
		{`^\+?1?(\d{10})$`, `^\+1[2-9]\d{9,10}$`, false},
		{`/^ABC$/i`, `^aBc$`, true},
		{`^abc$`, `/^ABC$/i`, false},
		{`\b12\b`, `^12$`, true},
		{`\b12\b`, `12`, false},
		{`^(?:100|200|3\d\d)$`, `^(?:200|399)$`, true},
		{`[^0-9]`, `^\+1$`, true},
	} {
		if got := holds(languageOf(tt.outer), languageOf(tt.inner)); got != tt.holds {
			t.Errorf("every text of %s in %s: %v, want %v", tt.inner, tt.outer, got, tt.holds)
		}
	}
	for _, expression := range []string{`^(?!1)\d+$`, `^(\d)\1$`, `^\d++$`, `^${x}$`, `_9X.`, `/abc`, `((`} {
		if languageOf(expression) != nil {
			t.Errorf("%s has a language here", expression)
		}
	}
	if !apart(languageOf(`^1000$`), languageOf(`^2\d+$`)) || apart(languageOf(`^1\d*$`), languageOf(`^\d{4}$`)) {
		t.Error("apart")
	}
}

func TestAWitnessIsOne(t *testing.T) {
	number := languageOf(`^\+?[0-9]{7,15}$`)
	for _, expression := range []string{`^(\d+)$`, `^9(\d{11,})$`, `^\+?44\d*$`, `5551212`, `^(011\d+|1[2-9]\d{9})$`} {
		text, found, known := witness(term{languageOf(expression), false}, term{number, false})
		if !found || !known || !regexp.MustCompile(expression).MatchString(text) || !regexp.MustCompile(`^\+?[0-9]{7,15}$`).MatchString(text) {
			t.Errorf("%s: %q, %v, %v", expression, text, found, known)
		}
	}
	if _, found, known := witness(term{languageOf(`^\d{4}$`), false}, term{number, false}); found || !known {
		t.Error("a four-digit number is no telephone number")
	}
	if g := languageOf(`^9(\d{4})$`).group(1); g == nil || !holds(languageOf(`^\d{4}$`), g) {
		t.Error("group 1")
	}
}

func TestHowManyNumbers(t *testing.T) {
	for expression, want := range map[string]bool{`^10[01][0-9]$`: false, `^\d{3}$`: false, `^\d{4}$`: true, `^\d+$`: true, `^5551212$`: false, ``: true} {
		if got := many(1000, 15, term{languageOf(expression), false}); got != want {
			t.Errorf("%s: more than 1000 is %v", expression, got)
		}
	}
}
