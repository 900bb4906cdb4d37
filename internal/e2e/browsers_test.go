package e2e

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// browsers are phones, played by SIPp, that register by WebSocket, are called and call.
type browsers map[string]netip.AddrPort // where the proxy takes them, by transport

func newBrowsers(t *testing.T) browsers {
	b := make(browsers)
	for _, network := range []string{"ws", "wss"} {
		b[network] = netip.MustParseAddrPort(freeAt(t, proxyAt))
	}
	return b
}

// proxyAt is an address of the proxy's.
var proxyAt = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func (b browsers) configure(t *testing.T, yaml string) string {
	return edit(t, yaml, `devices: {listen: [`, `devices: {listen: ["ws:`+b["ws"].String()+`", "wss:`+b["wss"].String()+`", `)
}

func (b browsers) act() (all act) {
	for _, r := range browserRows() {
		for network, at := range b {
			all = append(all, lab.Story{Name: r.name + "-" + network, Title: r.title, Line: lab.Line{Phone: lab.PhoneAbsent},
				Play: func(ctx context.Context, s *lab.Stage) { r.play(ctx, s, network, at) }})
		}
	}
	for _, r := range browserCalls() {
		for network, at := range b {
			all = append(all, lab.Story{Name: r.name + "-" + network, Title: r.title, Play: func(ctx context.Context, s *lab.Stage) { r.playAsBrowser(ctx, s, network, at) }})
		}
	}
	for _, network := range []string{"udp", "tcp"} { // phones behind the proxy that are no browsers
		all = append(all, lab.Story{Name: "phone-changes-the-media-" + network, Title: "A phone behind the proxy sends INVITE and UPDATE inside the dialog, and hangs up.",
			Line: lab.Line{Phone: lab.PhoneAbsent}, Play: func(ctx context.Context, s *lab.Stage) {
				changesMedia.play(ctx, s, network, s.Rig.DevicesAddr())
			}})
	}
	return all
}

// browserCalls are calls that a browser makes, to a phone of the switch.
func browserCalls() []row {
	return []row{
		{"browser-calls", "It calls, changes the media by INVITE and UPDATE, and hangs up.", func(p *script) *script {
			return p.answered().pause(200).request("INVITE").answered().request("UPDATE").takes(200).hangsUp()
		}, answersSoon, nil, toldRing},
		{"browser-calls-and-is-hung-up-on", "It calls; the other side hangs up.", func(p *script) *script { return p.answered().asked("BYE") }, answersSoon, hangsUpSoon, toldRing},
		{"browser-calls-who-is-busy", "It calls somebody who is busy.", func(p *script) *script { return p.refused(486) }, lab.Refuses(486), nil, []string{"ring busy", "notice ended"}},
		{"browser-gives-up", "It gives up while it rings.", func(p *script) *script {
			return p.takes(100).takes(180).pause(100).cancels().takes(200).takes(487).ofInvite("ACK", "[peer_tag_param]")
		}, lab.Behaviour{Ring: true}, stopsRinging, []string{"ring caller-gone"}},
	}
}

// playAsBrowser plays a row whose caller is a browser that has registered.
func (r row) playAsBrowser(ctx context.Context, s *lab.Stage, network string, at netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	e := newEdge(s, network, phoneAt.String(), at, nil)
	defer e.close()
	password := s.Rig.At().UserPassword
	keys := []string{"-s", s.Number, "-key", "caller", s.User(), "-key", "domain", s.Rig.At().Domain}
	newScript("registers-"+r.name+"-"+network).registers(s.User(), password).run(ctx, s, e, phoneAt.String(), keys...)
	e.expect(netip.AddrPort{})
	r.staged(ctx, s, func() string {
		return r.script(newScript(r.name+"-"+network).dials(s.User(), password)).run(ctx, s, e, phoneAt.String(), keys...)
	})
}

// fromPhones is an operator's extension by which the phones of vanilla's context call subscribers as carriers do. Behind ours for
// pilots it takes off the mark that the number was handed back there.
const fromPhones = `<include>
  <extension name="subscribers">
    <condition field="destination_number" expression="^\+49302312\d{4,}$">
      <action application="unset" data="signalbox_handed_back"/>
      <action application="transfer" data="${destination_number} XML public"/>
    </condition>
  </extension>
</include>
`

// browserRow is one scenario of a phone that is called.
type browserRow struct {
	name, title string
	script      func(p *script) *script
	caller      func(ctx context.Context, s *lab.Stage, c *lab.Call)
	steps       []string // of the record
}

// callerReleased is a caller who is answered and hung up on.
func callerReleased(ctx context.Context, s *lab.Stage, c *lab.Call) {
	s.WaitAnswered(ctx, c)
	s.Ended(ctx, c, "them")
}

var changesMedia = browserRow{"browser-changes-the-media", "It answers, sends INVITE and UPDATE inside the dialog, and hangs up.", func(p *script) *script {
	return p.takesCall().pause(200).request("INVITE").answered().request("UPDATE").takes(200).hangsUp()
}, callerReleased, toldRing}

func browserRows() []browserRow {
	return []browserRow{
		{"browser-is-hung-up-on", "It answers; the caller hangs up.", func(p *script) *script { return p.takesCall().asked("BYE") },
			func(ctx context.Context, s *lab.Stage, c *lab.Call) {
				s.WaitAnswered(ctx, c)
				pause(ctx, 200*time.Millisecond)
				c.Hangup()
			}, toldRing},
		{"browser-hangs-up", "It answers and hangs up.", func(p *script) *script { return p.takesCall().pause(200).hangsUp() }, callerReleased, toldRing},
		changesMedia,
		{"browser-is-busy", "It is busy.", func(p *script) *script { return p.refusesCall("486 Busy Here", "[last_CSeq:]") },
			func(ctx context.Context, s *lab.Stage, c *lab.Call) { s.Ended(ctx, c, "486") }, []string{"ring busy", "notice ended"}},
		{"browser-is-given-up", "It rings; the caller gives up.", func(p *script) *script { return p.asked("CANCEL").refusesCall("487 Request Terminated", "CSeq: [$5]") },
			func(ctx context.Context, s *lab.Stage, c *lab.Call) {
				s.Status(ctx, c, 180)
				c.Cancel()
				s.Ended(ctx, c, "487")
			}, []string{"ring caller-gone"}},
	}
}

func (r browserRow) play(ctx context.Context, s *lab.Stage, network string, at netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	e := newEdge(s, network, phoneAt.String(), at, nil)
	defer e.close()
	keys := []string{"-key", "caller", s.User(), "-key", "domain", s.Rig.At().Domain}
	newScript("registers-"+r.name+"-"+network).registers(s.User(), s.Rig.At().UserPassword).run(ctx, s, e, phoneAt.String(), keys...)
	e.expect(netip.AddrPort{})
	s.Together(func() {
		r.script(newScript(r.name+"-"+network).isCalled()).run(ctx, s, e, phoneAt.String(), keys...)
	}, func() {
		s.Must(eventually(ctx, 5*time.Second, e.hasSIPp))
		c := s.Call()
		r.caller(ctx, s, c)
		s.Steps(s.Record(ctx, 1), r.steps...)
	})
}
