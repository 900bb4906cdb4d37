package call

import (
	"net/netip"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// Evidence says where the facts of an Arrival came from.
type Evidence string

// The sources of evidence, best first.
const (
	// EvidenceToken is the proxy's signed header, checked.
	EvidenceToken Evidence = "token"
	// EvidenceVariables is what FreeSWITCH's channel variables still know; nothing in it authorises anything.
	EvidenceVariables Evidence = "variables"
)

// Arrival is one call as it came to us: who called, who was called, who diverted and why.
type Arrival struct {
	UUID       string             // FreeSWITCH's A-leg
	CallID     string             // SIP Call-ID of the A-leg
	Node       string             // the FreeSWITCH node
	Context    string             // dialplan context the call came in by
	Dialled    string             // destination as FreeSWITCH hunts it, untouched
	To         tel.Number         // Dialled in E.164, or the host's number when Access is set; "" = not a number
	Access     tel.Number         // number of many hosts that was dialled; "" = none, To is what was dialled
	From       tel.Identity       // the caller as presented, and whether withheld
	Diversions []tel.Diversion    // newest first (RFC 5806 section 4)
	History    []tel.HistoryEntry // oldest first (RFC 7044)
	Returned   bool               // it is a call of ours to a host, which has come back inside our own network
	PilotsOnly bool               // a phone's call: nobody is served but who dials a pilot
	Line       account.Device     // the line that FreeSWITCH authenticated; User "" = none
	OwnNumber  bool               // From is a number of Line: the password proves it
	FromHosts  []string           // hosts by which the caller's side names itself, in From and Contact; anybody may write them
	Called     tel.Number         // P-Called-Party-ID (RFC 7315 section 4.2); "" = none
	Target     string             // RFC 4458 target of the Request-URI, "" = none
	Cause      int                // RFC 4458 cause of the Request-URI, 0 = none
	Verdict    Verdict
	Evidence   Evidence
	Trunk      string         // name of the trunk; "" = unknown
	Source     netip.AddrPort // who sent the INVITE to us; zero = unknown
	At         time.Time      // when it reached us
}
