package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func newPair(t *testing.T, b Behaviour) (caller, phone *Agent, trace *Trace) {
	t.Helper()
	trace, names := NewTrace(nil), &Names{}
	var err error
	if caller, err = NewAgent(AgentOptions{Name: ColCaller, Voice: voiceCaller, Trace: trace, Names: names}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(caller.Close)
	if phone, err = NewAgent(AgentOptions{Name: ColPhone, Voice: voicePhone, Trace: trace, Names: names, Behaviour: b}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(phone.Close)
	return caller, phone, trace
}

func place(t *testing.T, caller, phone *Agent, network string) *Call {
	t.Helper()
	c, err := caller.Place(Invite{To: "+493023125001", From: "+498999998001", Display: `"Ada \"L\""`,
		Headers: []string{"Diversion: <sip:+1@a>;reason=no-answer", "Diversion: <sip:+2@b>"}, Via: hop{network, phone.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func summaries(trace *Trace) string {
	var b strings.Builder
	for _, e := range trace.Events() {
		fmt.Fprintf(&b, "%s>%s %s\n", e.From, e.To, e.Summary)
	}
	return b.String()
}

func TestTwoPartiesTalkAndHearEachOther(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ctx := within(t, 10*time.Second)
			caller, phone, trace := newPair(t, Answers(20*time.Millisecond))
			out := place(t, caller, phone, network)
			if err := out.WaitAnswered(ctx); err != nil {
				t.Fatalf("%v\n%s", err, summaries(trace))
			}
			in, err := phone.Incoming(ctx, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(out.WaitHeard(ctx, voicePhone, 5), in.WaitHeard(ctx, voiceCaller, 5)); err != nil {
				t.Fatal(err)
			}
			if got := in.Invite().All("diversion"); len(got) != 2 || got[1] != "<sip:+2@b>" {
				t.Errorf("diversions %q", got)
			}
			if got := in.Invite().DisplayName(); got != `Ada "L"` {
				t.Errorf("display name %q", got)
			}
			in.Hangup()
			if err := out.WaitEnded(ctx); err != nil {
				t.Fatal(err)
			}
			if out.EndedBy() != "them" || in.EndedBy() != "us" {
				t.Errorf("ended by %q and %q", out.EndedBy(), in.EndedBy())
			}
			if _, err := out.WaitStatus(ctx, 180); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCallerGivesUpWhileItRings(t *testing.T) {
	ctx := within(t, 10*time.Second)
	caller, phone, _ := newPair(t, ringsOnly())
	out := place(t, caller, phone, "udp")
	out.Cancel() // before anything was said: it waits for the first answer
	if err := out.WaitEnded(ctx); err != nil {
		t.Fatal(err)
	}
	if out.EndedBy() != "487" {
		t.Errorf("the caller's call ended with %q, want 487", out.EndedBy())
	}
	in, err := phone.Incoming(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !in.Cancelled() || !in.Answered().IsZero() {
		t.Error("the phone was not cancelled")
	}
}

// TestCancelCrossing200HangsUpGhost has the answer arrive at a caller who has given up already.
func TestCancelCrossing200HangsUpGhost(t *testing.T) {
	ctx := within(t, 10*time.Second)
	caller, phone, trace := newPair(t, ringsOnly())
	out := place(t, caller, phone, "udp")
	in, err := phone.Incoming(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	caller.do(func() { out.cancelled = true }) // the CANCEL is on its way and gets lost
	in.Answer()
	if err := in.WaitEnded(ctx); err != nil {
		t.Fatalf("%v\n%s", err, summaries(trace))
	}
	if in.EndedBy() != "them" || out.EndedBy() != "us" {
		t.Errorf("ended by %q and %q, want a BYE of the caller", in.EndedBy(), out.EndedBy())
	}
}

// TestLostMessagesAreRepeated has the first datagram of each kind go nowhere.
func TestLostMessagesAreRepeated(t *testing.T) {
	ctx := within(t, 20*time.Second)
	caller, phone, _ := newPair(t, answersAtOnce())
	dead, err := holdDeadPort(0)
	if err != nil {
		t.Fatal(err)
	}
	lost := hop{"udp", dead.addr}
	out, err := caller.Place(Invite{To: "1", From: "2", Via: lost})
	if err != nil {
		t.Fatal(err)
	}
	caller.do(func() { out.client.to, out.via = hop{"udp", phone.Addr()}, hop{"udp", phone.Addr()} })
	if err := out.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	dead.close()
}

func TestRefusalsArriveAndAreAcknowledged(t *testing.T) {
	for _, status := range []int{486, 603, 480, 503} {
		ctx := within(t, 10*time.Second)
		caller, phone, trace := newPair(t, Refuses(status))
		out := place(t, caller, phone, "udp")
		if err := out.WaitEnded(ctx); err != nil {
			t.Fatal(err)
		}
		if out.EndedBy() != fmt.Sprint(status) {
			t.Errorf("ended by %q, want %d", out.EndedBy(), status)
		}
		if err := phone.wait(ctx, "the ACK", func() bool {
			for _, tx := range phone.servers {
				if tx.acked {
					return true
				}
			}
			return false
		}); err != nil {
			t.Errorf("%v\n%s", err, summaries(trace))
		}
	}
}

func TestSilentPhoneSaysNothing(t *testing.T) {
	ctx := within(t, 10*time.Second)
	caller, phone, _ := newPair(t, Behaviour{})
	out := place(t, caller, phone, "udp")
	if _, err := phone.Incoming(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if got := out.Responses(); len(got) != 0 {
		t.Errorf("a silent phone said %s", got[0].Raw)
	}
}

func TestDeadPortRefusesAtOnceAndIsHeld(t *testing.T) {
	dead, err := holdDeadPort(0)
	if err != nil {
		t.Fatal(err)
	}
	defer dead.close()
	conn, err := net.Dial("udp4", dead.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("INVITE")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Errorf("reading from a dead port gave %v, want connection refused", err)
	}
	if c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(dead.addr)); err == nil {
		c.Close()
		t.Error("another program could take the dead port")
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func TestStreamIsCutIntoMessages(t *testing.T) {
	one := "OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"
	r := bufio.NewReaderSize(strings.NewReader("\r\n\r\n"+one+one), maxMessage)
	for range 2 {
		got, err := ReadMessage(r)
		if err != nil || string(got) != one {
			t.Fatalf("%q, %v", got, err)
		}
	}
	for _, bad := range []string{
		"A: b\r\nContent-Length: -1\r\n\r\n", "A: b\r\nl: 99999999\r\n\r\n", "A: b\r\nContent-Length: x\r\n\r\n",
		strings.Repeat("A: b\r\n", maxMessage/5), "A: b\r\nContent-Length: 3\r\n\r\nab",
	} {
		if _, err := ReadMessage(bufio.NewReaderSize(strings.NewReader(bad), maxMessage)); err == nil {
			t.Errorf("%.40q was taken", bad)
		}
	}
}

func TestSessionDescriptionIsRead(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{offerSDP("x", netip.MustParseAddrPort("127.0.0.1:4000")), "127.0.0.1:4000"},
		{"c=IN IP4 1.2.3.4\r\nm=audio 6 RTP/AVP 0\r\nc=IN IP4 127.0.0.2\r\n", "127.0.0.2:6"},
		{"c=IN IP4 1.2.3.4\r\nm=audio 0 RTP/AVP 0\r\n", ""},
		{"c=IN IP4 x\r\nm=audio 5 RTP/AVP 0\r\n", ""},
		{"m=audio\r\n", ""},
		{"", ""},
	} {
		got, ok := readSDP(c.body)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("readSDP(%q) = %v, %v; want %q", c.body, got, ok, c.want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: \"x\\\"\" <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"))
	f.Add([]byte("SIP/2.0 183 Session Progress\r\nv: SIP/2.0/UDP a\r\nf: <sip:a@b>;tag=1\r\nt: <sip:a@b>\r\ni: 1\r\nCSeq: 1 INVITE\r\nReason: Q.850;cause=16\r\n\r\nv=0"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseMessage(raw)
		if err != nil {
			return
		}
		_ = m.summary() + m.DisplayName() + m.URI() + m.Body() + m.branch() + addressURI(m.Get("contact")) + strings.Join(splitList(m.All("record-route")), "")
		_, _ = readSDP(m.Body())
		_ = serverKey(m)
	})
}
