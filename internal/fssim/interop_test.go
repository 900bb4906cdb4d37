package fssim

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl"
)

// TestLibraryDrivesACall has the project's own Event Socket library, both directions of it, take a call through a
// refused bridge, an answered one and the caller's hangup.
func TestLibraryDrivesACall(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := startSwitch(t, shipped(t, lis.Addr().String()))
	b := newPhone(t)
	result := make(chan string, 10)
	handler := func(ctx context.Context, ses *esl.Session) {
		say := func(err error) {
			if err != nil {
				result <- err.Error()
			}
		}
		say(ses.Linger(ctx, 5*time.Second))
		say(ses.MyEvents(ctx))
		_, err := ses.API(ctx, "sched_del signalbox-"+ses.UUID())
		say(err)
		_, err = ses.Execute(ctx, "set", "continue_on_fail=true")
		say(err)
		for range 2 {
			e, err := ses.Execute(ctx, "bridge", "sofia/external/sip:x@"+b.addr.String())
			say(err)
			if err == nil {
				result <- e.Var("originate_disposition")
			}
		}
		<-ses.Final()
		result <- ses.HangupCause()
	}
	srv, err := esl.NewServer(esl.ServerOptions{Listener: lis, Handler: handler, DrainTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Run(ctx) }()
	defer func() { cancel(); <-done }()
	want := func(w string) {
		t.Helper()
		select {
		case got := <-result:
			if got != w {
				t.Fatalf("got %q, want %q", got, w)
			}
		case <-time.After(patience):
			t.Fatalf("waits in vain for %q", w)
		}
	}
	a := newPhone(t)
	inv := a.call(s.ExternalAddr(), "14155550100")
	a.expect("100")
	m := b.expect("INVITE")
	b.reply(m, 486, "")
	b.expect("ACK")
	want("USER_BUSY")
	m = b.expect("INVITE")
	b.reply(m, 200, testSDP)
	b.expect("ACK")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	conn, err := esl.Dial(ctx, esl.DialOptions{Addr: s.EventSocketAddr().String(), Password: "ClueCon"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := conn.BgAPI(ctx, "expr 40+2"); err != nil || got != "42" {
		t.Errorf("bgapi: %q, %v", got, err)
	}
	a.bye(inv, ok, s.ExternalAddr())
	a.expect("200")
	b.expect("BYE")
	want("SUCCESS")
	want("NORMAL_CLEARING")
}
