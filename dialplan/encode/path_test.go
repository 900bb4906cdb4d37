package encode

import (
	"errors"
	"testing"
)

func TestPath(t *testing.T) {
	if got, err := Path("/var/spool/signalbox/a-1.wav"); err != nil || got != "/var/spool/signalbox/a-1.wav" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "a.wav", "/a b.wav", "/a,b.wav", "/a'b.wav", "/${x}.wav", "/a\nb"} {
		if _, err := Path(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestDeliver(t *testing.T) {
	got, err := Deliver("{^^#a=b}sofia/external/sip:1@h", "/spool/m.wav", 8000)
	want := "{^^#a=b}sofia/external/sip:1@h 'playback:silence_stream://8000,playback:/spool/m.wav,set:signalbox_delivered=true,hangup:NORMAL_CLEARING' inline"
	if err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	for name, dial := range map[string]string{"a blank": "{a=b c}sofia/x/1", "an apostrophe": "{a='}sofia/x/1"} {
		if _, err := Deliver(dial, "/m.wav", 0); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
