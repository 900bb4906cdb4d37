package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimMatrix(t *testing.T)  { onSimulator(t, matrix(t)) }
func TestRealMatrix(t *testing.T) { onFreeSWITCH(t, matrix(t)) }

// matrix is what SIPp, as a carrier, may do with a call, over each transport of a carrier.
func matrix(t *testing.T) chapter {
	c := carrierChapter(t)
	var all act
	if hasSIPp(t) {
		for _, r := range rows() {
			for _, network := range carrierNetworks {
				all = append(all, lab.Story{Name: r.name + "-" + network, Title: r.title, Play: func(ctx context.Context, s *lab.Stage) { r.play(ctx, s, network) }})
			}
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		all = append(all, lab.Story{Name: "cancel-crosses-the-answer-" + network, Title: "The caller gives up as the subscriber answers: nobody is left behind.",
			Play: func(ctx context.Context, s *lab.Stage) { playCrossing(ctx, s, network) }})
	}
	var last act
	if hasSipvicious(t) {
		loud, quiet := newScanned(t).acts()
		all, last = append(loud, all...), quiet
	}
	c.acts = []act{all, last}
	return c
}

// carrierNetworks are the transports of a carrier.
var carrierNetworks = []string{"udp", "tcp", "tls"}

// carrierChapter is a rig whose carrier has a certificate and whose subscribers have no voicemail, with a switch that knows RFC 3262.
func carrierChapter(t *testing.T) chapter {
	return chapter{
		reliable: true,
		configure: func(yaml string) string {
			return edit(t, yaml, "screening: enforce}", "screening: enforce, tls_name: "+carrierDomain+"}")
		},
		provision: func(d *account.Document, _ map[string]*lab.Stage) {
			for i := range d.Numbers {
				d.Numbers[i].Voicemail = nil
			}
		},
	}
}

// row is one scenario.
type row struct {
	name, title string
	script      func(p *script) *script
	phone       lab.Behaviour
	other       func(ctx context.Context, s *lab.Stage, in *lab.Call) // what the other side does meanwhile; nil = as it behaves
	steps       []string                                              // of the record; none = there may be none
}

var (
	answersSoon = lab.Answers(150 * time.Millisecond)
	toldRing    = []string{"ring answered"}
	plainRefer  = "Refer-To: <sip:[service]@[proxy]>"
	sessionTime = []string{"Supported: timer", "Session-Expires: 120;refresher=uac"}
)

// rows are all scenarios of the matrix.
func rows() []row {
	return append([]row{
		{"answered", "Answered; the caller hangs up.", func(p *script) *script { return p.calls().answered().pause(200).hangsUp() }, answersSoon, nil, toldRing},
		{"hung-up-on", "Answered; the subscriber hangs up.", func(p *script) *script { return p.calls().answered().asked("BYE") }, answersSoon, hangsUpSoon, toldRing},
		{"no-answer", "Nobody answers, and there is no voicemail.", func(p *script) *script { return p.calls().refused(480) },
			lab.Behaviour{Ring: true}, nil, []string{"ring no-answer", "notice ended"}},
		{"busy", "Busy, and there is no voicemail.", func(p *script) *script { return p.calls().refused(486) }, lab.Refuses(486), nil, []string{"ring busy", "notice ended"}},
		{"given-up", "The caller gives up while it rings.", func(p *script) *script {
			return p.calls().takes(100).takes(180).pause(100).cancels().takes(200).takes(487).ofInvite("ACK", "[peer_tag_param]")
		}, lab.Behaviour{Ring: true}, stopsRinging, []string{"ring caller-gone"}},
		{"given-up-at-once", "The caller gives up before anybody has said that it rings.", func(p *script) *script {
			return p.calls().takes(100).cancels().gets(200).takes(487).ofInvite("ACK", "[peer_tag_param]")
		}, lab.Behaviour{Ring: true}, nil, nil},
	}, rowsInside()...)
}

// fromSix are calls of a carrier at ::1, to whom the proxy listens at at.
func fromSix(at netip.AddrPort) (all act) {
	for _, r := range rows() {
		switch r.name {
		case "answered", "hung-up-on", "reinvite":
		default:
			continue
		}
		for _, network := range []string{"udp", "tcp"} {
			name := r.name + "-ipv6-" + network
			all = append(all, lab.Story{Name: name, Title: r.title, Play: func(ctx context.Context, s *lab.Stage) {
				ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
				defer cancel()
				r.staged(ctx, s, func() string {
					e := newEdge(s, network, carrier, at, nil)
					defer e.close()
					return r.script(newScript(name)).behind(ctx, s, e)
				})
			}})
		}
	}
	return all
}

// shapes are calls that are written in another way than most.
func shapes() (all act) {
	for _, r := range []row{
		{"tel-uri", "The number is called as a tel URI (RFC 3966).", func(p *script) *script {
			return p.callsBy("tel:[service]", "<tel:[service]>").answered().pause(200).hangsUp()
		}, answersSoon, nil, toldRing},
		{"ported-number", "The number has parameters of its own (RFC 4694), and the URI a user parameter.", func(p *script) *script {
			return p.callsBy("sip:[service];npdi;rn=+4930100@[proxy];user=phone", "<sip:[service];npdi;rn=+4930100@[proxy];user=phone>").answered().pause(200).hangsUp()
		}, answersSoon, nil, toldRing},
		{"ported-number-given-up", "The same as a tel URI; the caller gives up.", func(p *script) *script {
			return p.callsBy("tel:[service];npdi;rn=+4930100", "<tel:[service];npdi;rn=+4930100>").takes(100).takes(180).pause(100).cancels().takes(200).takes(487).ofInvite("ACK", "[peer_tag_param]")
		}, lab.Behaviour{Ring: true}, stopsRinging, []string{"ring caller-gone"}},
		{"folded", "Header lines are folded, and their names written in other ways.", func(p *script) *script {
			return p.calls("s: one"+fold+"two"+fold+"three", "k: timer,"+fold+"replaces", "user-AGENT \t:"+fold+"folded", "Subject :"+fold+"Call-ID: text").answered().pause(200).hangsUp()
		}, answersSoon, nil, toldRing},
	} {
		for _, network := range []string{"udp", "tcp"} {
			all = append(all, lab.Story{Name: r.name + "-" + network, Title: r.title, Play: func(ctx context.Context, s *lab.Stage) { r.play(ctx, s, network) }})
		}
	}
	return all
}

// rowsInside are requests inside a dialog.
func rowsInside() []row {
	return []row{
		{"reinvite", "The caller changes the media.", func(p *script) *script { return p.calls().answered().request("INVITE").answered().hangsUp() }, answersSoon, nil, toldRing},
		{"update", "The caller updates the session (RFC 3311).", func(p *script) *script { return p.calls().answered().request("UPDATE").takes(200).hangsUp() }, answersSoon, nil, toldRing},
		{"subscriber-changes-the-media", "The subscriber's phone sends INVITE and UPDATE inside its dialog: the caller's goes on, and ends with it.", func(p *script) *script {
			return p.calls().answered().asked("BYE")
		}, answersSoon, changesMediaBehind, toldRing},
		{"session-timer", "The session has a timer, refreshed by UPDATE and by INVITE (RFC 4028).", func(p *script) *script {
			return p.calls(sessionTime...).answered().request("UPDATE", sessionTime...).takes(200).request("INVITE", sessionTime...).answered().hangsUp()
		}, answersSoon, nil, toldRing},
		{"session-timer-too-short", "FreeSWITCH wants a longer one: 422 with Min-SE reaches the caller.", func(p *script) *script {
			return p.calls("Supported: timer", "Session-Expires: 90").has("Min-SE", "120").refused(422)
		}, answersSoon, nil, nil},
		{"prack", "The 180 is acknowledged by PRACK (RFC 3262).", func(p *script) *script {
			return p.calls("Require: 100rel").ringsReliably().request("PRACK", "RAck: [$1] 1 INVITE").takes(200).answered().hangsUp()
		}, lab.Answers(300 * time.Millisecond), nil, toldRing},
		{"prack-of-nothing", "A PRACK that fits no response is answered 481 by FreeSWITCH, and the call goes on.", func(p *script) *script {
			return p.calls("Require: 100rel").ringsReliably().request("PRACK", "RAck: 1 1 INVITE").takes(481).request("PRACK", "RAck: [$1] 1 INVITE").takes(200).answered().hangsUp()
		}, lab.Answers(300 * time.Millisecond), nil, toldRing},
		{"info", "INFO and OPTIONS inside the dialog.", func(p *script) *script {
			return p.calls().answered().request("INFO").takes(200).request("OPTIONS").takes(200).hangsUp()
		}, answersSoon, nil, toldRing},
		{"refer", "The caller transfers the subscriber (RFC 3515): 202, NOTIFY, BYE; the number is called for the subscriber.", func(p *script) *script {
			// FreeSWITCH accepts a REFER that comes before it has joined the two, and transfers nobody.
			return p.calls().answered().pause(300).request("REFER", plainRefer).takes(202).asked("NOTIFY").asked("BYE")
		}, answersSoon, transferred, toldRing},
		{"refer-hostile", "Transfers to a command, and to a host of the caller's choice: 403, and the call goes on.", func(p *script) *script {
			return p.calls().answered().request("REFER", "Refer-To: <sip:${system(touch [mark])}@[proxy]>").takes(403).
				request("REFER", "Refer-To: <sip:x@[operator]?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>").takes(403).
				request("REFER", "Refer-To: <sip:[service]@[proxy]>", plainRefer).takes(403).request("INFO").takes(200).hangsUp()
		}, answersSoon, func(ctx context.Context, s *lab.Stage, in *lab.Call) {
			s.Ended(ctx, in, "them")
			s.Untouched(s.Operator)
			nothingRan(ctx, s, 1)
		}, toldRing},
	}
}

// hangsUpSoon has the subscriber hang up when the answer was acknowledged.
func hangsUpSoon(ctx context.Context, s *lab.Stage, in *lab.Call) {
	s.Must(in.WaitAcknowledged(ctx))
	pause(ctx, 200*time.Millisecond)
	in.Hangup()
}

// changesMediaBehind has the subscriber's phone change the media, update the session and hang up.
func changesMediaBehind(ctx context.Context, s *lab.Stage, in *lab.Call) {
	s.Must(in.WaitAcknowledged(ctx))
	pause(ctx, 200*time.Millisecond) // FreeSWITCH connects the two
	s.Must(in.Reinvite(ctx))
	s.Must(in.Update(ctx))
	s.Must(in.Reinvite(ctx))
	s.Check(in.EndedBy() == "", "the call was ended by %q while the phone changed its media", in.EndedBy())
	in.Hangup()
}

func stopsRinging(ctx context.Context, s *lab.Stage, in *lab.Call) {
	s.Must(in.WaitEnded(ctx))
	s.Check(in.Cancelled(), "the phone ended with %q, want a CANCEL", in.EndedBy())
}

// transferred is a subscriber who is transferred to the own number: the phone rings once more, and hears itself.
func transferred(ctx context.Context, s *lab.Stage, in *lab.Call) {
	again := s.Rings(ctx, s.Phone, 2)
	s.Clean(again)
	s.Must(again.WaitAcknowledged(ctx))
	again.Hangup()
	s.Ended(ctx, in, "them")
}

func (r row) play(ctx context.Context, s *lab.Stage, network string) {
	r.staged(ctx, s, func() string { return r.script(newScript(r.name+"-"+network)).play(ctx, s, network, nil) })
}

// staged has the other side do what it does while the caller plays, and looks at what is left of the call.
func (r row) staged(ctx context.Context, s *lab.Stage, caller func() (id string)) {
	s.Phone.Behave(r.phone)
	var id string
	s.Together(func() { id = caller() }, func() {
		if r.other != nil {
			r.other(ctx, s, s.Rings(ctx, s.Phone, 1))
		}
	})
	if r.steps != nil {
		allSteps(s, recordsOf(ctx, s, id, 1), r.steps...)
	}
	for _, in := range s.Phone.Calls() {
		s.Must(in.WaitEnded(ctx))
	}
}

// play has SIPp play the scenario as the carrier, and gives the end of its Call-IDs. What it says inside the dialog waits at the gate, if
// there is one.
func (p *script) play(ctx context.Context, s *lab.Stage, network string, g *gate) (id string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	e := newEdge(s, network, carrier, carrierDoor(s, network), g)
	defer e.close()
	return p.behind(ctx, s, e)
}

// behind is the carrier behind an edge.
func (p *script) behind(ctx context.Context, s *lab.Stage, e *edge) (id string) {
	return p.run(ctx, s, e, carrier, "-s", s.Number, "-key", "caller", s.From, "-key", "mark", mark(s), "-key", "operator", s.Operator.Addr().String())
}

// carrierDoor is where the proxy takes carriers over a network.
func carrierDoor(s *lab.Stage, network string) netip.AddrPort {
	if network == "tls" {
		return s.Rig.ProxyTLSAddr()
	}
	return s.Rig.ProxyAddr()
}

// run has SIPp play the scenario behind an edge.
func (p *script) run(ctx context.Context, s *lab.Stage, e *edge, ip string, further ...string) (id string) {
	port := sippPort(s)
	file, err := p.write(s.Rig.Dir())
	s.Must(err)
	e.expect(netip.MustParseAddrPort(net.JoinHostPort(ip, port)))
	id = "sipp-" + port
	errors, messages := filepath.Join(s.Rig.Dir(), id+".log"), filepath.Join(s.Rig.Dir(), id+".messages")
	args := slices.Concat([]string{e.inner.LocalAddr().String(), "-sf", file, "-key", "via", e.via(), "-key", "contact", e.contact(), "-key", "proxy", e.proxy.String(),
		"-i", ip, "-p", port, "-m", fmt.Sprint(max(1, p.many)), "-cid_str", "%u-%p@" + id, "-nostdin", "-timeout", "25s", "-timeout_error",
		"-trace_err", "-error_file", errors, "-trace_msg", "-message_file", messages}, further)
	out, err := exec.CommandContext(ctx, "sipp", args...).CombinedOutput()
	if err != nil {
		why, _ := exec.CommandContext(context.WithoutCancel(ctx), "cat", errors, messages).Output()
		s.Fail("SIPp, %s: %w\n%s\n%s", p.name, err, tail(string(out), 1000), why)
	}
	return id
}

// playCrossing sends CANCEL and answer at one moment, a little later or earlier each time. Either the caller gets 487 and the call is taken
// back, or he has it and hangs up; neither leg outlives the other.
// endedOrForgotten waits until a phone's leg is over. FreeSWITCH 1.10.12 now and then gives up a leg in the very moment of its 200 and
// sends it neither BYE, nor always ACK (sofia_on_hangup sends CANCEL, which is too late, until the channel counts as answered); it has no channel for it any more, so that nobody but the phone can end it.
func endedOrForgotten(ctx context.Context, s *lab.Stage, in *lab.Call) (forgotten int) {
	limit, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err := in.WaitEnded(limit)
	if err == nil {
		return 0
	}
	s.Check(s.Rig.Real(), "the phone's leg is left behind: %v", err)
	s.Tell("FreeSWITCH has forgotten the phone's leg")
	in.Hangup()
	return 1
}

// playCrossing crosses a caller's CANCEL with the answer of the phone.
func playCrossing(ctx context.Context, s *lab.Stage, network string) {
	s.Phone.Behave(lab.Behaviour{Ring: true})
	var ends []string
	forgotten := 0
	for n := range 8 {
		c := placeOver(s, network, lab.Invite{})
		in := s.Rings(ctx, s.Phone, n+1)
		s.Status(ctx, c, 180)
		s.Together(func() { pause(ctx, time.Duration(max(0, n-4))*5*time.Millisecond); c.Cancel() },
			func() { pause(ctx, time.Duration(max(0, 4-n))*5*time.Millisecond); in.Answer() })
		c.Hangup() // if he was too late to give up
		s.Must(c.WaitEnded(ctx))
		forgotten += endedOrForgotten(ctx, s, in)
		ends = append(ends, fmt.Sprintf("%s/%s", c.EndedBy(), in.EndedBy()))
		s.Record(ctx, n+1)
	}
	s.Check(forgotten <= 2, "FreeSWITCH has forgotten %d of 8", forgotten)
	s.Tell("caller and phone ended: %s", strings.Join(ends, " "))
	s.NextCallWorks(ctx, 8)
}
