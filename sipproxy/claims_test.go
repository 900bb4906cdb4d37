package sipproxy

import (
	"strings"
	"testing"
)

func TestVerstatOfAnUntrustedTrunkIsTaken(t *testing.T) {
	for in, want := range map[string]string{
		`<sip:+1555;verstat=TN-Validation-Passed@h;user=phone>;tag=1`: `<sip:+1555@h;user=phone>;tag=1`,
		`<tel:+1555;verstat=TN-Validation-Passed>`:                    `<tel:+1555>`,
		`<sip:+1555;npdi;VerStat=No;rn=1@h>;tag=1`:                    `<sip:+1555;npdi;rn=1@h>;tag=1`,
		`<sip:+1555@h;verstat=x>;verstat=y;tag=1`:                     `<sip:+1555@h>;tag=1`,
		`<sip:+1555;%76erstat=x@h>`:                                   `<sip:+1555@h>`,
		`<sip:+1555; verstat =x@h>`:                                   `<sip:+1555@h>`,
		`"a;verstat=x" <sip:+1555@h>`:                                 `"a;verstat=x" <sip:+1555@h>`,
		`"a\";verstat=x" <sip:+1555;verstat=y@h>`:                     `"a\";verstat=x" <sip:+1555@h>`,
		`<sip:+1555;verstat=a@h>, <tel:+1555;verstat=b>`:              `<sip:+1555@h>, <tel:+1555>`,
		`<sip:+1555;verstats=x@h>`:                                    `<sip:+1555;verstats=x@h>`,
		`<sip:+1555;ver;verstat=xstat=TN@h>`:                          `<sip:+1555;ver@h>`,
		`<sip:+1555;verstat="q;verstat=z"@h>`:                         `<sip:+1555"q;verstat=z"@h>`,
		`;verstat`:                                                    ``,
	} {
		if got := withoutVerstat(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
	w := newWorld(t, nil)
	send := func(id string) got {
		raw := strings.Replace(w.trunk.invite(id, "P-Attestation-Indicator: A", "P-Asserted-Identity: <tel:+15557777;verstat=TN-Validation-Passed>"),
			"sip:+15557777@", "sip:+15557777;verstat=TN-Validation-Passed@", 1)
		w.trunk.udp(w.udp, raw)
		return w.node.expect("INVITE")
	}
	if inv := send("v1"); strings.Contains(inv.raw, "verstat") || strings.Contains(inv.raw, "Attestation") {
		t.Errorf("an untrusted trunk's claim passed:\n%s", inv.raw)
	}
	w = newWorld(t, func(o *Options, _ *world) { o.Peers[0].TrustVerstat = true })
	if inv := send("v2"); strings.Count(inv.raw, ";verstat=TN-Validation-Passed") != 2 || !strings.Contains(inv.raw, "P-Attestation-Indicator: A") {
		t.Errorf("a trusted trunk's claim is gone:\n%s", inv.raw)
	}
}

func FuzzVerstat(f *testing.F) {
	f.Add(`"x" <sip:+1555;verstat=TN-Validation-Passed@h;user=phone>;tag=1`)
	f.Add(`<tel:+1;VERSTAT="a;b">`)
	f.Fuzz(func(t *testing.T, value string) {
		got := withoutVerstat(value)
		if again := withoutVerstat(got); again != got {
			t.Fatalf("%q becomes %q, then %q", value, got, again)
		}
		if len(got) > len(value) {
			t.Fatalf("%q grew to %q", value, got)
		}
	})
}
