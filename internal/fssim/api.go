package fssim

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
)

// maxAPIDepth bounds how deep esl-allowed-api looks into commands that run others.
const maxAPIDepth = 8

// apiFunc is one API command; c is the channel whose dialplan asked, or nil. ok false means that there is no such
// command.
type apiFunc func(s *Switch, c *channel, arg string) string

// api runs an API command and returns what FreeSWITCH would.
func (s *Switch) api(c *channel, cmd, arg string) string {
	cmd = strings.ToLower(strings.TrimSpace(cmd))
	f := lookupAPI(cmd)
	if f == nil {
		s.unknown("api " + cmd)
		return "-ERR " + cmd + " Command not found!\n"
	}
	return f(s, c, strings.TrimRight(arg, "\r\n"))
}

func lookupAPI(cmd string) apiFunc {
	switch cmd {
	case "status", "version", "hostname", "switchname", "create_uuid", "global_getvar", "global_setvar", "uptime":
		return systemAPI(cmd)
	case "uuid_exists", "uuid_dump", "uuid_kill", "uuid_setvar", "uuid_setvar_multi", "uuid_getvar", "uuid_transfer",
		"uuid_broadcast", "uuid_break", "uuid_answer", "uuid_pre_answer", "uuid_park", "uuid_set_media_stats":
		return channelAPI(cmd)
	case "sched_api":
		return apiSchedAPI
	case "sched_del":
		return apiSchedDel
	case "sched_hangup":
		return apiSchedHangup
	case "show":
		return apiShow
	case "conference":
		return apiConference
	case "uuid_recv_dtmf":
		return apiRecvDTMF
	case "json":
		return apiJSON
	case "sofia":
		return apiSofia
	case "sofia_contact":
		return apiSofiaContact
	case "user_exists":
		return apiUserExists
	case "expand":
		return apiExpand
	case "eval":
		return apiEval
	case "bgapi":
		return apiBgapi
	case "cond":
		return apiCond
	case "expr":
		return func(s *Switch, _ *channel, arg string) string { return evalExpr(arg) }
	case "hupall":
		return apiHupall
	case "originate":
		return apiOriginate
	case "chat":
		return apiChat
	case "echo":
		return func(_ *Switch, _ *channel, arg string) string { return arg }
	case "reloadxml":
		return apiReload
	case "strftime":
		return func(*Switch, *channel, string) string { return time.Now().Format("2006-01-02 15:04:05") }
	}
	return lookAPI(cmd)
}

func systemAPI(cmd string) apiFunc {
	return func(s *Switch, _ *channel, arg string) string {
		switch cmd {
		case "status":
			return s.status()
		case "version":
			return "FreeSWITCH Version 1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit (git a88d069 2024-08-02 21:02:27Z 64bit)\n"
		case "create_uuid":
			return newUUID()
		case "global_getvar":
			v, _ := s.global(strings.TrimSpace(arg))
			return v
		case "global_setvar":
			name, value, _ := strings.Cut(arg, "=")
			s.setGlobal(strings.TrimSpace(name), value)
			return "+OK"
		case "uptime":
			return itoa(int(time.Since(s.started).Seconds()))
		}
		return s.opt.Hostname
	}
}

func (s *Switch) status() string {
	up := time.Since(s.started)
	total, now, peak := s.counts()
	return fmt.Sprintf("UP %d years, %d days, %d hours, %d minutes, %d seconds, %d milliseconds, %d microseconds\n"+
		"FreeSWITCH (Version 1.10.12-release git a88d069 2024-08-02 21:02:27Z 64bit) is ready\n"+
		"%d session(s) since startup\n%d session(s) - peak %d, last 5min %d \n"+
		"%d session(s) per Sec out of max 30, peak %d, last 5min %d \n%d session(s) max\n"+
		"min idle cpu 0.00/90.00\nCurrent Stack Size/Max 240K/8192K\n",
		int(up.Hours())/24/365, int(up.Hours())/24%365, int(up.Hours())%24, int(up.Minutes())%60,
		int(up.Seconds())%60, up.Milliseconds()%1000, up.Microseconds()%1000,
		total, now, peak, peak, 0, peak, peak, s.maxSessions.Load())
}

// apiJSON is "json {"command":"status"}", the only one of FreeSWITCH's JSON commands that is known here.
func apiJSON(s *Switch, _ *channel, arg string) string {
	var ask struct {
		Command string `json:"command"`
		Data    any    `json:"data"`
	}
	if err := json.Unmarshal([]byte(arg), &ask); err != nil || ask.Command == "" {
		return "-ERR\n"
	}
	if ask.Command != "status" {
		s.unknown("api json " + ask.Command)
		return `{"command":` + quoteJSON(ask.Command) + `,"status":"error","message":"The command failed"}` + "\n"
	}
	data, _ := json.Marshal(ask.Data) // it came from JSON
	up := time.Since(s.started)
	total, now, peak := s.counts()
	return fmt.Sprintf(`{"command":"status","data":%s,"status":"success","response":{"systemStatus":"ready","uptime":{"years":%d,`+
		`"days":%d,"hours":%d,"minutes":%d,"seconds":%d,"milliseconds":%d,"microseconds":%d},"version":%q,"sessions":{"count":{`+
		`"total":%d,"active":%d,"peak":%d,"peak5Min":0,"limit":%d},"rate":{"current":0,"max":30,"peak":%d,"peak5Min":0}},`+
		`"idleCPU":{"used":0,"allowed":90},"stackSizeKB":{"current":240,"max":8192}}}`, data,
		int(up.Hours())/24/365, int(up.Hours())/24%365, int(up.Hours())%24, int(up.Minutes())%60, int(up.Seconds())%60,
		up.Milliseconds()%1000, up.Microseconds()%1000, "1.10.12-release git a88d069 2024-08-02 21:02:27Z 64bit",
		total, now, peak, s.maxSessions.Load(), peak)
}

const noChannel = "-ERR No such channel!\n"

func channelAPI(cmd string) apiFunc {
	return func(s *Switch, self *channel, arg string) string {
		a := splitArgs(arg, 5)
		if len(a) == 0 {
			if cmd == "uuid_setvar" {
				return "-USAGE: <uuid> <var> [value]\n"
			}
			return "-USAGE: " + cmd + " <uuid>\n"
		}
		flag := ""
		if cmd == "uuid_transfer" && len(a) > 1 && strings.HasPrefix(a[1], "-") {
			flag = a[1]
			a = append(a[:1], a[2:]...)
		}
		c := s.find(a[0])
		if cmd == "uuid_exists" {
			return fmt.Sprint(c != nil)
		}
		if c == nil && cmd == "uuid_broadcast" {
			return "-ERR invalid uuid\n"
		}
		if c == nil {
			return noChannel
		}
		rest := ""
		if len(a) > 1 {
			_, rest, _ = strings.Cut(strings.TrimSpace(arg), " ")
			rest = strings.TrimLeft(rest, " ")
		}
		switch cmd {
		case "uuid_dump":
			return c.dump(rest)
		case "uuid_kill":
			cs := causeNormalClearing
			if rest != "" {
				cs = causeByName(rest)
			}
			c.hangup(cs)
			return "+OK\n"
		case "uuid_setvar":
			v := append(splitArgs(rest, 2), "", "")
			if v[0] == "" {
				return "-USAGE: <uuid> <var> [value]\n"
			}
			c.set(v[0], v[1])
			return "+OK\n"
		case "uuid_setvar_multi":
			for _, kv := range separate(rest, ';') {
				name, value, _ := strings.Cut(kv, "=")
				c.set(strings.TrimSpace(name), value)
			}
			return "+OK\n"
		case "uuid_getvar":
			v, ok := c.value(rest)
			if !ok {
				return "_undef_"
			}
			return v
		case "uuid_set_media_stats":
			if r := c.voice.Load(); r != nil {
				c.set("rtp_audio_in_packet_count", fmt.Sprint(r.came.Load()))
			}
			return "+OK:\n"
		case "uuid_transfer":
			return c.transferBy(a, flag)
		case "uuid_broadcast":
			return c.broadcast(a)
		case "uuid_break":
			c.mu.Lock()
			c.breakNow = true
			c.mu.Unlock()
			c.signal()
			return "+OK\n"
		case "uuid_park":
			c.moveTo(transferTo{park: true})
			return "+OK\n"
		}
		// uuid_answer and uuid_pre_answer are carried out by the owner.
		c.queuePrivate(executeCommand(strings.TrimPrefix(cmd, "uuid_"), ""))
		return "+OK\n"
	}
}

func (c *channel) transferBy(a []string, flag string) string {
	if len(a) < 2 {
		return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n"
	}
	for len(a) < 4 {
		a = append(a, "")
	}
	to := transferTo{dest: a[1], dialplan: a[2], context: a[3]}
	if flag == "-bleg" || flag == "-both" {
		if p := c.partner(); p != nil {
			p.moveTo(to)
		}
	}
	if flag != "-bleg" && !c.moveTo(to) {
		return "-ERR Operation failed\n"
	}
	return "+OK\n"
}

// broadcast plays a sound to the leg, or runs "app::arg" on it.
func (c *channel) broadcast(a []string) string {
	if len(a) < 2 {
		return "-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n"
	}
	app, arg := "playback", a[1]
	if l, r, ok := strings.Cut(a[1], "::"); ok {
		app, arg = l, r
	}
	cmd := executeCommand(app, arg)
	if len(a) > 2 && (a[2] == "bleg" || a[2] == "both") {
		if p := c.partner(); p != nil {
			p.queuePrivate(cmd)
		}
	}
	if len(a) < 3 || a[2] != "bleg" {
		c.queuePrivate(cmd)
	}
	return "+OK Message sent\n"
}

// dump is the channel's data as uuid_dump prints it: with its place in the sequence of events.
func (c *channel) dump(format string) string {
	f := append(c.s.stamp("CHANNEL_DATA", ""), c.data(true)...)
	if strings.TrimSpace(format) == "json" {
		frame := string(wire.AppendEventJSON(nil, f, nil))
		_, body, _ := strings.Cut(frame, "\n\n")
		return body
	}
	var b strings.Builder
	for _, x := range f {
		b.WriteString(x.Name + ": " + x.Value + "\n")
	}
	return b.String() + "\n"
}

// apiSchedAPI is "[+|@]<seconds> <group> <command>": "+" counts from now, "@" again and again, a bare number is a time
// since 1970.
func apiSchedAPI(s *Switch, _ *channel, arg string) string {
	when, rest, ok := strings.Cut(arg, " ")
	group, cmd, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 {
		return "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n"
	}
	cmd = strings.TrimSuffix(cmd, "&")
	at, every := int64(atoi(strings.TrimLeft(when, "+@"))), 0
	switch {
	case strings.HasPrefix(when, "+"):
		at += time.Now().Unix()
	case strings.HasPrefix(when, "@"):
		every = int(at)
		at += time.Now().Unix()
	}
	name, args, _ := strings.Cut(cmd, " ")
	id := s.sched.add(s, at, every, group, func() { s.api(nil, name, args) })
	if id == 0 {
		return "-ERR Too many tasks\n"
	}
	return fmt.Sprintf("+OK Added: %d\n", id)
}

func apiSchedDel(s *Switch, _ *channel, arg string) string {
	return fmt.Sprintf("+OK Deleted: %d\n", s.sched.del(s, strings.TrimSpace(arg)))
}

func apiSchedHangup(s *Switch, _ *channel, arg string) string {
	a := splitArgs(arg, 4)
	if len(a) < 2 {
		return "-USAGE: [+]<time> <uuid> [<cause>]\n"
	}
	c := s.find(a[1])
	if c == nil {
		return noChannel
	}
	cs := causeAllottedTimeout
	if len(a) > 2 {
		cs = causeByName(a[2])
	}
	at := int64(atoi(strings.TrimPrefix(a[0], "+")))
	if strings.HasPrefix(a[0], "+") {
		at += time.Now().Unix()
	}
	s.sched.add(s, at, 0, c.uuid, func() { c.hangup(cs) })
	return "+OK\n"
}

func apiHupall(s *Switch, _ *channel, arg string) string {
	a := splitArgs(arg, 3)
	cs := causeManagerRequest
	if len(a) > 0 {
		cs = causeByName(a[0])
	}
	for _, c := range s.sessions() {
		if len(a) < 3 || c.get(a[1]) == a[2] {
			c.hangup(cs)
		}
	}
	return "+OK hangup all channels with cause " + cs.String() + "\n"
}

func apiUserExists(s *Switch, _ *channel, arg string) string {
	a := splitArgs(arg, 3)
	if len(a) < 3 {
		return "-ERR\n"
	}
	return fmt.Sprint(s.user(a[1], a[2]) != nil)
}

// apiOriginate is "<dial string> &app(arg)" or "<dial string> <extension> [dialplan] [context]". It blocks until
// somebody answers.
func apiOriginate(s *Switch, _ *channel, arg string) string {
	dial, rest := cutDialString(arg)
	if dial == "" || rest == "" {
		return "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] [<cid_name>] [<cid_num>] [<timeout_sec>]\n"
	}
	peer, cs := s.originate(nil, dial)
	if peer == nil {
		return "-ERR " + cs.String() + "\n"
	}
	if app, ok := strings.CutPrefix(rest, "&"); ok {
		name, args, _ := strings.Cut(app, "(")
		peer.moveTo(transferTo{acts: []action{{name, strings.TrimSuffix(strings.TrimSpace(args), ")")}}})
	} else {
		a := append(splitArgs(rest, 4), "", "", "")
		peer.moveTo(transferTo{dest: a[0], dialplan: firstNonEmpty(a[1], "XML"), context: firstNonEmpty(a[2], "default")})
	}
	return "+OK " + peer.uuid + "\n"
}

// cutDialString finds the blank that ends the dial string: one outside brackets and quotes.
func cutDialString(s string) (dial, rest string) {
	s = strings.TrimSpace(s)
	depth := 0
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\'':
			quoted = !quoted
		case '{', '[', '<':
			depth++
		case '}', ']', '>':
			depth--
		case ' ':
			if depth <= 0 && !quoted {
				return s[:i], strings.TrimSpace(s[i:])
			}
		}
	}
	return s, ""
}
