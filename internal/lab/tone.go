package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signalbox/signalbox/internal/sound"
)

// Keying is how a party's telephone sends its keys.
type Keying int

// The three ways.
const (
	KeysAsEvents Keying = iota // RFC 4733, in the stream of its voice
	KeysAsInfo                 // SIP INFO with application/dtmf-relay
	KeysInBand                 // as tones in the voice
)

func (k Keying) String() string {
	return [...]string{"RFC 4733", "SIP INFO", "in-band tones"}[k]
}

// How keys are pressed, and how a party is listened to.
const (
	pressFrames  = 8                      // 160 ms of an event
	toneFrames   = 5                      // 100 ms of a tone: the longer it is the more likely a late packet makes two of it
	pauseFrames  = 6                      // 120 ms behind a press
	toneLevel    = 4000                   // peak of a party's tone: six of them together are not cut off
	heardLevel   = 800                    // least peak of a tone that counts as heard; a mixer does not turn anybody down so far
	unheardLevel = 250                    // most of one that does not: what coding and clipping leave of others is below
	listenTime   = 300 * time.Millisecond // of sound that is looked at
	maxPresses   = 64                     // waiting to be sent; more are refused
)

// eventPayload is the payload type of telephone-event in our offers.
const eventPayload = 101

// press is one key that is being sent in the voice.
type press struct {
	key    byte
	inBand bool
	sent   int // frames
	tone   sound.Tone
	stamp  uint32
}

// keyboard sends keys in a stream of voice. Owned by media.write, but for push.
type keyboard struct {
	mu    sync.Mutex
	queue []*press
	pause int  // frames to wait before the next
	hush  bool // and to say nothing meanwhile: FreeSWITCH's start_dtmf counts a tone only when it is quiet behind it
}

func (k *keyboard) push(keys string, inBand bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.queue)+len(keys) > maxPresses {
		return fmt.Errorf("lab: %d keys wait to be sent, more are too many", len(k.queue))
	}
	for i := range len(keys) {
		tone, ok := sound.KeyTone(keys[i])
		if !ok {
			return fmt.Errorf("lab: %q is no key of a telephone", keys[i])
		}
		k.queue = append(k.queue, &press{key: keys[i], inBand: inBand, tone: tone})
	}
	return nil
}

// next is what the frame now due belongs to; nil = the party's own voice, or silence when hush.
func (k *keyboard) next() (p *press, hush bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pause > 0 {
		k.pause--
		return nil, k.hush
	}
	if len(k.queue) == 0 {
		return nil, false
	}
	p = k.queue[0]
	last := pressFrames
	if p.inBand {
		last = toneFrames
	}
	if p.sent++; p.sent == last {
		k.queue, k.pause, k.hush = k.queue[1:], pauseFrames, p.inBand
	}
	return p, false
}

// event writes the packets of a press that are due with a frame: one, and at the end three that say so (RFC 4733 section 2.5.1.4).
func (p *press) event(head []byte, seq *uint16, send func([]byte)) {
	packet := make([]byte, 16)
	copy(packet, head[:12])
	packet[1] = eventPayload
	if p.sent == 1 {
		packet[1] |= 0x80 // the marker begins an event
	}
	binary.BigEndian.PutUint32(packet[4:], p.stamp)
	packet[12], packet[13] = byte(strings.IndexByte("0123456789*#ABCD", p.key)), 10
	binary.BigEndian.PutUint16(packet[14:], uint16(p.sent*frameBytes))
	times := 1
	if p.sent == pressFrames {
		packet[13] |= 0x80
		times = 3
	}
	for range times {
		binary.BigEndian.PutUint16(packet[2:], *seq)
		*seq++
		send(packet)
	}
}

// Ear keeps the last sound that came, so that one can ask who is in it. Safe for concurrent use.
type Ear struct {
	mu     sync.Mutex
	frames []earFrame // oldest first
}

type earFrame struct {
	at      time.Time
	samples []int16
}

// Take takes sound that came now, of sound.Rate.
func (e *Ear) Take(samples []int16, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.frames) > 0 && now.Sub(e.frames[0].at) > 2*listenTime {
		e.frames = e.frames[1:]
	}
	e.frames = append(e.frames, earFrame{now, samples})
}

// takeG711 takes a payload of G.711.
func (e *Ear) takeG711(payload []byte, aLaw bool, now time.Time) {
	samples := make([]int16, len(payload))
	for i, b := range payload {
		if aLaw {
			samples[i] = sound.FromALaw(b)
		} else {
			samples[i] = sound.FromULaw(b)
		}
	}
	e.Take(samples, now)
}

// last is the sound that came in the last listenTime, and whether so much has been listened to since begin.
func (e *Ear) last(begin, now time.Time) (samples []int16, whole bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.frames {
		if now.Sub(f.at) <= listenTime {
			samples = append(samples, f.samples...)
		}
	}
	return samples, now.Sub(begin) >= listenTime
}

// Hears reports whether exactly the wanted of these tones were to be heard in the last 0.3 s, all of which lies behind begin, and how
// loud each was.
func (e *Ear) Hears(want, among []float64, begin, now time.Time) (exactly bool, levels string) {
	samples, exactly := e.last(begin, now)
	for _, hz := range among {
		level := sound.Level(samples, hz)
		levels += fmt.Sprintf(" %.0f Hz %.0f", hz, level)
		if slices.Contains(want, hz) {
			exactly = exactly && level >= heardLevel
		} else {
			exactly = exactly && level <= unheardLevel
		}
	}
	return exactly, levels
}

// Sounds reports whether anything was to be heard in the last 0.3 s.
func (e *Ear) Sounds(now time.Time) bool {
	samples, _ := e.last(time.Time{}, now)
	return sound.Peak(samples) > unheardLevel
}

// Sing changes the tone that the party's voice is in this call; 0 = it says nothing but sends silence.
func (c *Call) Sing(hz float64) { c.media.sing(hz) }

// Press presses keys, one after the other. It returns at once, but for SIP INFO, where each press waits for its answer.
func (c *Call) Press(ctx context.Context, keys string, how Keying) error {
	c.agent.opts.Trace.Add(Event{Kind: Tell, From: c.agent.opts.Name, To: c.agent.opts.Name, Summary: "presses " + keys + " (" + how.String() + ")"})
	if how != KeysAsInfo {
		return c.media.keys.push(keys, how == KeysInBand)
	}
	for i := range len(keys) {
		answered, status := false, 0
		c.agent.do(func() {
			c.seq++
			body := fmt.Sprintf("Signal=%c\r\nDuration=160\r\n", keys[i])
			c.sendTyped("INFO", c.seq, "application/dtmf-relay", body, func(m *Message) {
				answered = true
				if m != nil {
					status = m.Status()
				}
			})
		})
		if err := c.agent.wait(ctx, "the INFO is answered", func() bool { return answered }); err != nil {
			return err
		}
		if status != 200 {
			return fmt.Errorf("%w: %s: INFO for key %c got %d", ErrNever, c.agent.opts.Name, keys[i], status)
		}
	}
	return nil
}

// Hears are those of the given tones that are in what the party hears now, in the last 0.3 s.
func (c *Call) Hears(among ...float64) (heard []float64) {
	samples, _ := c.media.ear.last(time.Time{}, time.Now())
	for _, hz := range among {
		if sound.Level(samples, hz) >= heardLevel {
			heard = append(heard, hz)
		}
	}
	return heard
}

// Sounds reports whether the party has heard anything in the last 0.3 s.
func (c *Call) Sounds() bool { return c.media.ear.Sounds(time.Now()) }

// WaitHears waits until the party hears exactly the given tones of those among which it is asked, for 0.3 s, and nothing of the others.
func (c *Call) WaitHears(ctx context.Context, want []float64, among ...float64) error {
	begin := time.Now()
	var levels string
	err := c.agent.wait(ctx, "the tones are those it is to hear", func() (exactly bool) {
		exactly, levels = c.media.ear.Hears(want, among, begin, time.Now())
		return exactly
	})
	if err != nil {
		return fmt.Errorf("%w: want %.0f Hz, heard at last:%s", err, want, levels)
	}
	return nil
}

// WaitQuiet waits until the party has heard nothing at all for 0.3 s: no tone, no prompt, no music.
func (c *Call) WaitQuiet(ctx context.Context) error { return c.waitSound(ctx, "it is quiet", false) }

// WaitSound waits until the party hears something, whatever it is.
func (c *Call) WaitSound(ctx context.Context) error {
	return c.waitSound(ctx, "something is to be heard", true)
}

func (c *Call) waitSound(ctx context.Context, what string, loud bool) error {
	begin := time.Now()
	return c.agent.wait(ctx, what, func() bool {
		samples, whole := c.media.ear.last(begin, time.Now())
		return (loud || whole) && sound.Peak(samples) > unheardLevel == loud
	})
}
