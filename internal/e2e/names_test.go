package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimNames(t *testing.T)  { onSimulator(t, names(t, false)) }
func TestRealNames(t *testing.T) { onFreeSWITCH(t, names(t, true)) }

const (
	switchName  = "fs.lab.example.test"
	carrierName = "sip.carrier.example.test"
)

// names are a FreeSWITCH and a carrier that the configuration knows by name alone. With ipv6 the name of the first leads to ::1 before it leads
// to 127.0.0.1, and a voicemail system is at ::1 too.
func names(t *testing.T, ipv6 bool) chapter {
	ipv6 = ipv6 && hasIPv6(t)
	c := chapter{ipv6: ipv6}
	var six string
	if ipv6 {
		at := freeAt(t, netip.IPv6Loopback())
		six = fmt.Sprintf("%q, %q, ", "udp:"+at, "tcp:"+at)
	}
	c.configure = func(yaml string) string {
		node := regexp.MustCompile(`    sip: 127\.0\.0\.1:\d+`).FindString(yaml)
		yaml = edit(t, yaml, node, "    sip: "+switchName)
		yaml = edit(t, yaml, "prefixes: ["+carrier+"/32]", "addr: "+carrierName)
		return edit(t, yaml, "  listen: [", "  listen: ["+six)
	}
	c.provision = func(_ *account.Document, stages map[string]*lab.Stage) {
		s := stages["call-to-a-carrier-by-name"]
		at := s.Rig.At().External
		records := map[string][]string{
			"_sip._udp." + switchName:  {fmt.Sprintf("60 IN SRV 20 0 %d four.%s.", at.Port(), switchName)},
			"four." + switchName:       {"60 IN A " + at.Addr().String()},
			"six." + switchName:        {"60 IN AAAA ::1"},
			"_sip._udp." + carrierName: {fmt.Sprintf("60 IN SRV 10 0 %d gw.%s.", s.Caller.Addr().Port(), carrierName)},
			"gw." + carrierName:        {"60 IN A " + carrier},
		}
		if ipv6 {
			records["_sip._udp."+switchName] = append(records["_sip._udp."+switchName], fmt.Sprintf("60 IN SRV 10 0 %d six.%s.", at.Port(), switchName))
		}
		for name, records := range records {
			if err := s.Rig.Publish(name, records...); err != nil {
				t.Error(err)
			}
		}
	}
	all := act{
		{Name: "call-to-a-carrier-by-name", Title: "FreeSWITCH calls a number at the carrier's name: the proxy finds it.", Play: playToCarrier},
		{Name: "node-by-name-caller-hangs-up", Title: "A call by the names of both sides; the caller hangs up.", Line: lab.Line{IPv6: ipv6}, Play: func(ctx context.Context, s *lab.Stage) { playByName(ctx, s, ipv6, true) }},
		{Name: "node-by-name-phone-hangs-up", Title: "A call by the names of both sides; the subscriber hangs up.", Line: lab.Line{IPv6: ipv6}, Play: func(ctx context.Context, s *lab.Stage) { playByName(ctx, s, ipv6, false) }},
	}
	if ipv6 {
		for _, caller := range []bool{true, false} {
			all = append(all, lab.Story{Name: fmt.Sprintf("voicemail-at-ipv6-caller-hangs-up-%v", caller), Title: "The subscriber is busy; the voicemail system is at ::1.", Line: lab.Line{IPv6: true},
				Play: func(ctx context.Context, s *lab.Stage) { playMailAtSix(ctx, s, caller) }})
		}
	}
	c.acts = []act{all}
	return c
}

// hasIPv6 says loudly when this host has no ::1.
func hasIPv6(t *testing.T) bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Run("ipv6", func(t *testing.T) {
			t.Skipf("there is no ::1: FreeSWITCH and voicemail over IPv6 were NOT tested: %v", err)
		})
		return false
	}
	return l.Close() == nil
}

// hangUp ends a call from one of its two sides.
func hangUp(ctx context.Context, s *lab.Stage, byCaller bool, caller, called *lab.Call) {
	if byCaller {
		caller.Hangup()
		s.Ended(ctx, called, "them")
	} else {
		called.Hangup()
		s.Ended(ctx, caller, "them")
	}
}

func playByName(ctx context.Context, s *lab.Stage, ipv6, byCaller bool) {
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	if ipv6 {
		uuid, err := s.Rig.Leg(ctx, c)
		s.Must(err)
		profile := variables(ctx, s, uuid)["sofia_profile_name"]
		s.Check(profile == "external-ipv6", "the call came to the profile %q, want external-ipv6", profile)
	}
	s.Must(c.Reinvite(ctx))
	s.Talk(ctx, c, in)
	hangUp(ctx, s, byCaller, c, in)
	s.Steps(s.Record(ctx, 1), toldRing...)
}

func playMailAtSix(ctx context.Context, s *lab.Stage, byCaller bool) {
	s.Phone.Behave(lab.Refuses(486))
	c := s.Call()
	mail := s.Rings(ctx, s.Mail[0], 1)
	s.Mailbox(mail, 486, "user-busy")
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, mail)
	hangUp(ctx, s, byCaller, c, mail)
	s.Steps(s.Record(ctx, 1), "ring busy", "mailbox answered")
}

// playToCarrier has FreeSWITCH call the carrier by its name, and the carrier hang up.
func playToCarrier(ctx context.Context, s *lab.Stage) {
	s.Caller.Behave(lab.Answers(0))
	answer, err := s.Rig.API(ctx, fmt.Sprintf("originate {originate_timeout=10,sip_route_uri=sip:%s}sofia/external/sip:%s@%s &park()", s.Rig.ProxyAddr(), s.From, carrierName))
	s.Must(err)
	s.Check(len(answer) > 3 && answer[:3] == "+OK", "FreeSWITCH could not call: %s", answer)
	in := s.Rings(ctx, s.Caller, 1)
	s.Clean(in)
	s.Must(in.WaitAcknowledged(ctx))
	in.Hangup()
	s.Must(in.WaitEnded(ctx))
}
