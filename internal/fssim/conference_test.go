package fssim

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/esl/wire"
)

// confEvents collects the conference's events of an inbound link up to and with an action.
func confEvents(c *controller, last string) (string, *wire.Event) {
	c.t.Helper()
	var out []string
	for {
		e := c.event("CUSTOM")
		a := e.Get("Action")
		if id := e.Get("Member-ID"); id != "" {
			a += " " + id
		}
		out = append(out, a+"/"+e.Get("Conference-Size"))
		if e.Get("Action") == last {
			return strings.Join(out, ","), e
		}
	}
}

// answered is a caller who is answered and whose controller has the call.
func answeredCall(t *testing.T, s *Switch, side *sidecar) (p *phone, inv, ok *sipMessage, c *controller, uuid string) {
	t.Helper()
	p = newPhone(t)
	inv = p.call(s.ExternalAddr(), "14155550100")
	p.expect("100")
	c, data := side.serve()
	c.execute("answer", "")
	ok = p.expect("200")
	p.ack(inv, ok, s.ExternalAddr())
	return p, inv, ok, c, data.UUID()
}

// TestTwoInARoom: two callers meet, one has the flag endconf; when he hangs up the other is sent out and, because
// hangup_after_conference is false, goes on.
func TestTwoInARoom(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	in := link(t, s)
	in.cmd("event plain CUSTOM conference::maintenance")
	host, hostInv, hostOK, hc, _ := answeredCall(t, s, side)
	_, _, _, gc, guest := answeredCall(t, s, side)
	gc.execute("set", "hangup_after_conference=false")
	hc.start("conference", "room@default+flags{endconf|moderator}")
	got, _ := confEvents(in, "floor-change")
	if want := "conference-create/0,add-member 1/1,floor-change 1/1"; got != want {
		t.Errorf("the first to come:\n got %s\nwant %s", got, want)
	}
	id := gc.start("conference", "room@default+flags{mute}")
	got, e := confEvents(in, "add-member")
	if got != "add-member 2/2" || e.UUID() != guest || e.Get("Speak") != "false" || e.Get("Conference-Name") != "room" {
		t.Errorf("the second: %s %s", got, e.UUID())
	}
	if got := in.api("conference room list"); !strings.Contains(got, ";hear;0;0;100\n1;") || !strings.Contains(got, "hear|speak|floor|moderator") {
		t.Errorf("list: %q", got)
	}
	if got := in.api("conference room unmute 2"); got != "+OK unmute 2\n" {
		t.Errorf("unmute: %q", got)
	}
	in.api("conference room lock")
	if got, _ := confEvents(in, "lock"); got != "unmute-member 2/2,lock/2" {
		t.Errorf("events of commands: %s", got)
	}
	host.bye(hostInv, hostOK, s.ExternalAddr())
	host.expect("200")
	if got, _ := confEvents(in, "conference-destroy"); got != "floor-change/2,del-member 1/1,floor-change 2/1,floor-change/1,del-member 2/0,conference-destroy/0" {
		t.Errorf("the end: %s", got)
	}
	gc.wait(id)
	if got := in.api("uuid_exists " + guest); got != "true" {
		t.Errorf("the guest was to go on: %s", got)
	}
	if got := in.api("conference room list"); got != "-ERR Conference room not found\n" {
		t.Errorf("the room stays: %q", got)
	}
	gc.start("conference", "nowhere@default+flags{join-only}")
	if got, _ := confEvents(in, "rejected-join-only"); got != "rejected-join-only/" {
		t.Errorf("join-only: %s", got)
	}
}

// TestDigitsFromTheVoiceStream: a caller presses keys as RFC 4733 has it, every packet of the end three times.
func TestDigitsFromTheVoiceStream(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	_, _, ok, c, _ := answeredCall(t, s, side)
	ip, port := mediaOf(ok.body)
	conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(atoi(port))).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	id := c.start("play_and_get_digits", "1 4 1 5000 # silence_stream://-1 silence_stream://10 choice [0-9]+ 5000")
	for i, key := range []byte{4, 2, 11} {
		p := make([]byte, 16)
		p[0], p[1] = 0x80, 101
		binary.BigEndian.PutUint32(p[4:], uint32(i)*4000)
		p[12] = key
		for n := range 5 {
			if n >= 2 {
				p[13] = 0x80
			}
			binary.BigEndian.PutUint16(p[14:], uint16(min(n+1, 3)*400))
			if _, err := conn.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if e := c.event("DTMF"); e.Get("DTMF-Digit") != string(rtpKeys[key]) || e.Get("DTMF-Source") != "RTP" || e.Get("DTMF-Duration") != "1200" {
			t.Errorf("DTMF %s %s %s", e.Get("DTMF-Digit"), e.Get("DTMF-Source"), e.Get("DTMF-Duration"))
		}
	}
	done := c.wait(id)
	if got := done.Var("choice"); got != "42" {
		t.Errorf("collected %q", got)
	}
	if got := done.Var("read_terminator_used"); got != "#" {
		t.Errorf("terminator %q", got)
	}
}
