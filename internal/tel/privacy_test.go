package tel

import (
	"strings"
	"testing"
)

func TestWhatADiversionHides(t *testing.T) {
	for param, want := range map[string][2]bool{ // number, name
		"": {}, ";privacy=off": {}, ";privacy=full": {true, true}, `;privacy="Full"`: {true, true}, ";privacy=uri": {true, false}, ";privacy=name": {false, true},
		";privacy=tomorrow": {true, true}, `;privacy="a b"`: {true, true}, ";privacy": {true, true},
	} {
		d := ParseDiversions([]string{`"Hana" <sip:+14155550100@h>;reason=no-answer` + param}, "US")
		if len(d) != 1 || d[0].HidesNumber() != want[0] || d[0].HidesName() != want[1] {
			t.Errorf("%s: %+v, want number hidden %t, name hidden %t", param, d, want[0], want[1])
		}
	}
}

// TestForwardingDataThatIsPrivate reads what a call brings, and writes what others may see of it.
func TestForwardingDataThatIsPrivate(t *testing.T) {
	const host, other = "14155550100", "14155550177"
	for name, tt := range map[string]struct {
		diversion, history, privacy string
		known                       Number
		hidden, shown               []string // numbers, wherever they stand
	}{
		"nothing is private": {diversion: "<sip:+" + host + "@h>;reason=user-busy", history: "<sip:+" + other + "@h>;index=1", shown: []string{host, other}},
		"one diverter of two": {
			diversion: "<sip:+" + other + "@h>;reason=user-busy, \"H\" <sip:+" + host + "@h>;privacy=full", hidden: []string{host, `"H"`}, shown: []string{other, "user-busy"},
		},
		"the same number in the history as well": {
			diversion: "<sip:+" + host + "@h>;privacy=uri", history: "<sip:" + host + "@h>;index=1, <sip:+" + other + "@h;cause=486>;index=1.1", hidden: []string{host}, shown: []string{other, "index=1.1"},
		},
		"an entry of the history, and its diversion": {
			diversion: "<sip:4155550100@h>;reason=no-answer", history: "<sip:+" + host + "@h?Reason=SIP%3Bcause%3D408&Privacy=history>;index=1, <sip:+" + other + "@h>;index=1.1",
			hidden: []string{host, "4155550100"}, shown: []string{other, "cause%3D408", "no-answer"},
		},
		"an entry in FreeSWITCH's spelling, with a list": {history: "<sip:+" + host + "@h?Privacy=critical;history>;index=1", hidden: []string{host}},
		"all of it, by the call's own header":            {history: "<sip:+" + host + "@h>;index=1, <tel:+" + other + ">;index=1.1", privacy: "id;history", hidden: []string{host, other}},
		"all of it, by header":                           {history: "<sip:+" + host + "@h>;index=1", privacy: "header", hidden: []string{host}},
		"all but an entry that says none":                {history: "<sip:+" + host + "@h>;index=1, <sip:+" + other + "@h?Privacy=none>;index=1.1", privacy: "history", hidden: []string{host}, shown: []string{other}},
		"id is about the caller alone":                   {history: "<sip:+" + host + "@h>;index=1", privacy: "id", shown: []string{host}},
		"the reader's own": {
			diversion: "<sip:+" + host + "@h>;privacy=full, <sip:+" + other + "@h>;privacy=full", history: "<sip:+" + host + "@h>;index=1", known: "+" + host, hidden: []string{other}, shown: []string{host},
		},
		"no number at all": {diversion: "<sip:ada@h>;privacy=full", history: "<sip:ada@h?Privacy=history>;index=1", known: "", hidden: []string{"ada"}},
	} {
		diversions, history := ParseDiversions([]string{tt.diversion}, "US"), ParseHistory([]string{tt.history})
		MarkPrivate(diversions, history, []string{tt.privacy}, "US")
		before := FormatDiversions(diversions) + FormatHistory(history)
		text := FormatDiversions(PublicDiversions(diversions, tt.known)) + "\n" + FormatHistory(PublicHistory(history, "US", tt.known))
		for _, n := range tt.hidden {
			if strings.Contains(text, n) {
				t.Errorf("%s: %s is shown in\n%s", name, n, text)
			}
		}
		for _, n := range tt.shown {
			if !strings.Contains(text, n) {
				t.Errorf("%s: %s is missing in\n%s", name, n, text)
			}
		}
		if FormatDiversions(diversions)+FormatHistory(history) != before {
			t.Errorf("%s: what was read has changed", name)
		}
		if again := ParseDiversions([]string{FormatDiversions(PublicDiversions(diversions))}, "US"); len(again) != len(diversions) {
			t.Errorf("%s: of %d diversions %d can be read again", name, len(diversions), len(again))
		}
	}
}
