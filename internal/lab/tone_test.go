package lab

import (
	"errors"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/sound"
)

// Two parties with tones of their own hear each other, and nobody else; one that falls silent is heard no more.
func TestPartiesHearEachOthersTones(t *testing.T) {
	ctx := within(t, 10*time.Second)
	names, trace := new(Names), NewTrace(nil)
	party := func(name string, hz float64) *Agent {
		a, err := NewAgent(AgentOptions{Name: name, Voice: voiceCaller, Hz: hz, Trace: trace, Names: names, Behaviour: answersAtOnce()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		return a
	}
	caller, phone := party("low", 440), party("high", 620)
	out := place(t, caller, phone, "udp")
	in, err := phone.Incoming(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.WaitHears(ctx, []float64{620}, 440, 620), in.WaitHears(ctx, []float64{440}, 440, 620)); err != nil {
		t.Fatal(err)
	}
	if got := in.Hears(440, 620); len(got) != 1 || got[0] != 440 {
		t.Errorf("it hears %v", got)
	}
	out.Sing(0)
	if err := errors.Join(in.WaitQuiet(ctx), in.WaitHears(ctx, nil, 440, 620)); err != nil {
		t.Error(err)
	}
	out.Sing(770)
	if err := errors.Join(in.WaitSound(ctx), in.WaitHears(ctx, []float64{770}, 440, 620, 770)); err != nil {
		t.Error(err)
	}
	short := within(t, 400*time.Millisecond)
	if err := in.WaitHears(short, []float64{440}, 440, 770); err == nil {
		t.Error("it is said to hear what nobody plays")
	}
}

// Keys pressed in the voice are heard there; INFO is answered; the packets of events say what RFC 4733 has them say.
func TestPartiesPressKeys(t *testing.T) {
	ctx := within(t, 10*time.Second)
	names, trace := new(Names), NewTrace(nil)
	caller, err := NewAgent(AgentOptions{Name: "caller", Voice: voiceCaller, Hz: 440, Trace: trace, Names: names})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(caller.Close)
	phone, err := NewAgent(AgentOptions{Name: "phone", Voice: voicePhone, Hz: 620, Trace: trace, Names: names, Behaviour: answersAtOnce()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(phone.Close)
	out := place(t, caller, phone, "udp")
	in, err := phone.Incoming(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.WaitHears(ctx, []float64{440}, 440); err != nil {
		t.Fatal(err)
	}
	if err := out.Press(ctx, "5", KeysInBand); err != nil {
		t.Fatal(err)
	}
	if err := phone.wait(ctx, "the key is heard", func() bool {
		samples, _ := in.media.ear.last(time.Time{}, time.Now())
		var d sound.Detector
		return string(d.Hear(samples)) == "5"
	}); err != nil {
		t.Error(err)
	}
	if err := out.Press(ctx, "1*", KeysAsInfo); err != nil {
		t.Error(err)
	}
	for _, keys := range []string{"x", "1 2"} {
		if err := out.Press(ctx, keys, KeysAsEvents); err == nil {
			t.Errorf("%q was pressed", keys)
		}
	}
	p := &press{key: '#', stamp: 7}
	var packets [][]byte
	seq := uint16(65535)
	for p.sent = 1; p.sent <= pressFrames; p.sent++ {
		p.event(make([]byte, 12), &seq, func(b []byte) { packets = append(packets, append([]byte(nil), b...)) })
	}
	if len(packets) != pressFrames+2 || packets[0][1] != 0x80|eventPayload || packets[1][1] != eventPayload || packets[0][12] != 11 ||
		packets[pressFrames-2][13]&0x80 != 0 || packets[pressFrames-1][13]&0x80 == 0 || packets[pressFrames+1][3] != pressFrames {
		t.Errorf("the packets of an event are wrong: %x", packets)
	}
}
