package encode

import (
	"testing"
	"time"
)

func TestConferenceArgument(t *testing.T) {
	for want, c := range map[string]Conference{
		"sb-0123456789abcdef@default":                              {Room: "sb-0123456789abcdef"},
		"sb-0123456789abcdef@signalbox+flags{join-only|moderator}": {Room: "sb-0123456789abcdef", Profile: "signalbox", Flags: []string{"join-only", "moderator"}},
	} {
		if got, err := c.Arg(); err != nil || got != want {
			t.Errorf("%+v is %q, %v; want %q", c, got, err, want)
		}
	}
	for _, bad := range []Conference{{}, {Room: "a b"}, {Room: "${system(x)}"}, {Room: "a", Profile: "b+1234"}, {Room: "a", Flags: []string{"mute}"}}, {Room: "bridge:x"}} {
		if got, err := bad.Arg(); err == nil {
			t.Errorf("%+v became %q", bad, got)
		}
	}
}

func TestDigitsArgument(t *testing.T) {
	d := Digits{Sounds: []string{"/conf/sounds/a.wav", "silence_stream://200", "tone_stream://%(200,0,440)"}, Most: 1, Wait: 6 * time.Second, Variable: "signalbox_keys"}
	const want = "1 1 1 6000 none file_string:///conf/sounds/a.wav!silence_stream://200!tone_stream://%(200,0,440) silence_stream://1 signalbox_keys .+ 6000"
	if got, err := d.Arg(); err != nil || got != want {
		t.Errorf("%q, %v; want\n%q", got, err, want)
	}
	d = Digits{Sounds: []string{"/conf/pin.wav"}, Most: 12, Wait: 6 * time.Second, Between: 3 * time.Second, Terminators: "#", Variable: "signalbox_keys"}
	if got, err := d.Arg(); err != nil || got != "1 12 1 6000 # /conf/pin.wav silence_stream://1 signalbox_keys .+ 3000" {
		t.Errorf("%q, %v", got, err)
	}
	for name, change := range map[string]func(*Digits){
		"no sound":              func(d *Digits) { d.Sounds = nil },
		"a sound that executes": func(d *Digits) { d.Sounds = []string{"/a${system(x)}.wav"} },
		"a sound of two":        func(d *Digits) { d.Sounds = []string{"/a.wav!/b.wav"} },
		"a stream with a blank": func(d *Digits) { d.Sounds = []string{"tone_stream://%(1, 2)"} },
		"no keys":               func(d *Digits) { d.Most = 0 },
		"a letter ends":         func(d *Digits) { d.Terminators = "=" },
		"no wait":               func(d *Digits) { d.Wait = 0 },
		"no variable":           func(d *Digits) { d.Variable = "" },
	} {
		bad := d
		change(&bad)
		if got, err := bad.Arg(); err == nil {
			t.Errorf("%s: became %q", name, got)
		}
	}
}
