package likeness

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/fssim"
	"github.com/signalbox/signalbox/internal/lab"
)

// world is a switch, simulated or real, with a controller's listener that its dialplan names and one connection that sees
// the events of all legs.
type world struct {
	t                  *testing.T
	simulator          *fssim.Switch // nil = a real one
	esl, password      string
	external, internal netip.AddrPort
	listener           net.Listener
	version            string

	mu      sync.Mutex
	calls   map[string]chan *link // by the number that was called
	legs    map[string]string     // scene's number by UUID
	logs    map[string]*log
	monitor *link
}

// conf is the dialplan of both: numbers of four digits go to the controller. Behind 5 the application is interrupted when
// the controller dies, behind 6 the dialplan answers by itself, behind 4 there is no
// action after the controller.
func conf(controller string) lab.Dropins {
	return lab.Dropins{"dialplan/public.xml": `<include>
  <context name="public">
    <extension name="resumes">
      <condition field="destination_number" expression="^5\d{4}$">
        <action application="set" data="socket_resume=true"/>
        <action application="socket" data="` + controller + ` async full"/>
        <action application="hangup" data="CALL_REJECTED"/>
      </condition>
    </extension>
    <extension name="plays-on">
      <condition field="destination_number" expression="^7\d{3}$">
        <action application="socket" data="` + controller + ` async full"/>
        <action application="hangup" data="CALL_REJECTED"/>
      </condition>
    </extension>
    <extension name="nothing-behind">
      <condition field="destination_number" expression="^4\d{4}$">
        <action application="socket" data="` + controller + ` async full"/>
      </condition>
    </extension>
    <extension name="dialplan-alone">
      <condition field="destination_number" expression="^6\d{4}$">
        <action application="set" data="tried=yes"/>
        <action application="ring_ready"/>
        <action application="respond" data="404 Nobody Here"/>
      </condition>
    </extension>
  </context>
</include>
`}
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// startSimulator runs a simulator.
func startSimulator(t *testing.T) *world {
	w := &world{t: t, listener: listen(t), password: "ClueCon"}
	dir := t.TempDir()
	files := conf(w.listener.Addr().String())
	files["freeswitch.xml"] = "<document type=\"freeswitch/xml\">\n<section name=\"dialplan\">\n" +
		"<X-PRE-PROCESS cmd=\"include\" data=\"dialplan/*.xml\"/>\n</section>\n</document>\n"
	if err := files.Write(dir); err != nil {
		t.Fatal(err)
	}
	o := fssim.Options{Conf: dir, Digest: true, Heartbeat: 3600}
	for _, name := range []string{"1000", "1001", "1002"} {
		o.Users = append(o.Users, fssim.User{Name: name, Domain: "127.0.0.1", Password: "1234", Vars: vanillaUser(name)})
	}
	sw, err := fssim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	runSwitch(t, sw)
	w.simulator, w.esl, w.external, w.internal = sw, sw.EventSocketAddr().String(), sw.ExternalAddr(), sw.InternalAddr()
	w.open()
	return w
}

// startFreeSWITCH runs a real one with a copy of its vanilla configuration.
func startFreeSWITCH(t *testing.T, binary string) *world {
	w := &world{t: t, listener: listen(t)}
	at, stop, err := lab.Vanilla{Program: binary, Dir: t.TempDir()}.Start(t.Context(), conf(w.listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	w.esl, w.password, w.external, w.internal = at.EventSocket, at.Password, at.External, at.Internal
	w.open()
	return w
}

// open connects what sees all events, and takes the calls.
func (w *world) open() {
	w.calls, w.legs, w.logs = map[string]chan *link{}, map[string]string{}, map[string]*log{}
	w.monitor = w.dial(w.t)
	w.monitor.mu.Lock()
	w.monitor.sort = w.sort
	w.monitor.mu.Unlock()
	w.version = strings.TrimSpace(w.monitor.api("version"))
	w.monitor.cmd("event plain CHANNEL_CREATE CHANNEL_DESTROY CHANNEL_STATE CHANNEL_CALLSTATE CHANNEL_ANSWER CHANNEL_HANGUP " +
		"CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PROGRESS " +
		"CHANNEL_PROGRESS_MEDIA CHANNEL_OUTGOING CHANNEL_ORIGINATE CHANNEL_PARK CHANNEL_UNPARK DTMF CUSTOM conference::maintenance")
	go func() {
		for {
			conn, err := w.listener.Accept()
			if err != nil {
				return
			}
			go w.take(conn)
		}
	}()
}

// dial opens an inbound connection.
func (w *world) dial(t testing.TB) *link {
	t.Helper()
	conn, err := net.Dial("tcp", w.esl)
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(t, conn)
	l.until(patience, func() bool { return len(l.replies) == 1 })
	l.mu.Lock()
	l.replies = nil // the greeting
	l.mu.Unlock()
	if m := l.cmd("auth " + w.password); m.Header.Get("Reply-Text") != "+OK accepted" {
		t.Fatalf("auth: %s", m.Header.Get("Reply-Text"))
	}
	l.forget()
	return l
}

// forget leaves what was said so far out of the transcript.
func (l *link) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replies, l.sent = nil, nil
}

// take finds out whose call a connection of the switch is.
func (w *world) take(conn net.Conn) {
	l := newLink(w.t, conn)
	l.write("connect")
	if !l.until(patience, func() bool { return len(l.replies) == 1 }) {
		return
	}
	e, err := wire.ParseEvent(l.replies[0])
	if err != nil {
		w.t.Errorf("connect: %v", err)
		return
	}
	w.of(e.Get("Channel-Destination-Number")) <- l
}

func (w *world) of(number string) chan *link {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls[number] == nil {
		w.calls[number] = make(chan *link, 10)
	}
	return w.calls[number]
}

// scene is one scenario on one switch. Everything in it carries its number, so that scenes can be played at the same time.
type scene struct {
	*testing.T
	w       *world
	number  string // four digits
	phones  []*phone
	names   *normal
	streams transcript
	links   []namedLink
	log     *log
	members []string // number, name, ...
}

type namedLink struct {
	name string
	l    *link
}

// phone is a further party, <phone1> and so on in the transcript.
func (s *scene) phone(b behaviour) *phone {
	p := newPhone(s, b)
	if p.other = p; len(s.phones) > 0 {
		p.other = s.phones[0]
	}
	s.phones = append(s.phones, p)
	s.names.name(p.addr.String(), fmt.Sprintf("<phone%d>", len(s.phones)))
	return p
}

// at is the dial string of a phone.
func (s *scene) at(p *phone) string {
	return "sofia/external/sip:b" + s.number + "@" + p.addr.String()
}

// call has a new caller call the scene's number, with a digit in front that chooses another extension or none.
func (s *scene) call(prefix string, headers ...string) *call {
	return s.phone(behaviour{}).call(s.w.external, prefix+s.number, headers...)
}

// controller waits for the switch to hand the call over.
func (s *scene) controller(prefix string) *link {
	s.Helper()
	select {
	case l := <-s.w.of(prefix + s.number):
		l.t = s
		name := "controller"
		if n := len(s.links); n > 0 {
			name = fmt.Sprintf("controller %d", n+1)
		}
		s.links = append(s.links, namedLink{name, l})
		return l
	case <-time.After(patience):
		s.Fatal("the switch does not hand the call over")
	}
	return nil
}

// served is a call that the controller has taken with linger and its events.
func (s *scene) served(prefix string, headers ...string) (*call, *link) {
	s.Helper()
	c := s.call(prefix, headers...)
	l := s.controller(prefix)
	l.cmd("linger 1")
	l.cmd("myevents")
	return c, l
}

// link is an inbound connection whose replies belong to the transcript.
func (s *scene) link() *link {
	l := s.w.dial(s)
	name := fmt.Sprintf("link %d", len(s.links)+1)
	s.links = append(s.links, namedLink{name, l})
	return l
}

// uuid is the leg a controller's connection belongs to.
func (l *link) uuid() string { return legOf(l) }

var numberIn = regexp.MustCompile(`7[0-9]{3}`)

// log are the events of one scene's legs and rooms, in order.
type log struct {
	mu     sync.Mutex
	events []*wire.Event
	news   chan struct{}
}

func (w *world) log(number string) *log {
	if w.logs[number] == nil {
		w.logs[number] = &log{news: make(chan struct{}, 1)}
	}
	return w.logs[number]
}

// sort gives an event to the scene whose number is in what the leg called, or in the name of the room.
func (w *world) sort(e *wire.Event) {
	w.mu.Lock()
	number := w.legs[e.UUID()]
	if number == "" {
		for _, name := range []string{"Caller-Destination-Number", "Conference-Name", "Other-Leg-Destination-Number"} {
			if number == "" {
				number = numberIn.FindString(e.Get(name))
			}
		}
		if e.UUID() != "" {
			w.legs[e.UUID()] = number
		}
	}
	l := w.log(number)
	w.mu.Unlock()
	l.mu.Lock()
	l.events = append(l.events, e)
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// saw waits until the n-th event of a key has come for any leg of the scene.
func (s *scene) saw(k string, n int) *wire.Event {
	s.Helper()
	deadline := time.After(patience)
	for {
		var have []string
		s.log.mu.Lock()
		i := 0
		for _, e := range s.log.events {
			have = append(have, key(e))
			if key(e) == k {
				if i++; i == n {
					s.log.mu.Unlock()
					return e
				}
			}
		}
		s.log.mu.Unlock()
		select {
		case <-s.log.news:
		case <-deadline:
			s.Fatalf("%s does not come (%d); there were: %s", k, n, strings.Join(have, ", "))
		}
	}
}

// transcript is what was seen, when nothing is going on any more.
func (s *scene) transcript() transcript {
	s.settled()
	pause(50 * time.Millisecond) // the last message on the way to a phone
	out := s.streams
	w := s.w
	s.names.name(w.external.String(), "<external>")
	s.names.name(w.internal.String(), "<internal>")
	s.names.name(w.listener.Addr().String(), "<controller>")
	s.log.mu.Lock()
	events := slices.Clone(s.log.events)
	s.log.mu.Unlock()
	for _, e := range events {
		if e.Name() == "CHANNEL_CREATE" {
			s.names.name(e.UUID(), "<"+s.letter(e)+">")
		}
		if id := e.Get("Member-ID"); e.Get("Action") == "add-member" {
			s.members = append(s.members, id, fmt.Sprintf("<member%d>", len(s.members)/2+1))
		}
	}
	for _, e := range events {
		stream := "room"
		if e.UUID() != "" {
			stream = "leg " + strings.Trim(s.names.text(e.UUID()), "<>")
			if e.Name() == "CUSTOM" {
				stream += " in the room"
			}
		}
		out[stream] = append(out[stream], s.memberless(pick(s.names.event(e))))
	}
	for _, nl := range s.links {
		nl.l.mu.Lock()
		for i, m := range nl.l.replies {
			step := s.names.reply(nl.l.sent[min(i, len(nl.l.sent)-1)], m)
			if step.Key == "connect" {
				step = pick(step)
			}
			step = s.memberless(step)
			out[nl.name] = append(out[nl.name], step)
		}
		for _, m := range nl.l.notices {
			out[nl.name+" notices"] = append(out[nl.name+" notices"], s.names.reply("notice", m))
		}
		for _, e := range nl.l.events {
			if nl.l.older(e) {
				continue
			}
			out[nl.name+" events"] = append(out[nl.name+" events"], step{Key: key(e)})
		}
		nl.l.mu.Unlock()
	}
	for i, p := range s.phones {
		p.mu.Lock()
		for _, seen := range p.seen {
			out[fmt.Sprintf("phone%d", i+1)] = append(out[fmt.Sprintf("phone%d", i+1)], step{Key: s.names.text(seen)})
		}
		p.mu.Unlock()
	}
	for stream, steps := range out {
		if strings.HasPrefix(stream, "leg ") {
			out[stream] = onlyNews(steps)
		}
	}
	return out
}

// letter names a leg by the phone it leads to: legs that are made at once have no order.
func (s *scene) letter(e *wire.Event) string {
	name := s.names.text(e.Get("Channel-Name"))
	for i := range s.phones {
		if strings.HasSuffix(name, fmt.Sprintf("<phone%d>", i+1)) {
			return string(rune('A' + i))
		}
	}
	return "Z"
}

// older tells the events that were on their way when the connection asked for events: how many of them come is chance.
func (l *link) older(e *wire.Event) bool {
	if e.Name() == "CHANNEL_PARK" {
		return true
	}
	for i, m := range l.replies {
		if l.sent[i] == "connect" {
			data, err := wire.ParseEvent(m)
			return err == nil && e.Sequence() < data.Sequence()
		}
	}
	return false
}

// memberless takes the numbers of conference members, which the switch counts for all rooms, out of a step.
func (s *scene) memberless(st step) step {
	for name, v := range st.Fields {
		numbered := name == "Member-ID" || name == "New-ID" || name == "Old-ID" || name == "variable_conference_member_id"
		for i := 0; i < len(s.members); i += 2 {
			id := regexp.MustCompile(`\b` + s.members[i] + `\b`)
			switch {
			case numbered && v == s.members[i]:
				st.Fields[name] = s.members[i+1]
			case name == "body" && strings.Contains(st.Key, "room-"+s.number+" json_list"):
				st.Fields[name] = strings.Replace(st.Fields[name], "\"id\":\t"+s.members[i], "\"id\":\t"+s.members[i+1], 1)
			case name == "body" && strings.Contains(st.Key, "conference room-"):
				st.Fields[name] = replaceFirsts(st.Fields[name], id, s.members[i+1])
			}
		}
	}
	return st
}

// replaceFirsts replaces the first match in each line.
func replaceFirsts(text string, what *regexp.Regexp, by string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if at := what.FindStringIndex(l); at != nil {
			lines[i] = l[:at[0]] + by + l[at[1]:]
		}
	}
	return strings.Join(lines, "\n")
}

// settled waits until every leg of the scene has been taken down.
func (s *scene) settled() {
	s.Helper()
	deadline := time.After(patience)
	for {
		alive := map[string]bool{}
		s.log.mu.Lock()
		for _, e := range s.log.events {
			switch {
			case e.Name() == "CHANNEL_CREATE":
				alive[e.UUID()] = true
			case e.Name() == "CHANNEL_STATE" && e.Get("Channel-State") == "CS_DESTROY":
				delete(alive, e.UUID())
			}
		}
		s.log.mu.Unlock()
		if len(alive) == 0 {
			return
		}
		select {
		case <-s.log.news:
		case <-deadline:
			s.Fatalf("%d legs are never taken down", len(alive))
		}
	}
}

// read are the headers that Signalbox reads of a leg's event, and those that tell a leg's life.
var read = []string{"Channel-State", "Channel-Call-State", "Answer-State", "Hangup-Cause", "Call-Direction", "Application-Data",
	"Application-Response", "Caller-Caller-ID-Name", "Caller-Caller-ID-Number", "Caller-Callee-ID-Name", "Caller-Callee-ID-Number",
	"Caller-Destination-Number", "Caller-Context", "Caller-Dialplan", "Caller-Channel-Answered-Time", "Caller-Channel-Progress-Time",
	"Caller-Channel-Progress-Media-Time", "Caller-Channel-Hangup-Time", "Caller-Channel-Transfer-Time", "Caller-Channel-Bridged-Time",
	"Other-Type", "Other-Leg-Unique-ID", "Unique-ID", "Bridge-A-Unique-ID", "Bridge-B-Unique-ID", "DTMF-Digit",
	"DTMF-Source", "Conference-Name", "Conference-Size", "Conference-Ghosts", "Conference-Profile-Name", "Member-ID", "Member-Type",
	"Floor", "Hear", "Speak", "See", "New-ID", "Old-ID", "File", "Async", "Digits", "Old-Conference-Name", "New-Conference-Name",
	"Channel-Destination-Number", "Channel-Context", "Channel-Caller-ID-Name", "Channel-Caller-ID-Number", "Channel-Privacy-Hide-Number",
	"Control", "Socket-Mode", "Reply-Text", "Content-Type"}

// readVariables are the variables among them.
var readVariables = []string{"originate_disposition", "sip_invite_failure_status", "sip_invite_failure_phrase", "DIALSTATUS",
	"originate_failed_cause", "last_bridge_hangup_cause", "hangup_cause", "hangup_cause_q850", "sip_term_status",
	"sip_term_cause", "proto_specific_hangup_cause", "last_bridge_proto_specific_hangup_cause", "sip_hangup_disposition", "sip_hangup_phrase",
	"endpoint_disposition", "last_bridge_role", "last_bridge_to", "bridge_to", "bridge_uuid", "signal_bond", "originate_signal_bond", "originator",
	"originating_leg_uuid", "socket_host", "socket_resume", "current_application", "current_application_response",
	"last_app", "last_arg", "read_result", "read_terminator_used", "playback_terminator_used", "choice", "choice_invalid",
	"conference_name", "conference_member_id", "conference_moderator", "digits_dialed", "sip_h_X-Likeness", "sip_h_Diversion",
	"sip_P-Asserted-Identity", "sip_Privacy", "sip_req_uri", "tried", "hooked", "max_forwards", "sip_redirected_to"}

// pick keeps of a step what is read.
func pick(s step) step {
	out := step{Key: s.Key, Fields: map[string]string{}}
	for _, name := range read {
		if v, ok := s.Fields[name]; ok {
			out.Fields[name] = v
		}
	}
	for _, name := range readVariables {
		if v, ok := s.Fields["variable_"+name]; ok {
			out.Fields["variable_"+name] = v
		}
	}
	return out
}

// withoutVariables are the events that carry none: what they do not say has not gone.
func withoutVariables(k string) bool {
	return k == "CHANNEL_STATE" || k == "CHANNEL_CALLSTATE" || k == "CHANNEL_OUTGOING" || k == "DTMF" || strings.HasPrefix(k, "conference::")
}

// onlyNews keeps of each step what has changed since the one before.
func onlyNews(steps []step) []step {
	last := map[string]string{}
	out := make([]step, 0, len(steps))
	for _, s := range steps {
		news := map[string]string{}
		for name, v := range s.Fields {
			if old, ok := last[name]; !ok || old != v {
				news[name] = v
			}
			last[name] = v
		}
		for name := range last {
			_, there := s.Fields[name]
			if !there && !(withoutVariables(s.Key) && strings.HasPrefix(name, "variable_")) {
				news[name] = absent
				delete(last, name)
			}
		}
		if len(news) == 0 {
			news = nil
		}
		out = append(out, step{Key: s.Key, Fields: news})
	}
	return out
}
