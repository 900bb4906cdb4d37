package mailbox

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// TestASystemLearnsNoPrivateNumber: who diverted the call and wants to be private is told to the system of his own mailbox alone.
func TestASystemLearnsNoPrivateNumber(t *testing.T) {
	const host, first = tel.Number("+14155550100"), tel.Number("+14155550177")
	arrival := call.Arrival{To: host, From: tel.Identity{Number: "+12125550123"}, Diversions: tel.ParseDiversions([]string{
		"<sip:" + string(first) + "@carrier.example>;reason=unconditional;privacy=full",
	}, "US"), History: tel.ParseHistory([]string{"<sip:" + string(first) + "@carrier.example?Privacy=history>;index=1, <sip:" + string(host) + "@pbx.example.net>;index=1.1"})}
	for owner, hidden := range map[tel.Number]tel.Number{host: first, first: ""} {
		order := Order(arrival, call.Mailbox{Condition: call.Deposit, Pilot: "+18056377243", Number: owner, AnswerTimeout: time.Second},
			account.VoicemailSystem{FQDN: "vm.example.net"}, Target{Addr: netip.MustParseAddrPort("192.0.2.1:5060")}, call.Busy, Settings{Domain: "pbx.example.net"}, time.Minute)
		text := order.Voicemail.Target
		for _, h := range order.Headers {
			text += "\n" + h.Name + ": " + h.Value
		}
		if hidden != "" && strings.Contains(text, string(hidden[1:])) || !strings.Contains(text, string(owner[1:])) || !strings.Contains(text, "index=1.1.1") {
			t.Errorf("mailbox of %s: the system reads\n%s", owner, text)
		}
	}
}
