package fssim

import (
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/sound"
)

// The conference profiles of vanilla, and what those but sla play when somebody comes or goes. An unknown profile is none: it
// plays nothing, and music on hold is what the first member's channel says (conference_moh_sound).
var vanillaProfiles = []string{"default", "wideband", "ultrawideband", "cdquality", "video-mcu-stereo", "video-mcu-stereo-720",
	"video-mcu-stereo-480", "video-mcu-stereo-320", "sla"}

const (
	vanillaEnter = "tone_stream://%(200,0,500,600,700)"
	vanillaExit  = "tone_stream://%(500,0,300,200,100,50,25)"
)

// hangover is how long a member counts as talking behind a loud frame.
const hangover = 500 * time.Millisecond

// talks reports whether a member counts as talking. The caller holds mu.
func (r *room) talks(m *member) bool {
	return m.speak && !m.hold && !m.voiced.IsZero() && time.Since(m.voiced) < hangover
}

// roomSound is a file that is played in a room: to one member, or to all.
type roomSound struct {
	src   sound.Source
	from  time.Time
	to    *member // nil = all
	async bool
}

// quietFrames are so many without a sound after which a room is mixed no more until something is to be heard.
const quietFrames = 25

// maxSounds bounds what waits to be played in a room; more is dropped.
const maxSounds = 200

// queueFile plays a sound to all behind what plays; one that is not there is left out. The caller holds mu.
func (r *room) queueFile(file string) {
	if file == "" || len(r.sounds) >= maxSounds {
		return
	}
	if src, ok := openSound(file); ok {
		r.queue(file, src, false)
	}
}

// stirVoice wakes who mixes.
func (r *room) stirVoice() {
	select {
	case r.voice <- struct{}{}:
	default:
	}
}

// runVoice mixes every 20 ms: each member hears all others who may speak, not himself, and what is played. While nothing is to be
// heard nothing is sent and nothing is done.
func (r *room) runVoice() {
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for quiet := 0; ; {
		if quiet >= quietFrames {
			tick.Stop()
			select {
			case <-r.voice:
			case <-r.s.done:
				return
			}
			tick.Reset(frameTime)
			quiet = 0
		}
		select {
		case <-tick.C:
		case <-r.s.done:
			return
		}
		frames, over := r.mixFrame(time.Now())
		if over {
			return
		}
		for _, f := range frames {
			f.r.say(f.samples[:])
		}
		if quiet++; len(frames) > 0 {
			quiet = 0
		}
	}
}

// memberFrame is what a member hears for 20 ms.
type memberFrame struct {
	r       *relay
	samples [sound.FrameSamples]int16
}

// mixFrame is what each member hears now; none when nothing is to be heard. over means that the room is gone.
func (r *room) mixFrame(now time.Time) (frames []memberFrame, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.running {
		return nil, true
	}
	var all [sound.FrameSamples]int32
	voices := make([][]int16, len(r.members))
	any := r.mixSounds(now, &all)
	for i, m := range r.members {
		if m.c.leg.relay == nil {
			continue
		}
		voice := m.c.leg.relay.take()
		if voice == nil || !m.running || !m.speak || m.hold || r.waitMod {
			continue
		}
		voices[i], any = voice, true
		if sound.Peak(voice) >= r.energy {
			m.voiced = now
		}
		for j, v := range voice[:min(len(voice), len(all))] {
			all[j] += int32(v)
		}
	}
	alone := r.soundsForOne(now)
	if !any && len(alone) == 0 {
		return nil, false
	}
	for i, m := range r.members {
		if m.c.leg.relay == nil || !m.running {
			continue
		}
		f := memberFrame{r: m.c.leg.relay}
		for j, v := range all {
			if !m.hear || m.hold {
				v = 0
			} else if j < len(voices[i]) {
				v -= int32(voices[i][j])
			}
			f.samples[j] = int16(max(-32768, min(32767, v)))
		}
		if own := alone[m]; own != nil {
			sound.Mix(f.samples[:], own)
		}
		frames = append(frames, f)
	}
	return frames, false
}

// mixSounds adds what is played to all, or else music on hold for who is alone or waits; it reports whether there was any. The
// caller holds mu.
func (r *room) mixSounds(now time.Time, all *[sound.FrameSamples]int32) (any bool) {
	var frame [sound.FrameSamples]int16
	add := func() {
		any = true
		for j, v := range frame {
			all[j] += int32(v)
		}
	}
	r.sounds = slices.DeleteFunc(r.sounds, func(s roomSound) bool {
		if s.to != nil || s.from.After(now) {
			return false
		}
		ok := s.src.Next(frame[:])
		if ok {
			add()
		}
		return !ok
	})
	if any || r.moh == "" || r.count != 1 && !r.waitMod {
		return any
	}
	if r.music == nil || !r.music.Next(frame[:]) { // it begins, or begins again
		src, ok := openSound(r.moh)
		if !ok || !src.Next(frame[:]) {
			r.moh = ""
			return false
		}
		r.music = src
	}
	add()
	return true
}

// soundsForOne are the frames that are played to single members. The caller holds mu.
func (r *room) soundsForOne(now time.Time) (frames map[*member][]int16) {
	r.sounds = slices.DeleteFunc(r.sounds, func(s roomSound) bool {
		if s.to == nil || s.from.After(now) {
			return false
		}
		frame := make([]int16, sound.FrameSamples)
		if !s.to.running || !s.src.Next(frame) {
			return true
		}
		if frames == nil {
			frames = make(map[*member][]int16)
		}
		if frames[s.to] == nil {
			frames[s.to] = frame
		} else {
			sound.Mix(frames[s.to], frame)
		}
		return false
	})
	return frames
}
