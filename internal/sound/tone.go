package sound

import "math"

// Tone is a sine of one or more frequencies, sample by sample without a jump between calls of Next.
type Tone struct {
	Level float64 // peak of each frequency, at most 32767
	Hz    []float64
	at    int
}

// Next fills a frame.
func (t *Tone) Next(frame []int16) {
	for i := range frame {
		v := 0.0
		for _, hz := range t.Hz {
			v += t.Level * math.Sin(2*math.Pi*hz*float64(t.at)/Rate)
		}
		frame[i] = clip(int(math.Round(v)))
		t.at++
	}
	if t.at >= Rate*3600 { // whole Hz come back to where they began
		t.at -= Rate * 3600
	}
}

// Level is how loud a frequency is in a piece of sound: its peak as a sine would have it (Goertzel's algorithm, behind a Hann window, so
// that a loud neighbour does not leak into it). Frequencies that are 4*Rate/len(samples) apart do not disturb each other: in a piece of
// 200 ms that is 20 Hz.
func Level(samples []int16, hz float64) float64 {
	n := float64(len(samples))
	return 2 * goertzel(samples, hz, func(i int) float64 { return 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/n) })
}

// plainLevel is Level without a window, for pieces that are too short for one.
func plainLevel(samples []int16, hz float64) float64 {
	return goertzel(samples, hz, func(int) float64 { return 1 })
}

func goertzel(samples []int16, hz float64, window func(i int) float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	c := 2 * math.Cos(2*math.Pi*hz/Rate)
	s1, s2 := 0.0, 0.0
	for i, v := range samples {
		s1, s2 = float64(v)*window(i)+c*s1-s2, s1
	}
	power := s1*s1 + s2*s2 - c*s1*s2
	return 2 * math.Sqrt(max(power, 0)) / float64(len(samples))
}

// Peak is the loudest sample, as a positive number.
func Peak(samples []int16) int {
	peak := 0
	for _, v := range samples {
		peak = max(peak, max(int(v), -int(v)))
	}
	return peak
}
