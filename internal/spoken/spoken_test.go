package spoken

import (
	"regexp"
	"strings"
	"testing"
)

func TestNamesAsTheyAreSpoken(t *testing.T) {
	for name, want := range map[string]string{
		"Anna Smith":                              "Anna Smith",
		"  Zoë   Müller-Lüdenscheidt ":            "Zoe Muller Ludenscheidt",
		"Иван Щукин":                              "Ivan Shchukin",
		"Søren Kierkegaard Ærø":                   "Soren Kierkegaard Aero",
		"O'Neil, Shaquille (mobile)":              "ONeil Shaquille mobile",
		"${system(touch /tmp/x)}":                 "system touch tmp x",
		"<speak><break time='9s'/></speak>":       "speak break time 9s speak",
		"a\r\n\r\nexecute-app-name: system":       "a execute app name system",
		"x' inline &park() 'm:^:hangup^b|c|d!e!f": "x inline park m hangup b c d e f",
		"Ann\x00a\x1b[2J":                         "Ann a 2J",
		"+1 415 555 0101":                         "",
		"Bob 4155550101":                          "",
		"Studio 54":                               "Studio 54",
		"王小明":                                     "",
		"王小明 Wang Xiaoming":                       "Wang Xiaoming",
		"":                                        "",
		"\xff\xfe":                                "",
		strings.Repeat("ab ", 100):                strings.TrimSpace(strings.Repeat("ab ", 20)),
	} {
		if got := Name(name); got != want {
			t.Errorf("%q is spoken %q, want %q", name, got, want)
		}
	}
}

var harmless = regexp.MustCompile(`^[A-Za-z0-9]+( [A-Za-z0-9]+)*$`)

func FuzzName(f *testing.F) {
	for _, s := range []string{"Anna", "${x}", "é\u0301", "Ж", "a'b|c^d", strings.Repeat("щ", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := Name(name)
		if got != "" && (!harmless.MatchString(got) || len(got) > MaxName) {
			t.Errorf("%q is spoken %q", name, got)
		}
	})
}
