package sound

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Both laws give back every code that they made, and a sample within the step of its segment (ITU-T G.711 tables 1a and 2a).
func TestG711IsItsOwnInverse(t *testing.T) {
	for i := range 256 {
		b := byte(i)
		if got := ToULaw(FromULaw(b)); got != b && b != 0x7f { // 0x7f and 0xff are both zero
			t.Errorf("µ-law %#02x: %d, again %#02x", b, FromULaw(b), got)
		}
		if got := ToALaw(FromALaw(b)); got != b {
			t.Errorf("A-law %#02x: %d, again %#02x", b, FromALaw(b), got)
		}
	}
	for v := -32768; v <= 32767; v += 7 {
		for name, got := range map[string]int{"µ": int(FromULaw(ToULaw(int16(v)))), "A": int(FromALaw(ToALaw(int16(v))))} {
			if off := math.Abs(float64(got - v)); off > max(16, math.Abs(float64(v))/16+2) && v > -32635 && v < 32635 {
				t.Fatalf("%s-law: %d became %d", name, v, got)
			}
		}
	}
	if FromULaw(SilenceU) != 0 || FromALaw(SilenceA) > 8 {
		t.Errorf("silence is %d and %d", FromULaw(SilenceU), FromALaw(SilenceA))
	}
	if FromULaw(0x80) != 32124 || FromALaw(0xaa) != 32256 {
		t.Errorf("the loudest samples are %d and %d", FromULaw(0x80), FromALaw(0xaa))
	}
}

// throughG711 is what a party hears of samples that went through a µ-law leg and an A-law leg.
func throughG711(samples []int16) []int16 {
	out := make([]int16, len(samples))
	for i, v := range samples {
		out[i] = FromALaw(ToALaw(FromULaw(ToULaw(v))))
	}
	return out
}

// In a mixture of three voices each of the three is heard, and nobody else.
func TestWhoIsInAMixture(t *testing.T) {
	all := []float64{400, 500, 620, 770, 900, 1100}
	mixed := make([]int16, 10*FrameSamples)
	for _, hz := range []float64{400, 770, 1100} {
		voice := make([]int16, len(mixed))
		tone := Tone{Level: 5000, Hz: []float64{hz}}
		for i := 0; i < len(voice); i += FrameSamples {
			tone.Next(voice[i : i+FrameSamples])
		}
		Mix(mixed, voice)
	}
	mixed = throughG711(mixed)
	for i, hz := range all {
		level, there := Level(mixed, hz), i == 0 || i == 3 || i == 5
		if there && math.Abs(level-5000) > 400 || !there && level > 150 {
			t.Errorf("%.0f Hz has level %.0f, in the mixture: %v", hz, level, there)
		}
	}
}

func TestKeysAreHeardOnce(t *testing.T) {
	const pressed = "1234567890*#ABCD1177"
	var samples []int16
	for i := range len(pressed) {
		tone, ok := KeyTone(pressed[i])
		if !ok {
			t.Fatalf("%c is no key", pressed[i])
		}
		key := make([]int16, 50*Rate/1000)
		tone.Next(key)
		samples = append(append(samples, key...), make([]int16, 50*Rate/1000+i)...)
	}
	samples = throughG711(samples)
	for _, piece := range []int{1, 80, FrameSamples, 1000} {
		var d Detector
		var got []byte
		for at := 0; at < len(samples); at += piece {
			got = append(got, d.Hear(samples[at:min(at+piece, len(samples))])...)
		}
		if string(got) != pressed {
			t.Errorf("in pieces of %d samples: heard %s, want %s", piece, got, pressed)
		}
	}
}

// Voices press no keys: noise, single tones, and the tones of the parties that tests use, alone and mixed.
func TestVoicesPressNoKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]int16, Rate*2)
	for i := range noise {
		noise[i] = int16(random.IntN(16000) - 8000)
	}
	sounds := map[string][]int16{"noise": noise}
	for name, hz := range map[string][]float64{"one": {697}, "low ones": {697, 852}, "voices": {440, 560}, "three": {440, 560, 680}, "speech": {200, 400, 600, 800, 1000, 1200, 1400}} {
		tone := Tone{Level: 3000, Hz: hz}
		samples := make([]int16, Rate*2)
		tone.Next(samples)
		sounds[name] = samples
	}
	for name, samples := range sounds {
		var d Detector
		if keys := d.Hear(samples); len(keys) > 0 {
			t.Errorf("%s pressed %s", name, keys)
		}
	}
}

// play takes a source to its end.
func play(s Source) (out []int16) {
	frame := make([]int16, FrameSamples)
	for len(out) < 10*Rate && s.Next(frame) {
		out = append(out, frame...)
	}
	return out
}

func TestTonesOfAScript(t *testing.T) {
	b := NewBeats("%(200,100,500,600,700);%(100,0,1000);loops=2")
	if got := b.Length().Milliseconds(); got != 800 {
		t.Errorf("it lasts %d ms", got)
	}
	samples := play(b)
	if len(samples) != 800*8 {
		t.Errorf("played %d samples", len(samples))
	}
	for at, hz := range map[int][]float64{0: {500, 600, 700}, 300: {1000}, 400: {500, 600, 700}, 700: {1000}} {
		part := samples[at*8 : at*8+800]
		for _, f := range []float64{500, 600, 700, 1000} {
			level, want := plainLevel(part, f), 0.0
			for _, h := range hz {
				if h == f {
					want = beatPeak
				}
			}
			if math.Abs(level-want) > 200 {
				t.Errorf("at %d ms %.0f Hz has level %.0f, want %.0f", at, f, level, want)
			}
		}
	}
	if Peak(samples[200*8:300*8]) != 0 {
		t.Error("the pause is not silent")
	}
	for _, script := range []string{"", "%(", "%(100", "%()", "x", "%(0,0,0);loops=-1", "%(1e9,-5,x)"} {
		play(NewBeats(script)) // ends
	}
	if NewBeats("%(10,10,400);loops=-1").Length() != Endless {
		t.Error("an endless script has an end")
	}
}

func TestAFileIsWhatWasWritten(t *testing.T) {
	tone := Tone{Level: 9000, Hz: []float64{440}}
	want := make([]int16, 1000)
	tone.Next(want)
	file := WriteWAV(want)
	got, ok := ReadWAV(file)
	if !ok || len(got) != len(want) || got[77] != want[77] || got[999] != want[999] {
		t.Fatalf("read %d samples, %v", len(got), ok)
	}
	all := OneAfterTheOther{NewSamples(got), NewSilence(50_000_000), NewSamples(got)}
	if d := all.Length().Milliseconds(); d != 300 {
		t.Errorf("three lengths are %d ms", d)
	}
	if out := play(&all); Peak(out[:900]) < 8000 || Peak(out[1120:1500]) != 0 || Peak(out[1520:]) < 8000 {
		t.Error("the parts do not follow each other")
	}
	for cut := range file[:100] {
		ReadWAV(file[:cut]) // no panic
	}
	for i := range 44 {
		broken := append([]byte(nil), file...)
		broken[i] ^= 0xff
		ReadWAV(broken)
	}
}
