package sound

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"
)

// Source is a sound that is played once, frame by frame.
type Source interface {
	// Next fills a frame, with silence behind the end; ok is false when nothing of it was filled.
	Next(frame []int16) (ok bool)
	// Length is how long it lasts in all; Endless for what does not end.
	Length() time.Duration
}

// Endless is the length of a sound without an end.
const Endless = 24 * time.Hour

// Samples is a sound that is there as a whole.
type Samples struct {
	samples []int16
	at      int
}

// NewSamples plays what is given, which it keeps and does not change.
func NewSamples(samples []int16) *Samples { return &Samples{samples: samples} }

// Next is Source.
func (s *Samples) Next(frame []int16) bool {
	n := copy(frame, s.samples[s.at:])
	s.at += n
	clear(frame[n:])
	return n > 0
}

// Length is Source.
func (s *Samples) Length() time.Duration { return duration(len(s.samples)) }

func duration(samples int) time.Duration { return time.Duration(samples) * time.Second / Rate }

// Silence lasts so long and is nothing.
type Silence struct {
	length time.Duration
	left   int // samples
}

// NewSilence is silence of a length, at most Endless.
func NewSilence(length time.Duration) *Silence {
	length = max(0, min(length, Endless))
	return &Silence{length: length, left: int(length * Rate / time.Second)}
}

// Next is Source.
func (s *Silence) Next(frame []int16) bool {
	clear(frame)
	ok := s.left > 0
	s.left -= min(s.left, len(frame))
	return ok
}

// Length is Source.
func (s *Silence) Length() time.Duration { return s.length }

// ReadWAV takes a WAV of 8 kHz, 16 bit and one channel apart; ok is false for any other file.
func ReadWAV(file []byte) (samples []int16, ok bool) {
	if len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WAVE" {
		return nil, false
	}
	plain := false
	for rest := file[12:]; len(rest) >= 8; {
		name, size := string(rest[:4]), int(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		size = max(0, min(size, len(rest))) // a file that is still being written says more than it has
		switch {
		case name == "fmt " && size >= 16:
			le := binary.LittleEndian
			plain = le.Uint16(rest) == 1 && le.Uint16(rest[2:]) == 1 && le.Uint32(rest[4:]) == Rate && le.Uint16(rest[14:]) == 16
		case name == "data" && plain:
			samples = make([]int16, size/2)
			for i := range samples {
				samples[i] = int16(binary.LittleEndian.Uint16(rest[2*i:]))
			}
			return samples, true
		}
		rest = rest[min(size+size%2, len(rest)):]
	}
	return nil, false
}

// WriteWAV is the file of samples.
func WriteWAV(samples []int16) []byte {
	out := make([]byte, 44+2*len(samples))
	le := binary.LittleEndian
	copy(out, "RIFF")
	le.PutUint32(out[4:], uint32(len(out)-8))
	copy(out[8:], "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	le.PutUint32(out[24:], Rate)
	le.PutUint32(out[28:], 2*Rate)
	copy(out[32:], "\x02\x00\x10\x00data")
	le.PutUint32(out[40:], uint32(2*len(samples)))
	for i, v := range samples {
		le.PutUint16(out[44+2*i:], uint16(v))
	}
	return out
}

// Bounds of a tone script.
const (
	maxBeats = 200
	beatPeak = 8000 // of each frequency
)

// beat is one "%(on,off,hz,hz...)" of a script.
type beat struct {
	on, off int // samples
	hz      []float64
}

// Beats are the generated tones of a script in the notation of TGML: "%(on ms,off ms,Hz,Hz...)", several of them, and ";loops=n",
// where -1 is without an end.
type Beats struct {
	beats  []beat
	loops  int
	length time.Duration
	at     int // samples of the script played
	total  int // samples of one loop
}

// NewBeats reads a script. What cannot be read is left out.
func NewBeats(script string) *Beats {
	b := &Beats{loops: 1}
	for param := range strings.SplitSeq(script, ";") {
		if n, ok := strings.CutPrefix(strings.TrimSpace(param), "loops="); ok {
			b.loops, _ = strconv.Atoi(n)
		}
	}
	for part := range strings.SplitSeq(script, "%(") {
		inner, _, ok := strings.Cut(part, ")")
		if !ok || len(b.beats) == maxBeats {
			continue
		}
		var numbers []float64
		for text := range strings.SplitSeq(inner, ",") {
			n, _ := strconv.ParseFloat(strings.TrimSpace(text), 64)
			numbers = append(numbers, max(0, min(n, 3_600_000)))
		}
		numbers = append(numbers, 0, 0)
		one := beat{on: int(numbers[0]) * Rate / 1000, off: int(numbers[1]) * Rate / 1000}
		if len(numbers) > 4 {
			one.hz = numbers[2 : len(numbers)-2]
		}
		b.beats = append(b.beats, one)
		b.total += one.on + one.off
	}
	if b.length = Endless; b.loops >= 0 {
		b.loops = max(b.loops, 1)
		b.length = min(Endless, duration(b.total)*time.Duration(b.loops))
	}
	return b
}

// Next is Source.
func (b *Beats) Next(frame []int16) bool {
	clear(frame)
	for i := range frame {
		if b.total == 0 || b.loops >= 0 && b.at >= b.total*b.loops {
			return i > 0
		}
		in := b.at % b.total
		for _, one := range b.beats {
			if in < one.on {
				v := 0.0
				for _, hz := range one.hz {
					v += beatPeak * math.Sin(2*math.Pi*hz*float64(in)/Rate)
				}
				frame[i] = clip(int(v))
				break
			}
			if in -= one.on; in < one.off {
				break
			}
			in -= one.off
		}
		b.at++
	}
	return true
}

// Length is Source.
func (b *Beats) Length() time.Duration { return b.length }

// OneAfterTheOther plays several as one.
type OneAfterTheOther []Source

// Next is Source. A frame holds no more than one of them.
func (s *OneAfterTheOther) Next(frame []int16) bool {
	for len(*s) > 0 {
		if (*s)[0].Next(frame) {
			return true
		}
		*s = (*s)[1:]
	}
	clear(frame)
	return false
}

// Length is Source.
func (s *OneAfterTheOther) Length() (d time.Duration) {
	for _, one := range *s {
		d += one.Length()
	}
	return min(d, Endless)
}
