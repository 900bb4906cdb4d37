package likeness

import (
	"strings"
	"time"
)

// scenario is a small story at the Event Socket that both switches play.
type scenario struct {
	name string
	play func(s *scene)
}

const sound = "silence_stream://"

func scenarios() []scenario {
	var all []scenario
	for _, part := range [][]scenario{hangups(), bridges(), controllers(), commands(), digits(), rooms(), keysAndProfiles(), transferred()} {
		all = append(all, part...)
	}
	return all
}

// over waits until every leg of the scene is gone, and hears the rest of its controllers.
func (s *scene) over(legs int) {
	s.Helper()
	s.saw("CHANNEL_HANGUP_COMPLETE", legs)
	for _, nl := range s.links {
		if strings.HasPrefix(nl.name, "controller") {
			nl.l.gone()
		}
	}
}

// hangups: who ends a call, and when.
func hangups() []scenario {
	return []scenario{
		{"refused-by-controller", func(s *scene) {
			_, c := s.served("")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: USER_BUSY")
			s.over(1)
		}},
		{"answered-and-released-by-controller", func(s *scene) {
			_, c := s.served("")
			c.run("answer", "")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"responded-603", func(s *scene) {
			_, c := s.served("")
			c.execute("respond", "603 Decline")
			s.over(1)
		}},
		{"cancelled-while-nothing-happens", func(s *scene) {
			call, c := s.served("")
			c.cmd("getvar tried")
			call.cancel()
			s.over(1)
		}},
		{"cancelled-while-it-rings", func(s *scene) {
			call, c := s.served("")
			c.run("ring_ready", "")
			call.cancel()
			s.over(1)
		}},
		{"cancelled-in-early-media", func(s *scene) {
			call, c := s.served("")
			c.execute("playback", sound+"-1")
			call.p.wait("183")
			call.cancel()
			s.over(1)
		}},
		{"caller-hangs-up-in-a-prompt", func(s *scene) {
			call, c := s.served("")
			c.run("answer", "")
			c.execute("playback", sound+"-1")
			c.wait("CHANNEL_EXECUTE playback", 1)
			call.p.wait("200")
			call.bye()
			s.over(1)
		}},
		{"killed-from-outside", func(s *scene) {
			_, c := s.served("")
			c.run("answer", "")
			s.link().api("uuid_kill " + c.uuid() + " CALL_REJECTED")
			s.over(1)
		}},
		{"unknown-application", func(s *scene) {
			_, c := s.served("")
			c.execute("nosuchapp", "x")
			s.over(1)
		}},
		{"no-linger", func(s *scene) {
			s.call("")
			c := s.controller("")
			c.cmd("myevents")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.saw("CHANNEL_HANGUP_COMPLETE", 1)
			c.gone()
		}},
		{"dialplan-alone", func(s *scene) {
			s.call("6")
			s.saw("CHANNEL_HANGUP_COMPLETE", 1)
		}},
		{"no-such-number", func(s *scene) {
			s.call("888")
			s.saw("CHANNEL_HANGUP_COMPLETE", 1)
		}},
		{"lingering-session", func(s *scene) {
			s.call("")
			c := s.controller("")
			c.cmd("linger 5")
			c.cmd("myevents")
			in := s.link()
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			c.wait("CHANNEL_HANGUP_COMPLETE", 1)
			in.api("uuid_exists " + c.uuid())
			in.api("uuid_getvar " + c.uuid() + " hangup_cause")
			in.api("uuid_setvar " + c.uuid() + " late yes")
			in.api("uuid_kill " + c.uuid())
			c.cmd("getvar hangup_cause")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: USER_BUSY")
			s.over(1)
			in.api("uuid_exists " + c.uuid())
		}},
	}
}

// talk waits until two talk, and lets the switch find its rest.
func talk(c *link) {
	c.wait("CHANNEL_BRIDGE", 1)
	pause(300 * time.Millisecond)
}

// bridges: how a second leg ends.
func bridges() []scenario {
	answers := behaviour{provisional: []int{180}, heard: "180", after: 100 * time.Millisecond, status: 200}
	later := behaviour{provisional: []int{180}, after: 1500 * time.Millisecond, status: 200}
	bridged := func(s *scene) (*call, *link, *phone) {
		call, c := s.served("", "X-Likeness: 42")
		b := s.phone(answers)
		c.run("set", "hangup_after_bridge=false")
		c.run("set", "continue_on_fail=true")
		c.execute("bridge", s.at(b))
		talk(c)
		call.p.wait("200")
		return call, c, b
	}
	fails := func(dial func(s *scene) string, vars ...string) func(s *scene) {
		return func(s *scene) {
			_, c := s.served("")
			c.run("set", "continue_on_fail=true")
			for _, v := range vars {
				c.run("set", v)
			}
			c.run("bridge", dial(s))
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			c.wait("CHANNEL_HANGUP_COMPLETE", 1)
			s.over(1)
		}
	}
	return []scenario{
		{"bridged-caller-hangs-up", func(s *scene) {
			call, _, _ := bridged(s)
			call.bye()
			s.over(2)
		}},
		{"bridged-callee-hangs-up", func(s *scene) {
			_, c, b := bridged(s)
			b.hangup()
			c.wait("CHANNEL_EXECUTE_COMPLETE bridge", 1)
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(2)
		}},
		{"bridged-callee-hangs-up-ends-the-call", func(s *scene) {
			_, c := s.served("")
			b := s.phone(answers)
			c.run("set", "hangup_after_bridge=true")
			c.execute("bridge", s.at(b))
			talk(c)
			b.hangup()
			s.over(2)
		}},
		{"bridged-caller-killed", func(s *scene) {
			_, c, _ := bridged(s)
			s.link().api("uuid_kill " + c.uuid() + " USER_BUSY")
			s.over(2)
		}},
		{"bridged-callee-killed", func(s *scene) {
			_, c, _ := bridged(s)
			s.link().api("uuid_kill " + s.saw("CHANNEL_CREATE", 2).UUID())
			c.wait("CHANNEL_EXECUTE_COMPLETE bridge", 1)
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(2)
		}},
		{"bridged-caller-transferred", func(s *scene) {
			_, c, _ := bridged(s)
			s.link().api("uuid_transfer " + c.uuid() + " 'set:tried=yes,hangup:NO_ANSWER' inline")
			s.over(2)
		}},
		{"callee-busy", fails(func(s *scene) string { return s.at(s.phone(behaviour{status: 486})) })},
		{"callee-declines", fails(func(s *scene) string {
			return s.at(s.phone(behaviour{provisional: []int{180}, heard: "180", after: 100 * time.Millisecond, status: 603}))
		})},
		{"callee-not-found", fails(func(s *scene) string { return s.at(s.phone(behaviour{status: 404})) })},
		{"callee-unavailable", fails(func(s *scene) string { return s.at(s.phone(behaviour{status: 480})) })},
		{"callee-busy-ends-the-call", func(s *scene) {
			_, c := s.served("")
			c.execute("bridge", s.at(s.phone(behaviour{status: 486})))
			s.over(2)
		}},
		{"callee-rings-out", fails(func(s *scene) string { return s.at(s.phone(behaviour{provisional: []int{180}})) }, "call_timeout=2")},
		{"callee-leg-timeout", fails(func(s *scene) string {
			return "[leg_timeout=1]" + s.at(s.phone(behaviour{provisional: []int{180}}))
		})},
		{"callee-silent", fails(func(s *scene) string { return "[leg_progress_timeout=1]" + s.at(s.phone(behaviour{})) })},
		{"nobody-listens", fails(func(s *scene) string { return "sofia/external/sip:b" + s.number + "@127.0.0.1:9" })},
		{"user-not-registered", fails(func(s *scene) string { return "user/1001@127.0.0.1" })},
		{"user-that-does-not-exist", fails(func(s *scene) string { return "user/nosuch@127.0.0.1" })},
		{"error-endpoint", fails(func(s *scene) string { return "error/USER_BUSY" })},
		{"no-such-profile", fails(func(s *scene) string { return "sofia/nosuch/sip:b@127.0.0.1" })},
		{"two-tried-in-turn", func(s *scene) {
			call, c := s.served("")
			c.execute("bridge", s.at(s.phone(behaviour{status: 486}))+"|"+s.at(s.phone(answers)))
			talk(c)
			call.p.wait("200")
			call.bye()
			s.over(3)
		}},
		{"two-at-once", func(s *scene) {
			call, c := s.served("")
			slow := s.phone(behaviour{provisional: []int{180}})
			c.execute("bridge", s.at(slow)+","+s.at(s.phone(answers)))
			talk(c)
			slow.wait("CANCEL")
			call.p.wait("200")
			call.bye()
			s.over(3)
		}},
		{"cancelled-while-callee-rings", func(s *scene) {
			call, c := s.served("")
			b := s.phone(behaviour{provisional: []int{180}})
			c.execute("bridge", s.at(b))
			call.p.wait("180")
			call.cancel()
			b.wait("CANCEL")
			s.over(2)
		}},
		{"early-media-then-answer", func(s *scene) {
			call, c := s.served("")
			c.execute("bridge", s.at(s.phone(behaviour{provisional: []int{183}, heard: "183", after: 300 * time.Millisecond, status: 200})))
			call.p.wait("200")
			c.wait("CHANNEL_ANSWER", 1)
			call.bye()
			s.over(2)
		}},
		{"early-media-ignored", func(s *scene) {
			call, c := s.served("")
			c.execute("bridge", "{ignore_early_media=true}"+s.at(s.phone(behaviour{provisional: []int{183}, after: 800 * time.Millisecond, status: 200})))
			talk(c)
			call.p.wait("200")
			call.bye()
			s.over(2)
		}},
		{"early-media-then-busy", fails(func(s *scene) string {
			return s.at(s.phone(behaviour{provisional: []int{183}, heard: "183", after: 300 * time.Millisecond, status: 486}))
		})},
		{"answered-caller-is-bridged", func(s *scene) {
			call, c := s.served("")
			c.run("answer", "")
			call.p.wait("200")
			c.execute("bridge", "[api_on_answer=uuid_setvar "+c.uuid()+" hooked yes]"+s.at(s.phone(later)))
			talk(c)
			call.bye()
			s.over(2)
		}},
		{"hooks-of-an-answer", func(s *scene) {
			call, c := s.served("")
			c.run("set", "execute_on_answer_1=set hooked=yes")
			c.run("set", "execute_on_answer_2=set tried=yes")
			c.execute("bridge", s.at(s.phone(answers)))
			talk(c)
			call.p.wait("200")
			call.bye()
			s.over(2)
		}},
		{"originated-and-parked", func(s *scene) {
			in := s.link()
			in.api("originate {origination_caller_id_number=+12125550123}" + s.at(s.phone(later)) + " &park()")
			s.saw("CHANNEL_PARK", 1)
			in.api("uuid_kill " + s.saw("CHANNEL_CREATE", 1).UUID())
			s.over(1)
		}},
		{"originate-fails", func(s *scene) {
			in := s.link()
			in.api("originate " + s.at(s.phone(behaviour{status: 486})) + " &park()")
			in.api("originate user/nosuch &park")
			in.api("originate user/1001@127.0.0.1 &park")
			in.api("originate error/NO_ANSWER &park")
			s.over(1)
		}},
	}
}

// hangup ends the call that came in.
func (p *phone) hangup() {
	p.mu.Lock()
	c := p.first
	p.mu.Unlock()
	c.seq = 7
	c.remote = c.invite.get("From")
	c.request("BYE")
}
