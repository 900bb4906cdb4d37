package tel

import (
	"strings"
	"testing"
)

func TestIdentities(t *testing.T) {
	for in, want := range map[string]Identity{
		`"Alice \"A\" Smith" <sip:+14155550100@h;user=phone>;tag=1`: {Name: `Alice "A" Smith`, User: "+14155550100", Number: "+14155550100"},
		`<tel:+14155550100;verstat=TN-Validation-Passed>`:           {User: "+14155550100", Number: "+14155550100"},
		`sip:4155550100@h;tag=1`:                                    {User: "4155550100", Number: "+14155550100"},
		`sip:alice@h`:                                               {User: "alice"},
		`"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1`:       {Name: "Anonymous", User: "anonymous", Withheld: true},
		`<sip:anonymous@carrier.example.net>`:                       {User: "anonymous", Withheld: true},
		`<sip:Restricted@carrier.example.net>`:                      {User: "Restricted", Withheld: true},
		`<sip:anonymous.invalid>`:                                   {Withheld: true},
		`<sip:0000000000@h>`:                                        {User: "0000000000", Withheld: true},
		"\"a\x01b\xff\" <sip:x@h>":                                  {Name: "ab", User: "x"},
	} {
		if got, ok := ParseIdentity(in, "US"); !ok || got != want {
			t.Errorf("%q\ngot  %+v, %t\nwant %+v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "alice", "<sip:a@h", `"a <sip:a@h>`, "<sip:a%0aX@h>", "<sip:" + strings.Repeat("a", 60000) + "@h>", "<http://h>"} {
		if got, ok := ParseIdentity(in, "US"); ok {
			t.Errorf("%.40q was read as %+v", in, got)
		}
	}
}

func TestPrivacy(t *testing.T) {
	for in, want := range map[string]bool{
		"id": true, "ID": true, "none": false, "user;id": true, "header": true, "critical; id": true, "session": false, "": false, "identity": false,
		"history": false, "full": true,
	} {
		if got := PrivacyAsked([]string{"none", in}); got != want {
			t.Errorf("Privacy: %s asked = %t", in, got)
		}
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add(`"Alice" <sip:+14155550100@h;user=phone>;tag=1`)
	f.Add("sip:anonymous@anonymous.invalid")
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := ParseIdentity(s, "US")
		if !ok && id != (Identity{}) {
			t.Fatalf("not read, but %+v", id)
		}
		if strings.ContainsAny(id.Name+id.User, "\r\n\x00") || len(id.User) > 256 || len(id.Name) > 512 {
			t.Fatalf("%+v", id)
		}
	})
}
