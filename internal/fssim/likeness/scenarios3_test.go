package likeness

import (
	"time"

	voice "github.com/signalbox/signalbox/internal/sound"
)

// keysAndProfiles: keys by SIP INFO and as tones, and rooms of a profile that conference.conf does not have.
func keysAndProfiles() []scenario {
	// collects is an answered caller of whom a key is awaited.
	collects := func(s *scene, before string, after ...string) (*call, *link) {
		call, c := s.served("")
		if before != "" {
			c.run("set", before)
		}
		c.run("answer", "")
		for _, app := range after {
			c.run(app, "")
		}
		call.p.wait("200")
		c.execute("play_and_get_digits", "1 1 1 3000 # "+sound2s+" "+sound+"10 choice [0-9] 3000")
		c.wait("CHANNEL_EXECUTE play_and_get_digits", 1)
		pause(300 * time.Millisecond)
		return call, c
	}
	finish := func(s *scene, c *link) {
		c.wait("CHANNEL_EXECUTE_COMPLETE play_and_get_digits", 1)
		c.api("uuid_getvar " + c.uuid() + " choice")
		c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
		s.over(1)
	}
	return []scenario{
		{"key-by-info", func(s *scene) {
			call, c := collects(s, "")
			call.info('5')
			finish(s, c)
		}},
		{"key-by-info-without-liberal-dtmf", func(s *scene) {
			call, c := collects(s, "rtp_liberal_dtmf=false")
			call.info('5')
			finish(s, c)
		}},
		{"key-as-a-tone-is-ignored", func(s *scene) {
			call, c := collects(s, "")
			call.whistle('5')
			finish(s, c)
		}},
		{"key-as-a-tone-with-start-dtmf", func(s *scene) {
			call, c := collects(s, "", "start_dtmf")
			call.whistle('5')
			finish(s, c)
		}},
		{"room-of-an-unknown-profile", func(s *scene) {
			call, c := s.served("")
			c.run("answer", "")
			c.run("set", "conference_controls=none")
			c.run("set", "hangup_after_conference=false")
			call.p.wait("200")
			c.cmd("sendmsg\ncall-command: execute\nexecute-app-name: conference\nexecute-app-arg: room-" + s.number + "@nosuch")
			s.saw("conference::maintenance add-member", 1)
			s.saw("conference::maintenance floor-change", 1)
			for i, key := range []string{"0", "*", "#"} {
				c.api("uuid_recv_dtmf " + c.uuid() + " " + key)
				c.wait("DTMF", i+1)
			}
			pause(200 * time.Millisecond)
			c.api("conference room-" + s.number + " list")
			c.api("conference room-" + s.number + " say nobody speaks")
			call.bye()
			s.saw("conference::maintenance conference-destroy", 1)
			s.over(1)
		}},
	}
}

// sound2s is a prompt that a key ends.
const sound2s = sound + "2000"

// info presses a key by SIP INFO.
func (c *call) info(key byte) {
	c.seq++
	c.p.sendTyped(c.to, "INFO "+c.target+" SIP/2.0", c.inDialog("INFO"), "application/dtmf-relay", "Signal="+string(key)+"\r\nDuration=160\r\n")
}

// whistle presses a key as tones in the voice, for 100 ms, with silence before and behind.
func (c *call) whistle(key byte) {
	tone, _ := voice.KeyTone(key)
	for i := range 25 {
		var frame [voice.FrameSamples]int16
		if i >= 5 && i < 10 {
			tone.Next(frame[:])
		}
		c.speak(frame[:])
		pause(20 * time.Millisecond)
	}
}
