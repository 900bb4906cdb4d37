package fssim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/sound"
)

// apiConference is "conference <name> <command> ..." and the commands without a name.
func apiConference(s *Switch, _ *channel, arg string) string {
	a := splitArgs(arg, 25)
	if len(a) == 0 {
		s.unknown("api conference without a command")
		return ""
	}
	r := s.findRoom(a[0])
	if r == nil {
		switch strings.ToLower(a[0]) {
		case "list":
			return s.listRooms()
		case "count":
			return strconv.Itoa(len(s.allRooms()))
		case "json_list":
			return roomsJSON(s.allRooms())
		}
		if len(a) > 1 && (strings.EqualFold(a[1], "dial") || strings.EqualFold(a[1], "bgdial")) {
			s.unknown("api conference " + a[1])
		}
		return "-ERR Conference " + a[0] + " not found\n"
	}
	if len(a) < 2 {
		return "Conference command, not specified.\nTry 'help'\n"
	}
	return r.command(a)
}

func (s *Switch) listRooms() string {
	var b strings.Builder
	for _, r := range s.allRooms() {
		b.WriteString(r.summary())
		b.WriteString(r.list())
	}
	if b.Len() == 0 {
		return "+OK No active conferences.\n"
	}
	return b.String()
}

// summary is the line of one room in "conference list".
func (r *room) summary() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var flags []string
	for _, f := range []struct {
		on   bool
		name string
	}{{r.locked, "locked"}, {r.destruct, "destruct"}, {r.waitMod, "wait_mod"}, {r.running, "running"}, {r.answered, "answered"},
		{r.enforceMin, "enforce_min"}, {true, "dynamic"}, {true, "exit_sound"}, {true, "enter_sound"}, {true, "json_status"}} {
		if f.on {
			flags = append(flags, f.name)
		}
	}
	plural, locked := "s", ""
	if r.count == 1 {
		plural = ""
	}
	if r.locked {
		locked = " locked"
	}
	return fmt.Sprintf("+OK Conference %s (%d member%s rate: 8000%s flags: %s)\n", r.name, r.count, plural, locked, strings.Join(flags, "|"))
}

// list is one line a member.
func (r *room) list() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, m := range r.members {
		var flags []string
		for _, f := range []struct {
			on   bool
			name string
		}{{m.hear && !m.hold, "hear"}, {m.speak && !m.hold, "speak"}, {r.talks(m), "talking"}, {m.hold, "hold"}, {r.floor == m.id, "floor"},
			{m.moderator, "moderator"}, {m.ghost, "ghost"}} {
			if f.on {
				flags = append(flags, f.name)
			}
		}
		m.c.mu.Lock()
		name, number := m.c.caller.cidName, m.c.caller.cidNum
		m.c.mu.Unlock()
		fmt.Fprintf(&b, "%d;%s;%s;%s;%s;%s;0;0;%d\n", m.id, m.c.name, m.c.uuid, name, number, strings.Join(flags, "|"), r.energy)
	}
	return b.String()
}

// command carries out "<name> <command> ...".
func (r *room) command(a []string) string {
	rest := append(append([]string(nil), a[2:]...), "", "")
	switch cmd := strings.ToLower(a[1]); cmd {
	case "list":
		if strings.EqualFold(rest[0], "count") {
			r.mu.Lock()
			defer r.mu.Unlock()
			return strconv.Itoa(r.count)
		}
		return r.list()
	case "count":
		r.mu.Lock()
		defer r.mu.Unlock()
		return strconv.Itoa(r.count)
	case "json_list":
		return roomsJSON([]*room{r})
	case "lock", "unlock":
		r.mu.Lock()
		defer r.mu.Unlock()
		r.locked = cmd == "lock"
		r.publish(nil, wire.Field{Name: "Action", Value: cmd})
		return fmt.Sprintf("+OK %s %sed\n", a[0], cmd)
	case "play":
		return r.play(rest)
	case "stop":
		return r.stop(rest)
	case "say", "saymember": // no module of speech is loaded here
		return "-ERR (" + cmd + ") Error!\n" + cmd + map[string]string{"say": " <text>", "saymember": " <member_id> <text>"}[cmd]
	case "transfer":
		return r.transfer(a)
	case "mute", "unmute", "deaf", "undeaf", "kick", "hup", "dtmf", "floor", "get-uuid":
		return r.each(cmd, a[2:])
	}
	r.s.unknown("api conference NAME " + a[1])
	return "-ERR Conference command '" + a[1] + "' not found.\n"
}

// each applies a command to "all", "last", "non_moderator" or one member by number.
func (r *room) each(cmd string, a []string) string {
	who, data := "", ""
	if len(a) > 0 {
		who = a[0]
	}
	if len(a) > 1 {
		data = a[1]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var targets []*member
	switch id := atoi(who); {
	case strings.EqualFold(who, "all"), strings.EqualFold(who, "non_moderator"):
		out := ""
		for _, m := range r.members {
			if m.moderator && !strings.EqualFold(who, "all") {
				out += fmt.Sprintf("Skipping moderator (member id %d).\n", m.id)
				continue
			}
			out += r.apply(cmd, m, data)
		}
		return out
	case strings.EqualFold(who, "last"):
		for _, m := range r.members {
			if len(targets) == 0 || m.id > targets[0].id {
				targets = []*member{m}
			}
		}
	case id > 0:
		for _, m := range r.members {
			if m.id == id {
				targets = append(targets, m)
			}
		}
		if len(targets) == 0 {
			return fmt.Sprintf("-ERR Non-Existant ID %d\n", id)
		}
	default:
		return cmd + " <[member_id|all|last|non_moderator]>"
	}
	out := ""
	for _, m := range targets {
		out += r.apply(cmd, m, data)
	}
	return out
}

// apply does one member command. The caller holds mu.
func (r *room) apply(cmd string, m *member, data string) string {
	switch cmd {
	case "mute", "unmute":
		r.setSpeak(m, cmd == "unmute")
	case "deaf", "undeaf":
		r.setHear(m, cmd == "undeaf")
	case "kick":
		m.running = false
		r.publish(m, wire.Field{Name: "Action", Value: "kick-member"})
		m.c.signal()
		return fmt.Sprintf("+OK kicked %d\n", m.id)
	case "hup":
		m.running = false
		r.publish(m, wire.Field{Name: "Action", Value: "hup-member"})
		m.c.signal()
	case "dtmf":
		r.publish(m, wire.Field{Name: "Action", Value: "dtmf-member"}, wire.Field{Name: "Digits", Value: data})
		return fmt.Sprintf("+OK sent %s to %d\n", data, m.id)
	case "floor":
		switch r.floor {
		case m.id:
			r.setFloor(nil)
			r.stir() // somebody gets it within an interval
			return "+OK floor none\n"
		case 0:
			r.setFloor(m)
		default:
			return fmt.Sprintf("-ERR floor is held by %d\n", r.floor)
		}
	case "get-uuid":
		return m.c.uuid
	}
	return fmt.Sprintf("+OK %s %d\n", cmd, m.id)
}

// play is "play <file> [async|<member_id>]".
func (r *room) play(rest []string) string {
	src, ok := openSound(rest[0])
	if !ok {
		return "-ERR (play) File: " + firstNonEmpty(rest[0], "(unspecified)") + " not found.\n"
	}
	d := src.Length()
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest[1] != "" && !strings.EqualFold(rest[1], "async") {
		for _, m := range r.members {
			if m.id == atoi(rest[1]) {
				r.publish(m, wire.Field{Name: "Action", Value: "play-file-member"}, wire.Field{Name: "File", Value: rest[0]})
				from := time.Now()
				if m.playing.After(from) { // one after the other
					from = m.playing
				}
				m.playing = from.Add(d)
				r.sounds = append(r.sounds, roomSound{src: src, from: from, to: m})
				r.stirVoice()
				r.s.timers.after(time.Until(m.playing), func() { r.played(m, rest[0]) })
				return fmt.Sprintf("+OK (play) Playing file %s to member %d\n", rest[0], m.id)
			}
		}
		return "-ERR Member: " + rest[1] + " not found.\n"
	}
	async := rest[1] != ""
	r.publish(nil, wire.Field{Name: "Action", Value: "play-file"}, wire.Field{Name: "File", Value: rest[0]},
		wire.Field{Name: "Async", Value: strconv.FormatBool(async)})
	r.queue(rest[0], src, async)
	return "+OK (play) Playing file " + rest[0] + "\n"
}

// queue plays a sound to all: behind the one that plays, or over it when async. The caller holds mu.
func (r *room) queue(file string, src sound.Source, async bool) {
	from := time.Now()
	if r.playing.After(from) && !async { // one after the other
		from = r.playing
	}
	until := from.Add(src.Length())
	if !async {
		r.playing = until
	}
	r.sounds = append(r.sounds, roomSound{src: src, from: from, async: async})
	r.stirVoice()
	r.s.timers.after(time.Until(until), func() { r.played(nil, file) })
}

// played publishes that a file is over.
func (r *room) played(m *member, file string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.running {
		return
	}
	action := "play-file-done"
	if m != nil {
		action = "play-file-member-done"
	}
	r.publish(m, wire.Field{Name: "Action", Value: action}, wire.Field{Name: "File", Value: file})
}

// stop is "stop [all [<member_id>]]"; the file's end comes when it would have come.
func (r *room) stop(rest []string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest[0] != "" && !strings.EqualFold(rest[0], "all") {
		r.s.unknown("api conference NAME stop " + rest[0])
	}
	n := 0
	if rest[1] != "" {
		for _, m := range r.members {
			if m.id == atoi(rest[1]) {
				before := len(r.sounds)
				r.sounds = slices.DeleteFunc(r.sounds, func(s roomSound) bool { return s.to == m })
				m.playing = time.Time{}
				return fmt.Sprintf("+OK Stopped %d files.\n", before-len(r.sounds))
			}
		}
		return "-ERR Member: " + rest[1] + " not found.\n"
	}
	if r.playing.After(time.Now()) {
		n, r.playing = 1, time.Time{}
		r.sounds = slices.DeleteFunc(r.sounds, func(s roomSound) bool { return s.to == nil && !s.async })
	}
	return fmt.Sprintf("+OK Stopped %d files.\n", n)
}

// transfer is "<name> transfer <other name> <member id>...".
func (r *room) transfer(a []string) string {
	if len(a) < 4 {
		return "transfer <conference_name> <member id> [...<member id>]"
	}
	name, profile, ok := strings.Cut(a[2], "@")
	if !ok {
		profile = "default"
	}
	out := ""
	for _, id := range a[3:] {
		r.mu.Lock()
		var m *member
		for _, x := range r.members {
			if x.id == atoi(id) {
				m = x
			}
		}
		if m == nil {
			out += fmt.Sprintf("-ERR No Member %s in conference %s.\n", id, r.name)
			r.mu.Unlock()
			continue
		}
		m.c.set("last_transfered_conference", name)
		r.publish(m, wire.Field{Name: "Old-Conference-Name", Value: r.name}, wire.Field{Name: "New-Conference-Name", Value: a[2]},
			wire.Field{Name: "Action", Value: "transfer"})
		r.mu.Unlock()
		m.c.moveTo(transferTo{dest: "conference:" + name + "@" + profile, dialplan: "inline"})
		out += fmt.Sprintf("+OK Member '%d' sent to conference %s.\n", m.id, a[2])
	}
	return out
}

// roomsJSON is json_list, with the tabs of FreeSWITCH's printer.
func roomsJSON(rooms []*room) string {
	p := jsonPrinter{}
	p.open("[")
	for _, r := range rooms {
		r.mu.Lock()
		r.print(&p)
		r.mu.Unlock()
	}
	p.close("]")
	return p.String()
}

// print writes one room. The caller holds mu.
func (r *room) print(p *jsonPrinter) {
	now := time.Now()
	p.object("")
	p.field("conference_name", r.name)
	p.field("member_count", r.count)
	p.field("ghost_count", r.ghosts)
	p.field("rate", 8000)
	p.field("run_time", int(now.Unix()-r.began.Unix()))
	p.field("conference_uuid", r.uuid)
	for _, name := range []string{"canvas_count", "max_bw_in", "force_bw_in", "video_floor_packets"} {
		p.field(name, 0)
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{"locked", r.locked}, {"destruct", r.destruct}, {"wait_mod", r.waitMod}, {"audio_always", false}, {"running", r.running},
		{"answered", r.answered}, {"enforce_min", r.enforceMin}, {"bridge_to", false}, {"dynamic", true}, {"exit_sound", true},
		{"enter_sound", true}, {"recording", false}, {"video_bridge", false}, {"video_floor_only", false}, {"video_rfc4579", false}} {
		p.field(f.name, f.on)
	}
	if r.max > 0 {
		p.field("max_members", r.max)
	}
	p.object("variables")
	p.close("}")
	p.array("members")
	for _, m := range r.members {
		m.print(p, now, r)
	}
	p.close("]")
	p.close("}")
}

func (m *member) print(p *jsonPrinter, now time.Time, r *room) {
	m.c.mu.Lock()
	name, number := m.c.caller.cidName, m.c.caller.cidNum
	m.c.mu.Unlock()
	p.object("")
	p.field("type", "caller")
	p.field("id", m.id)
	p.object("flags")
	for _, f := range []struct {
		name string
		on   bool
	}{{"can_hear", m.hear && !m.hold}, {"can_see", m.see && !m.hold}, {"can_speak", m.speak && !m.hold}, {"hold", m.hold},
		{"mute_detect", m.muteDetect}, {"talking", r.talks(m)}, {"has_video", false}, {"video_bridge", false}, {"has_floor", r.floor == m.id},
		{"is_moderator", m.moderator}, {"end_conference", m.endConf}, {"mandatory_member_end_conference", m.mandatory},
		{"pass_digits", m.passDigits}} {
		p.field(f.name, f.on)
	}
	p.close("}")
	p.field("uuid", m.c.uuid)
	p.field("caller_id_name", name)
	p.field("caller_id_number", number)
	p.field("join_time", int(now.Unix()-m.joined.Unix()))
	p.field("last_talking", 0)
	p.field("energy", r.energy)
	for _, n := range []string{"volume_in", "volume_out", "output-volume", "input-volume"} {
		p.field(n, 0)
	}
	p.close("}")
}
