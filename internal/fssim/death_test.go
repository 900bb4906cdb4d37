package fssim

import (
	"fmt"
	"testing"
	"time"
)

// The deaths of a controller, with the shipped include and an operator's own extension behind it that answers 486.

func TestNobodyListensOperatorsDialplanAtOnce(t *testing.T) {
	s := startSwitch(t, shipped(t, "127.0.0.1:1|127.0.0.1:2"))
	a := newPhone(t)
	began := time.Now()
	a.call(s.ExternalAddr(), "14155550100")
	a.expect("100")
	if got := a.expect("486").reason; got != "Operator Ran" {
		t.Errorf("phrase %q", got)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("the fallback took %v", d)
	}
}

func TestControllerNeverAnswersGuardSendsTheCallOn(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	a := newPhone(t)
	began := time.Now()
	a.call(s.ExternalAddr(), "14155550100")
	a.expect("100")
	side.accept() // and not a word
	if got := a.expect("486").reason; got != "Operator Ran" {
		t.Errorf("phrase %q", got)
	}
	if d := time.Since(began); d < 1900*time.Millisecond || d > 4*time.Second {
		t.Errorf("the guard fired after %v", d)
	}
}

func TestControllerFreezesAfterConnectGuardSendsTheCallOn(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	a := newPhone(t)
	a.call(s.ExternalAddr(), "14155550100")
	a.expect("100")
	c, _ := side.serve()
	c.start("sleep", "30000")
	if got := a.expect("486").reason; got != "Operator Ran" {
		t.Errorf("phrase %q", got)
	}
}

func TestControllerHandsBackWithExit(t *testing.T) {
	_, a, _, c, _, _ := plainCall(t, nil)
	if got := c.cmd("exit"); got != "+OK bye" {
		t.Errorf("exit: %q", got)
	}
	if got := a.expect("486").reason; got != "Operator Ran" {
		t.Errorf("phrase %q", got)
	}
	if d := c.notice().Header.Get("Content-Disposition"); d != "disconnect" {
		t.Errorf("notice %q", d)
	}
	c.gone()
}

func TestControllerKilledWhileBRingsCancelsAtOnce(t *testing.T) {
	_, a, _, c, _, _ := plainCall(t, nil)
	b := newPhone(t)
	c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	b.reply(m, 180, "")
	a.expect("180")
	began := time.Now()
	c.conn.Close()
	b.expect("CANCEL")
	b.reply(m, 487, "")
	if got := a.expect("486").reason; got != "Operator Ran" {
		t.Errorf("phrase %q", got)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("the fallback took %v", d)
	}
}

func TestControllerKilledDuringPlayback(t *testing.T) {
	for _, resume := range []bool{true, false} {
		t.Run(fmt.Sprintf("socket_resume=%v", resume), func(t *testing.T) {
			_, a, _, c, _, _ := plainCall(t, nil)
			c.execute("set", fmt.Sprintf("socket_resume=%v", resume))
			c.start("playback", "tone_stream://%(1500,0,440)")
			a.expect("183")
			began := time.Now()
			c.conn.Close()
			a.expect("486")
			d := time.Since(began)
			if resume && d > time.Second {
				t.Errorf("the prompt was not interrupted: %v", d)
			}
			if !resume && d < time.Second {
				t.Errorf("the prompt was interrupted after %v", d)
			}
		})
	}
}

func TestControllerKilledWhileTwoTalkTheyGoOn(t *testing.T) {
	s, a, inv, c, uuid, _ := plainCall(t, nil)
	in := link(t, s)
	in.cmd("event plain CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE")
	b := newPhone(t)
	c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	bok := b.reply(m, 200, testSDP)
	b.expect("ACK")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	c.event("CHANNEL_BRIDGE")
	if got := in.api("uuid_getvar " + uuid + " signalbox_stage"); got != "talked" {
		t.Errorf("stage while they talk: %q", got)
	}
	c.conn.Close()
	if got := in.api("uuid_exists " + uuid); got != "true" {
		t.Errorf("uuid_exists: %q", got)
	}
	a.nothing()
	b.nothing()
	b.byeCaller(m, bok, s.ExternalAddr())
	b.expect("200")
	bye := a.expect("BYE") // released, and not sent to the operator's extension
	a.reply(bye, 200, "")
	for {
		e := in.next()
		if e.Get("Application-Data") == "operator=ran" {
			t.Error("the operator's extension ran after the conversation")
		}
		if e.Name() == "CHANNEL_HANGUP_COMPLETE" && e.UUID() == uuid {
			if got := e.Var("hangup_cause"); got != "NORMAL_CLEARING" {
				t.Errorf("hangup_cause %q", got)
			}
			return
		}
	}
}

func TestControllerNeverConnectsCallerGone(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	a := newPhone(t)
	inv := a.call(s.ExternalAddr(), "14155550100")
	a.expect("100")
	c := side.accept()
	a.cancel(inv, s.ExternalAddr())
	a.expect("200")
	a.expect("487")
	c.notice()
	c.gone()
}

func TestSecondControllerIsTriedWhenTheFirstIsGone(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, "127.0.0.1:1|"+side.addr()+"/here"))
	a := newPhone(t)
	a.call(s.ExternalAddr(), "14155550100")
	a.expect("100")
	c, data := side.serve()
	if got := data.Var("socket_path"); got != "here" {
		t.Errorf("socket_path %q", got)
	}
	if got := c.cmd("exit"); got != "+OK bye" {
		t.Errorf("exit: %q", got)
	}
	a.expect("486")
}

func TestTheOtherLegOutlivesNobody(t *testing.T) {
	s, a, inv, c, _, _ := plainCall(t, nil)
	b := newPhone(t)
	id := c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	m := b.expect("INVITE")
	bok := b.reply(m, 200, testSDP)
	b.expect("ACK")
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	c.event("CHANNEL_BRIDGE")
	b.byeCaller(m, bok, s.ExternalAddr())
	b.expect("200")
	e := c.wait(id)
	if got := e.Var("last_bridge_hangup_cause"); got != "NORMAL_CLEARING" {
		t.Errorf("last_bridge_hangup_cause %q", got)
	}
	if e.Get("Answer-State") != "answered" {
		t.Errorf("the caller's leg: %s", e.Get("Answer-State"))
	}
	// The controller still has the caller, who can hear more.
	c.execute("playback", "silence_stream://50")
	c.start("hangup", "")
	a.expect("BYE")
}
