package fssim

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/sound"
)

// appRecord is "<path> [<time limit s>] [<silence threshold> [<silence hits>]]": the file gets what the caller says for as long as he stays, at
// most the limit. It hears no silence, so hits end nothing.
func appRecord(c *channel, arg string) {
	a := strings.Fields(arg)
	if len(a) == 0 {
		return
	}
	limit := 24 * time.Hour
	if len(a) > 1 {
		if n, _ := strconv.Atoi(strings.TrimPrefix(a[1], "+")); n > 0 {
			limit = time.Duration(n) * time.Second
		}
	}
	f, err := os.Create(a[0])
	if err != nil {
		c.hangup(causeByName("DESTINATION_OUT_OF_ORDER"))
		return
	}
	samples := c.listen(limit)
	ms := len(samples) * 1000 / sound.Rate
	data := sound.WriteWAV(samples)
	_, err = f.Write(data)
	if cerr := f.Close(); err != nil || cerr != nil {
		return
	}
	c.set("record_seconds", strconv.Itoa(ms/1000))
	c.set("record_ms", strconv.Itoa(ms))
}

// maxRecorded bounds what is kept of a recording; what comes later is not.
const maxRecorded = 10 * time.Minute

// listen is what the caller says for a time, with silence where nothing comes. Owner only.
func (c *channel) listen(limit time.Duration) (samples []int16) {
	r := c.leg.relay
	if r != nil {
		r.mix(true, nil)
		defer r.mix(false, nil)
	}
	began := time.Now()
	due := func() int { return int(min(time.Since(began), limit, maxRecorded) * sound.Rate / time.Second) }
	for c.ready() && !c.broken() && time.Since(began) < limit {
		c.pump()
		for r != nil {
			frame := r.take()
			if frame == nil {
				break
			}
			if room := due() - len(samples) - len(frame); room > 0 { // the caller was silent, or the frame is late
				samples = append(samples, make([]int16, min(room, sound.Rate))...)
			}
			samples = append(samples, frame...)
		}
		c.wait(frameTime)
	}
	n := due()
	if len(samples) < n {
		samples = append(samples, make([]int16, n-len(samples))...)
	}
	return samples[:n]
}
