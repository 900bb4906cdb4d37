package likeness

import (
	"time"
)

// controllers: what the connection that has a call may do, and what its end does.
func controllers() []scenario {
	return []scenario{
		{"exit-and-the-dialplan-goes-on", func(s *scene) {
			_, c := s.served("")
			c.cmd("exit")
			c.gone()
			s.over(1)
		}},
		{"exit-in-a-prompt-that-ends", func(s *scene) {
			_, c := s.served("")
			c.run("answer", "")
			c.execute("playback", sound+"700")
			c.wait("CHANNEL_EXECUTE playback", 1)
			c.cmd("exit")
			c.gone()
			s.over(1)
		}},
		{"exit-in-a-prompt-that-is-cut", func(s *scene) {
			_, c := s.served("5")
			c.run("answer", "")
			c.execute("playback", sound+"-1")
			c.wait("CHANNEL_EXECUTE playback", 1)
			c.cmd("exit")
			c.gone()
			s.over(1)
		}},
		{"lost-while-it-rings", func(s *scene) {
			call, c := s.served("5")
			b := s.phone(behaviour{provisional: []int{180}})
			c.execute("bridge", s.at(b))
			call.p.wait("180")
			_ = c.conn.Close()
			c.dropEvents() // how many came is chance
			b.wait("CANCEL")
			s.saw("CHANNEL_HANGUP_COMPLETE", 2)
		}},
		{"lost-while-two-talk", func(s *scene) {
			call, c := s.served("")
			b := s.phone(behaviour{provisional: []int{180}, heard: "180", after: 100 * time.Millisecond, status: 200})
			c.execute("bridge", s.at(b))
			talk(c)
			call.p.wait("200")
			_ = c.conn.Close()
			b.hangup()
			s.saw("CHANNEL_HANGUP_COMPLETE", 2)
		}},
		{"words-of-an-outbound-connection", func(s *scene) {
			_, c := s.served("")
			c.cmd("myevents")
			c.cmd("getvar destination_number")
			c.cmd("getvar nosuch")
			c.cmd("nolinger")
			c.cmd("linger")
			c.cmd("linger 1")
			c.cmd("event json CHANNEL_CREATE")
			c.cmd("event plain CHANNEL_CREATE")
			c.cmd("nixevent CHANNEL_CREATE")
			c.cmd("filter Event-Name CHANNEL_ANSWER")
			c.cmd("filter delete all")
			c.cmd("resume")
			c.cmd("nosuchverb")
			c.cmd("sendmsg 00000000-0000-0000-0000-000000000000\ncall-command: hangup")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"orders-one-after-the-other", func(s *scene) {
			_, c := s.served("")
			for _, v := range []string{"a=1", "b=2", "c=3"} {
				c.execute("set", v)
			}
			c.execute("answer", "")
			c.execute("playback", sound+"200")
			c.execute("set", "tried=yes")
			c.wait("CHANNEL_EXECUTE_COMPLETE set", 4)
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"an-order-said-twice", func(s *scene) {
			_, c := s.served("")
			c.run("answer", "")
			c.cmd("sendmsg\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: " + sound + "600\nloops: 2\nevent-lock: true")
			c.wait("CHANNEL_EXECUTE_COMPLETE playback", 2)
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"an-argument-in-the-body", func(s *scene) {
			_, c := s.served("")
			c.cmd("sendmsg\ncall-command: execute\nexecute-app-name: set\ncontent-type: text/plain\ncontent-length: 20\n\ntried=${expr(40+2)}x")
			c.wait("CHANNEL_EXECUTE_COMPLETE set", 1)
			c.cmd("getvar tried")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"the-guard-takes-the-call", func(s *scene) {
			_, c := s.served("")
			in := s.link()
			in.api("sched_api +2 guard-" + s.number + " uuid_transfer " + c.uuid() + " 'set:tried=yes,answer:,hangup:NO_ANSWER' inline")
			s.over(1)
			in.api("sched_del guard-" + s.number)
		}},
		{"the-guard-is-taken-off", func(s *scene) {
			_, c := s.served("")
			for range 2 {
				c.api("sched_api +30 guard-" + s.number + " uuid_kill " + c.uuid())
			}
			c.api("sched_del guard-" + s.number)
			c.api("sched_del guard-" + s.number)
			c.api("sched_hangup +30 " + c.uuid() + " NO_ANSWER")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"sound-that-does-not-exist", func(s *scene) {
			_, c := s.served("")
			c.run("answer", "")
			c.run("playback", "/nosuch/file.wav")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"broadcast-and-break", func(s *scene) {
			_, c := s.served("")
			c.run("answer", "")
			c.execute("playback", sound+"-1")
			c.wait("CHANNEL_EXECUTE playback", 1)
			in := s.link()
			in.api("uuid_break " + c.uuid())
			c.wait("CHANNEL_EXECUTE_COMPLETE playback", 1)
			in.api("uuid_broadcast " + c.uuid() + " set::tried=yes")
			c.wait("CHANNEL_EXECUTE_COMPLETE set", 1)
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
	}
}

// commands: what an inbound connection is told.
func commands() []scenario {
	return []scenario{
		{"commands-that-fail", func(s *scene) {
			in := s.link()
			const nobody = "00000000-0000-0000-0000-000000000000"
			for _, cmd := range []string{"nosuchcommand", "nosuchcommand x y", "uuid_exists " + nobody, "uuid_kill " + nobody, "uuid_setvar " + nobody + " a b",
				"uuid_getvar " + nobody + " a", "uuid_dump " + nobody, "uuid_transfer " + nobody + " 1000", "uuid_broadcast " + nobody + " x",
				"uuid_break " + nobody, "uuid_recv_dtmf " + nobody + " 1", "sched_del nosuch-" + s.number, "sched_hangup +10 " + nobody,
				"conference nosuch list", "conference nosuch json_list", "sofia_contact nosuch@127.0.0.1", "sofia_contact 1001@127.0.0.1",
				"user_exists id 1001 127.0.0.1", "user_exists id nosuch 127.0.0.1", "expr 6*7", "cond 1 == 1 ? yes : no", "eval ${domain}",
				"expand echo ${domain}", "echo a  b", "global_getvar domain", "global_getvar nosuch", "sched_api x", "uuid_setvar", "originate x"} {
				in.api(cmd)
			}
			in.cmd("nosuchverb")
			in.cmd("linger 5")
			in.cmd("sendmsg " + nobody + "\ncall-command: hangup")
			in.cmd("getvar x")
			in.cmd("noevents")
			in.cmd("event plain")
			in.cmd("nixevent")
			in.cmd("filter")
			in.cmd("myevents " + nobody)
			in.cmd("divert_events on")
			in.cmd("connect")
			in.cmd("exit")
			in.gone()
			in.dropEvents() // those of everybody else
		}},
		{"jobs", func(s *scene) {
			in := s.link()
			in.cmd("event plain BACKGROUND_JOB")
			in.cmd("bgapi expr 2*21\nJob-UUID: job-" + s.number)
			in.wait("BACKGROUND_JOB", 1)
			in.cmd("bgapi nosuchcommand\nJob-UUID: job2-" + s.number)
			in.wait("BACKGROUND_JOB", 2)
			s.streams["jobs"] = nil
			for _, e := range in.events {
				if e.Get("Job-UUID") == "job-"+s.number || e.Get("Job-UUID") == "job2-"+s.number {
					s.streams["jobs"] = append(s.streams["jobs"], s.names.event(e))
				}
			}
			in.dropEvents() // others' jobs are heard as well
		}},
		{"own-events-come-back", func(s *scene) {
			in := s.link()
			in.cmd("event plain CUSTOM likeness::" + s.number)
			in.cmd("sendevent CUSTOM\nEvent-Subclass: likeness::" + s.number + "\nX-Note: hello world & more\ncontent-length: 4\n\nbody")
			e := in.wait("likeness::"+s.number, 1)
			step := s.names.event(e)
			delete(step.Fields, "Event-UUID")
			s.streams["sent"] = append(s.streams["sent"], step)
		}},
		{"filtered", func(s *scene) {
			_, c := s.served("")
			in := s.link()
			in.cmd("filter Unique-ID " + c.uuid())
			in.cmd("event plain CHANNEL_EXECUTE CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE")
			pause(300 * time.Millisecond)
			in.dropEvents() // what was on its way
			c.run("set", "tried=yes")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			in.wait("CHANNEL_HANGUP_COMPLETE", 1)
			s.over(1)
		}},
		{"events-of-a-call-from-outside", func(s *scene) {
			_, c := s.served("")
			in := s.link()
			in.cmd("myevents " + c.uuid())
			c.run("set", "tried=yes")
			c.run("answer", "")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			in.gone()
			s.over(1)
		}},
		{"taken-up-from-outside", func(s *scene) {
			_, c := s.served("")
			in := s.link()
			in.api("uuid_setvar " + c.uuid() + " tried ${destination_number} it's 'two  words'")
			in.api("uuid_getvar " + c.uuid() + " tried")
			in.api("uuid_getvar " + c.uuid() + " nosuch")
			in.api("uuid_setvar " + c.uuid() + " tried")
			in.api("uuid_getvar " + c.uuid() + " tried")
			in.api("uuid_setvar_multi " + c.uuid() + " tried=1;hooked=2")
			in.api("uuid_exists " + c.uuid())
			in.cmd("sendmsg " + c.uuid() + "\ncall-command: execute\nexecute-app-name: answer\nevent-lock: true")
			s.saw("CHANNEL_EXECUTE_COMPLETE answer", 1)
			in.api("uuid_transfer " + c.uuid() + " 'set:hooked=3,hangup:CALL_REJECTED' inline")
			s.over(1)
		}},
		{"park-and-unpark", func(s *scene) {
			_, c := s.served("")
			in := s.link()
			in.api("uuid_park " + c.uuid())
			s.saw("CHANNEL_PARK", 2)
			in.api("uuid_kill " + c.uuid() + " NO_ANSWER")
			s.over(1)
		}},
		{"withheld-caller", func(s *scene) {
			_, c := s.served("", "Privacy: id", "P-Asserted-Identity: \"Bob\" <sip:+12125550199@127.0.0.1>",
				"Diversion: <sip:+1@h>;reason=user-busy", "Diversion: <sip:+2@h>;reason=unconditional", "X-Likeness: ${uuid}")
			c.execute("bridge", s.at(s.phone(behaviour{status: 486})))
			s.over(2)
		}},
	}
}

// digits: DTMF, from the voice stream and from outside.
func digits() []scenario {
	answered := func(s *scene) (*call, *link) {
		call, c := s.served("")
		c.run("answer", "")
		call.p.wait("200")
		pause(100 * time.Millisecond) // FreeSWITCH opens its ear after the answer
		return call, c
	}
	end := func(s *scene, c *link) {
		c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
		s.over(1)
	}
	return []scenario{
		{"digit-ends-a-prompt", func(s *scene) {
			call, c := answered(s)
			c.execute("playback", sound+"-1")
			c.wait("CHANNEL_EXECUTE playback", 1)
			call.press('1')
			c.wait("DTMF", 1)
			call.press('*')
			c.wait("CHANNEL_EXECUTE_COMPLETE playback", 1)
			end(s, c)
		}},
		{"digits-are-collected", func(s *scene) {
			call, c := answered(s)
			c.execute("play_and_get_digits", "1 4 2 3000 # "+sound+"-1 "+sound+"20 choice ^[0-9]+$ 3000")
			c.wait("CHANNEL_EXECUTE play_and_get_digits", 1)
			for _, key := range []byte("42#") {
				call.press(key)
			}
			c.wait("CHANNEL_EXECUTE_COMPLETE play_and_get_digits", 1)
			end(s, c)
		}},
		{"digits-are-wrong-and-then-missing", func(s *scene) {
			_, c := answered(s)
			c.execute("play_and_get_digits", "1 1 2 1000 # "+sound+"100 "+sound+"20 choice [12]")
			c.wait("CHANNEL_EXECUTE play_and_get_digits", 1)
			c.api("uuid_recv_dtmf " + c.uuid() + " 7")
			c.wait("CHANNEL_EXECUTE_COMPLETE play_and_get_digits", 1)
			end(s, c)
		}},
		{"digits-are-read", func(s *scene) {
			_, c := answered(s)
			c.execute("read", "2 3 "+sound+"-1 choice 2000 #")
			c.wait("CHANNEL_EXECUTE read", 1)
			c.api("uuid_recv_dtmf " + c.uuid() + " 123")
			c.wait("CHANNEL_EXECUTE_COMPLETE read", 1)
			c.execute("read", "2 3 "+sound+"20 choice 1000 #")
			c.wait("CHANNEL_EXECUTE_COMPLETE read", 2)
			end(s, c)
		}},
		{"digits-that-nobody-waits-for", func(s *scene) {
			_, c := answered(s)
			c.api("uuid_recv_dtmf " + c.uuid() + " 5@200")
			c.wait("DTMF", 1)
			c.api("uuid_recv_dtmf " + c.uuid() + " x")
			end(s, c)
		}},
		{"digits-while-two-talk", func(s *scene) {
			call, c := s.served("")
			c.execute("bridge", s.at(s.phone(behaviour{status: 200})))
			talk(c)
			call.p.wait("200")
			c.api("uuid_recv_dtmf " + c.uuid() + " 9")
			c.wait("DTMF", 1)
			call.bye()
			s.over(2)
		}},
	}
}

// rooms: conferences.
func rooms() []scenario {
	// joined is an answered caller in the scene's room.
	joined := func(s *scene, flags string, n int, vars ...string) (*call, *link) {
		call, c := s.served("")
		c.run("answer", "")
		for _, v := range vars {
			c.run("set", v)
		}
		call.p.wait("200")
		c.cmd("sendmsg\ncall-command: execute\nexecute-app-name: conference\nexecute-app-arg: room-" + s.number + "@default" + flags)
		s.saw("conference::maintenance add-member", n)
		s.saw("conference::maintenance floor-change", 1)
		return call, c
	}
	return []scenario{
		{"room-of-one", func(s *scene) {
			call, c := joined(s, "", 1)
			room := "conference room-" + s.number
			for _, cmd := range []string{" list", " list count", " count", " json_list", " mute last", " list", " unmute all", " deaf 99", " deaf last", " undeaf last",
				" get-uuid last", " play /nosuch.wav", " nosuch", " lock", " unlock", ""} {
				c.api(room + cmd)
			}
			call.bye()
			s.saw("conference::maintenance conference-destroy", 1)
			s.over(1)
			s.link().api(room + " list")
		}},
		{"room-of-two-guest-leaves-first", func(s *scene) {
			host, c := joined(s, "+flags{moderator}", 1)
			guest, _ := joined(s, "", 2)
			c.api("conference room-" + s.number + " list")
			guest.bye()
			s.saw("conference::maintenance del-member", 1)
			s.saw("CHANNEL_HANGUP_COMPLETE", 1)
			host.bye()
			s.saw("conference::maintenance conference-destroy", 1)
			s.over(2)
		}},
		{"room-ends-with-its-host", func(s *scene) {
			host, _ := joined(s, "+flags{endconf}", 1)
			joined(s, "+flags{mute}", 2)
			host.bye()
			s.saw("conference::maintenance conference-destroy", 1)
			s.over(2)
		}},
		{"room-ends-and-the-guest-goes-on", func(s *scene) {
			host, _ := joined(s, "+flags{endconf}", 1)
			call, c := s.served("")
			c.run("answer", "")
			c.run("set", "hangup_after_conference=false")
			call.p.wait("200")
			c.execute("conference", "room-"+s.number+"@default")
			s.saw("conference::maintenance add-member", 2)
			host.bye()
			c.wait("CHANNEL_EXECUTE_COMPLETE conference", 1)
			c.run("set", "tried=yes")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(2)
		}},
		{"room-that-must-exist", func(s *scene) {
			_, c := s.served("")
			c.run("answer", "")
			c.execute("conference", "room-"+s.number+"@default+flags{join-only}")
			s.over(1)
		}},
		{"room-that-must-exist-and-the-caller-goes-on", func(s *scene) {
			_, c := s.served("")
			c.run("answer", "")
			c.run("set", "hangup_after_conference=false")
			c.run("conference", "room-"+s.number+"@default+flags{join-only}")
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"room-that-is-locked", func(s *scene) {
			host, c := joined(s, "", 1)
			c.api("conference room-" + s.number + " lock")
			_, g := s.served("")
			g.run("answer", "")
			g.run("conference", "room-"+s.number+"@default")
			g.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			g.wait("CHANNEL_HANGUP_COMPLETE", 1)
			host.bye()
			s.over(2)
		}},
		{"kicked-out-of-the-room", func(s *scene) {
			_, c := joined(s, "", 1)
			c.api("conference room-" + s.number + " kick last")
			c.wait("CHANNEL_EXECUTE_COMPLETE conference", 1)
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"hung-out-of-the-room", func(s *scene) {
			_, c := joined(s, "", 1, "hangup_after_conference=false")
			c.api("conference room-" + s.number + " hup last")
			c.wait("CHANNEL_EXECUTE_COMPLETE conference", 1)
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"keys-in-the-room", func(s *scene) {
			_, c := joined(s, "", 1, "hangup_after_conference=false")
			for i, key := range []string{"0", "0", "*", "*"} {
				c.api("uuid_recv_dtmf " + c.uuid() + " " + key)
				c.wait("DTMF", i+1)
				pause(200 * time.Millisecond)
			}
			c.api("uuid_recv_dtmf " + c.uuid() + " #")
			c.wait("CHANNEL_EXECUTE_COMPLETE conference", 1)
			c.cmd("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING")
			s.over(1)
		}},
		{"orders-inside-the-room", func(s *scene) {
			call, c := joined(s, "", 1)
			c.run("set", "tried=yes")
			c.api("uuid_getvar " + c.uuid() + " conference_name")
			call.bye()
			s.over(1)
		}},
		{"controller-lost-in-the-room", func(s *scene) {
			call, c := joined(s, "", 1)
			c.cmd("exit")
			c.gone()
			call.bye()
			s.saw("conference::maintenance conference-destroy", 1)
			s.over(1)
		}},
		{"taken-out-of-the-room-by-transfer", func(s *scene) {
			_, c := joined(s, "", 1)
			s.link().api("uuid_transfer " + c.uuid() + " 'set:tried=yes,hangup:NO_ANSWER' inline")
			s.saw("conference::maintenance conference-destroy", 1)
			s.over(1)
		}},
		{"early-caller-is-answered-by-the-room", func(s *scene) {
			call, c := s.served("")
			c.execute("conference", "room-"+s.number+"@default")
			s.saw("conference::maintenance floor-change", 1)
			call.p.wait("200")
			call.bye()
			s.over(1)
		}},
	}
}
