package sound

import "strings"

// The keys of a telephone and the two tones of each (ITU-T Q.23).
const dtmfKeys = "123A456B789C*0#D"

var (
	dtmfLow  = [4]float64{697, 770, 852, 941}
	dtmfHigh = [4]float64{1209, 1336, 1477, 1633}
)

// KeyTone is the sound of a key; ok is false for what is none.
func KeyTone(key byte) (t Tone, ok bool) {
	i := strings.IndexByte(dtmfKeys, key)
	if i < 0 {
		return Tone{}, false
	}
	return Tone{Level: 6000, Hz: []float64{dtmfLow[i/4], dtmfHigh[i%4]}}, true
}

// Bounds of detection, within those of ITU-T Q.24: a press of 40 ms counts, and so do two with 40 ms between them.
const (
	dtmfBlock  = 102 // samples, 12.75 ms: the block in which the eight tones are told apart
	dtmfLevel  = 500 // least peak of each tone
	dtmfTwist  = 4.0 // how much louder one may be than the other
	dtmfOthers = 2.0 // how much louder than every other tone of its group
	dtmfShare  = 0.6 // least part of the block's power that the two tones are, so that speech presses no keys
)

// Detector hears keys that are sent as tones in the voice. A press counts once, when it has lasted two blocks.
type Detector struct {
	rest []int16 // samples that fill no block yet
	last byte    // key of the block before; 0 = none
	told byte    // key that was reported and is not over
}

// Hear takes the next samples and returns the keys whose press begins in them.
func (d *Detector) Hear(samples []int16) (keys []byte) {
	d.rest = append(d.rest, samples...)
	for len(d.rest) >= dtmfBlock {
		key := keyOf(d.rest[:dtmfBlock])
		d.rest = d.rest[:copy(d.rest, d.rest[dtmfBlock:])]
		if key != 0 && key == d.last && key != d.told {
			keys = append(keys, key)
			d.told = key
		}
		if key == 0 && d.last == 0 {
			d.told = 0
		}
		d.last = key
	}
	return keys
}

// keyOf is the key that a block is of; 0 = none.
func keyOf(block []int16) byte {
	low, lowLevel, ok := loudest(block, dtmfLow)
	high, highLevel, ok2 := loudest(block, dtmfHigh)
	if !ok || !ok2 || lowLevel > highLevel*dtmfTwist || highLevel > lowLevel*dtmfTwist {
		return 0
	}
	power := 0.0
	for _, v := range block {
		power += float64(v) * float64(v)
	}
	if tones := (lowLevel*lowLevel + highLevel*highLevel) / 2; tones < dtmfShare*power/float64(len(block)) {
		return 0
	}
	return dtmfKeys[4*low+high]
}

// loudest is the tone of a group that is louder than all others of it.
func loudest(block []int16, group [4]float64) (which int, level float64, ok bool) {
	second := 0.0
	for i, hz := range group {
		if l := plainLevel(block, hz); l > level {
			which, level, second = i, l, level
		} else {
			second = max(second, l)
		}
	}
	return which, level, level >= dtmfLevel && level > second*dtmfOthers
}
