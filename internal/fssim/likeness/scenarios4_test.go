package likeness

import "time"

// transferred: a call that was moved away from its controller's line by uuid_transfer or uuid_park is still held by the connection's
// end: FreeSWITCH takes the mark of a controlled channel off then, wherever the call is by now, and whoever is parked is parked no more.
func transferred() []scenario {
	// moved is a call whose controller has answered it and sent it to actions of the inline dialplan.
	moved := func(s *scene, prefix string, linger bool, actions string) (*call, *link, *link) {
		call := s.call(prefix)
		c := s.controller(prefix)
		if linger {
			c.cmd("linger 1")
		}
		c.cmd("myevents")
		c.run("answer", "")
		in := s.link()
		in.api("uuid_transfer " + c.uuid() + " " + actions + " inline")
		return call, c, in
	}
	// ends closes the controller's connection.
	ends := func(c *link) {
		_ = c.conn.Close()
		<-c.done
		c.dropEvents() // how many came is chance
	}
	// here is a bit of time in which a call that is let go would go.
	const here = 400 * time.Millisecond
	// stays looks that the caller is still there a moment later; then he hangs up.
	stays := func(s *scene, call *call, in, c *link, legs int) {
		s.Helper()
		<-time.After(here)
		in.api("uuid_exists " + c.uuid())
		call.p.wait("200")
		call.bye()
		s.saw("CHANNEL_HANGUP_COMPLETE", legs)
	}
	var all []scenario
	for _, k := range []struct {
		name, prefix string
		linger       bool
	}{{"", "", false}, {"-resuming", "5", false}, {"-lingering", "", true}} {
		all = append(all,
			scenario{"parked-elsewhere-and-lost" + k.name, func(s *scene) {
				call, c, in := moved(s, k.prefix, k.linger, "park")
				s.saw("CHANNEL_PARK", 2)
				ends(c)
				if k.prefix != "" { // in CS_RESET, where nothing happens to it any more
					stays(s, call, in, c, 1)
					return
				}
				s.saw("CHANNEL_HANGUP_COMPLETE", 1)
			}},
			scenario{"parked-elsewhere-before-others-and-lost" + k.name, func(s *scene) {
				call, c, in := moved(s, k.prefix, k.linger, "park,hangup:USER_BUSY")
				s.saw("CHANNEL_PARK", 2)
				ends(c)
				if k.prefix != "" {
					stays(s, call, in, c, 1)
					return
				}
				s.saw("CHANNEL_HANGUP_COMPLETE", 1)
			}},
			scenario{"plays-elsewhere-and-lost" + k.name, func(s *scene) {
				call, c, in := moved(s, k.prefix, k.linger, "playback:"+sound+"-1")
				s.saw("CHANNEL_EXECUTE playback", 1)
				ends(c)
				stays(s, call, in, c, 1) // but its playback is cut where socket_resume is true
			}},
			scenario{"talks-elsewhere-and-lost" + k.name, func(s *scene) {
				b := s.phone(behaviour{provisional: []int{180}, heard: "180", after: 100 * time.Millisecond, status: 200})
				call, c, in := moved(s, k.prefix, k.linger, "bridge:"+s.at(b))
				s.saw("CHANNEL_BRIDGE", 1)
				ends(c)
				if k.prefix != "" { // B is released, and A is left
					s.saw("CHANNEL_HANGUP_COMPLETE", 1)
					stays(s, call, in, c, 2)
					return
				}
				<-time.After(here)
				in.api("uuid_exists " + c.uuid())
				b.hangup()
				s.saw("CHANNEL_HANGUP_COMPLETE", 2)
			}},
		)
	}
	return append(all,
		scenario{"parked-by-uuid-park-and-lost", func(s *scene) {
			call, c := s.served("")
			c.run("answer", "")
			in := s.link()
			in.api("uuid_park " + c.uuid())
			s.saw("CHANNEL_PARK", 2)
			ends(c)
			stays(s, call, in, c, 1) // in CS_PARK, and parked no more
		}},
		scenario{"parked-elsewhere-and-exit", func(s *scene) {
			_, c, _ := moved(s, "", true, "park")
			s.saw("CHANNEL_PARK", 2)
			c.dropEvents()
			c.cmd("exit")
			c.gone()
			s.saw("CHANNEL_HANGUP_COMPLETE", 1)
			c.dropEvents()
		}},
		scenario{"lost-with-nothing-behind", func(s *scene) {
			s.call("4")
			c := s.controller("4")
			c.cmd("myevents")
			c.run("answer", "")
			ends(c)
			s.saw("CHANNEL_HANGUP_COMPLETE", 1)
		}},
	)
}
