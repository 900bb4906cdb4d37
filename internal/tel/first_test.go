package tel

import "testing"

func TestFirstDiverterIsTheOldest(t *testing.T) {
	for name, c := range map[string]struct {
		diversions, history []string
		want                Number
	}{
		"not diverted":                  {nil, []string{"<sip:+14155550100@a>;index=1"}, ""},
		"newest diversion on top":       {[]string{"<sip:+14155550102@a>;reason=no-answer", "<sip:4155550101@a>;reason=unconditional"}, nil, "+14155550101"},
		"history when no diversion":     {nil, []string{"<sip:+14155550101@a>;index=1, <sip:+14155550102@a>;index=1.1"}, "+14155550101"},
		"a first one that is no number": {[]string{"<sip:+14155550102@a>;reason=no-answer", "<sip:reception@a>;reason=away"}, nil, ""},
	} {
		got := FirstDiverter(ParseDiversions(c.diversions, "US"), ParseHistory(c.history), "US")
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
