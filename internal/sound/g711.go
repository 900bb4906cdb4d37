package sound

// Rate is the sampling rate of everything here, in Hz.
const Rate = 8000

// FrameSamples is 20 ms.
const FrameSamples = Rate / 50

// Silence bytes of G.711.
const (
	SilenceU byte = 0xff
	SilenceA byte = 0xd5
)

var (
	fromU [256]int16 = table(decodeU)
	fromA [256]int16 = table(decodeA)
)

func table(f func(byte) int16) (t [256]int16) {
	for i := range t {
		t[i] = f(byte(i))
	}
	return t
}

func decodeU(b byte) int16 {
	b = ^b
	v := (int(b&0x0f)<<3 + 0x84) << (b & 0x70 >> 4)
	v -= 0x84
	if b&0x80 != 0 {
		return int16(-v)
	}
	return int16(v)
}

func decodeA(b byte) int16 {
	b ^= 0x55
	v := int(b&0x0f)<<4 + 8
	if segment := b & 0x70 >> 4; segment > 0 {
		v = (v + 0x100) << (segment - 1)
	}
	if b&0x80 == 0 {
		return int16(-v)
	}
	return int16(v)
}

// FromULaw and FromALaw are one sample of G.711.
func FromULaw(b byte) int16 { return fromU[b] }

// FromALaw is FromULaw for the other law.
func FromALaw(b byte) int16 { return fromA[b] }

// ToULaw is one sample as G.711 µ-law.
func ToULaw(s int16) byte {
	v, sign := int(s), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, 32635) + 0x84
	segment := byte(7)
	for mask := 0x4000; segment > 0 && v&mask == 0; mask >>= 1 {
		segment--
	}
	return ^(sign | segment<<4 | byte(v>>(segment+3))&0x0f)
}

// ToALaw is one sample as G.711 A-law.
func ToALaw(s int16) byte {
	v, sign := int(s), byte(0x80)
	if v < 0 {
		v, sign = -v-1, 0
	}
	segment := byte(7)
	for mask := 0x4000; segment > 0 && v&mask == 0; mask >>= 1 {
		segment--
	}
	mantissa := byte(v>>4) & 0x0f
	if segment > 0 {
		mantissa = byte(v>>(segment+3)) & 0x0f
	}
	return (sign | segment<<4 | mantissa) ^ 0x55
}

// Mix adds the samples of b to a; what is too loud is cut off.
func Mix(a, b []int16) {
	for i := range min(len(a), len(b)) {
		a[i] = clip(int(a[i]) + int(b[i]))
	}
}

func clip(v int) int16 { return int16(max(-32768, min(32767, v))) }
