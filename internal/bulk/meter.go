package bulk

import "time"

// recently is how far back a rate looks.
const recently = 5 * time.Second

// meter measures the rate of a load.
type meter struct {
	samples []sample
}

type sample struct {
	at    time.Time
	lines int
}

// at completes what is known at a time.
func (m *meter) at(now time.Time, p Progress) Progress {
	m.samples = append(m.samples, sample{now, p.Lines})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > recently {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	took := now.Sub(first.at)
	if took <= 0 {
		return p
	}
	p.Rate = float64(p.Lines-first.lines) / took.Seconds()
	if p.Rate > 0 {
		p.Left = time.Duration(float64(p.Total-p.Lines) / p.Rate * float64(time.Second))
	}
	return p
}
