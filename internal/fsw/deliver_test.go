package fsw

import (
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// Whatever came with the call, the message is delivered: originate takes no blanks and no quotes in a dial string, so the evidence is
// carried without them. The voicemail system reads the same URIs.
func TestADeliveryCarriesWhateverCameWithTheCall(t *testing.T) {
	for name, headers := range map[string][]call.Header{
		"names": {{Name: "Diversion", Value: `"Front Desk" <sip:+14155550142@pbx.example.net>;reason=no-answer;counter=1, "O'Brien, \"Bob\"" <sip:bob@pbx.example.net>;reason=user-busy;counter=1`}},
		"apostrophes": {{Name: "History-Info", Value: `<sip:o'brien@pbx.example.net>;index=1, <sip:+14155550142@pbx.example.net?Reason=SIP%3Bcause%3D486>;index=1.1`},
			{Name: "X-Voicemail-Condition", Value: "deposit"}},
		"a quote without its partner": {{Name: "Diversion", Value: `"x <sip:+14155550142@pbx.example.net>;reason=no-answer`}},
		"a backslash":                 {{Name: "Diversion", Value: `<sip:\x@pbx.example.net>`}},
	} {
		d := Delivery{
			Order: call.RingOrder{
				Voicemail: &call.VoicemailTarget{Profile: "external", User: "+18056377243", FQDN: "vm.example.net", Addr: "192.0.2.1:5060", Transport: "udp"},
				Answer:    time.Second, Headers: headers, Caller: tel.Identity{Number: "+12125550123", Name: `Ada "A" O'Hara`},
			},
			Leg: "b6f0a0a8-0000-4000-8000-000000000001", File: "/spool/m.wav",
		}
		line, err := d.line()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, uri := range map[string][]string{
			"names":       {"<sip:+14155550142@pbx.example.net>;reason=no-answer;counter=1,<sip:bob@pbx.example.net>;reason=user-busy;counter=1"},
			"apostrophes": {"<sip:o%27brien@pbx.example.net>;index=1,<sip:+14155550142@pbx.example.net?Reason=SIP%3Bcause%3D486>;index=1.1", "sip_h_X-Voicemail-Condition=deposit"},
		}[name] {
			if !strings.Contains(line, uri) {
				t.Errorf("%s: %s\ndoes not carry %s", name, line, uri)
			}
		}
		if d.Order.Headers[0].Value != headers[0].Value {
			t.Errorf("%s: the order was changed", name)
		}
	}
}
