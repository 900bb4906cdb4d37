package likeness

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/fssim"
)

// story is the SIP side of one recording: who else was there, and what they did.
type story struct {
	parties map[string]behaviour    // by the address they have in the recording
	begin   func(*stage)            // before the client's first command
	before  map[string]func(*stage) // before a command of the client, the first of its kind
	again   map[string]func(*stage) // before the second
	end     func(*stage)            // when the recorded client has said all it said before the caller's end
	endAt   string                  // the event that must not be waited for before end
	after   func(*stage)            // when the recording is over
}

// stage is where a story is played.
type stage struct {
	t       *testing.T
	sw      *fssim.Switch
	parties map[string]*phone
	caller  *call
	link    *link
}

// The addresses of the recordings.
const (
	recCaller, recRings, recVoicemail, recBusy = "127.0.0.1:5071", "127.0.0.1:5090", "127.0.0.1:5091", "127.0.0.1:5092"
	recNobody, recDevice                       = "127.0.0.1:5999", "127.0.0.1:5095"
	recExternal, recInternal                   = "127.0.0.1:5080", "127.0.0.1:5060"
	recController, recOther                    = "127.0.0.1:8085", "127.0.0.1:8086"
)

func stories() map[string]story {
	called := func(s *stage) {
		s.caller = s.parties[recCaller].call(s.sw.ExternalAddr(), "14155550100",
			"P-Asserted-Identity: <sip:+12125550123@127.0.0.1>",
			"Diversion: <sip:+14155550100@127.0.0.1>;reason=no-answer;counter=1",
			"Diversion: <sip:+14155550199@127.0.0.1>;reason=unconditional;counter=1",
			"History-Info: <sip:+14155550199@127.0.0.1>;index=1",
			"History-Info: <sip:+14155550100@127.0.0.1?Reason=SIP%3Bcause%3D408>;index=1.1",
			"X-Signalbox-Verdict: pass;score=3")
	}
	device := func(seconds int) func(*stage) {
		return func(s *stage) {
			p := s.parties[recDevice]
			p.register(s.sw.InternalAddr(), "1000", "127.0.0.1", "1234",
				"sip:1000@"+p.addr.String()+";pn-provider=webpush;pn-prid=abc123", seconds)
		}
	}
	hangsUp := func(s *stage) {
		s.parties[recCaller].wait("200")
		s.caller.bye()
	}
	return map[string]story{
		"outbound-conference": {parties: map[string]behaviour{recCaller: {}}, begin: called, endAt: "CHANNEL_HANGUP",
			end: hangsUp},
		"outbound-noanswer-voicemail": {parties: map[string]behaviour{recCaller: {}, recRings: {provisional: []int{180}},
			recVoicemail: {provisional: []int{180}, after: 700 * time.Millisecond, status: 200}}, begin: called,
			endAt: "CHANNEL_HANGUP", end: hangsUp},
		"outbound-bridge-failures": {parties: map[string]behaviour{recCaller: {}, recBusy: {status: 486}}, begin: called},
		"outbound-controller-crash": {parties: map[string]behaviour{recCaller: {}}, begin: called,
			after: func(s *stage) { // the connection is dropped, and the dialplan goes on at once
				_ = s.link.conn.Close()
				s.parties[recCaller].wait("BYE Q.850;cause=17")
			}},
		"inbound-registrations": {parties: map[string]behaviour{recDevice: {provisional: []int{180}, after: 700 * time.Millisecond, status: 200}},
			before: map[string]func(*stage){"api show registrations as json": device(120)},
			again:  map[string]func(*stage){"api show registrations as json": device(0)}},
		"inbound-session":        {},
		"inbound-wrong-password": {},
	}
}

// TestRecordings plays the stories of all recordings against the simulator.
func TestRecordings(t *testing.T) {
	recs, err := esltest.Recordings()
	if err != nil {
		t.Fatal(err)
	}
	if len(recs) != 7 {
		t.Errorf("%d recordings, want 7", len(recs))
	}
	known := loadExcuses(t, "recordings")
	all := stories()
	t.Run("all", func(t *testing.T) {
		for _, rec := range recs {
			t.Run(rec.Name, func(t *testing.T) {
				t.Parallel()
				s, ok := all[rec.Name]
				if !ok {
					t.Fatalf("nobody plays the other side of %s", rec.Name)
				}
				sim, origin := playRecording(t, rec, s)
				known.check(t, compare(rec.Name, sim, origin))
			})
		}
	})
	known.unused(t)
}

// playRecording has both transcripts: of the simulator now, and of the switch then.
func playRecording(t *testing.T, rec *esltest.Recording, s story) (sim, origin transcript) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0") // takes connections when the first does not; it always does
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	st := &stage{t: t, parties: map[string]*phone{}}
	st.sw = startRecorded(t, listener.Addr().String()+"|"+other.Addr().String()+"/signalbox")
	names := recordedNames(t, rec)
	live := &normal{}
	swap := []string{recExternal, st.sw.ExternalAddr().String(), recInternal, st.sw.InternalAddr().String(),
		recController, listener.Addr().String(), recOther, other.Addr().String()}
	for addr, b := range s.parties {
		st.parties[addr] = newPhone(t, b)
		swap = append(swap, addr, st.parties[addr].addr.String())
	}
	for i := 0; i < len(swap); i += 2 {
		live.name(swap[i+1], names.text(swap[i]))
	}
	if strings.HasPrefix(rec.Name, "inbound") {
		conn, err := net.Dial("tcp", st.sw.EventSocketAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		st.link = newLink(t, conn)
	} else {
		s.begin(st)
		if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		st.link = newLink(t, conn)
	}
	client(st, rec, s, swap, live)
	return observe(t, st.link, live, st.link.sent), observeRecording(t, rec, names)
}

// startRecorded runs a switch as it was when the recordings were made.
func startRecorded(t *testing.T, socket string) *fssim.Switch {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recorded.xml")
	text := `<include>
<extension name="recorded"><condition field="destination_number" expression="^(14155550100)$">
<action application="set" data="socket_resume=true"/>
<action application="socket" data="` + socket + ` async full"/>
<action application="answer"/>
<action application="hangup" data="USER_BUSY"/>
</condition></extension>
</include>`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sw, err := fssim.New(fssim.Options{Public: []string{file}, Hostname: "vm", Digest: true, Heartbeat: 3600,
		Users: []fssim.User{{Name: "1000", Domain: "127.0.0.1", Password: "1234", Vars: vanillaUser("1000")}},
		Resolve: func(ctx context.Context, host string) (netip.Addr, error) {
			return netip.Addr{}, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}})
	if err != nil {
		t.Fatal(err)
	}
	runSwitch(t, sw)
	return sw
}

// runSwitch runs a simulator for the length of the test.
func runSwitch(t *testing.T, sw *fssim.Switch) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- sw.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// vanillaUser are the variables of a user in the vanilla directory, as registrations publish them.
func vanillaUser(name string) []fssim.Var {
	return []fssim.Var{{Name: "record_stereo", Value: "true"}, {Name: "default_gateway", Value: "example.com"},
		{Name: "default_areacode", Value: "918"}, {Name: "transfer_fallback_extension", Value: "operator"},
		{Name: "toll_allow", Value: "domestic,international,local"}, {Name: "accountcode", Value: name},
		{Name: "user_context", Value: "default"}, {Name: "effective_caller_id_name", Value: "Extension " + name},
		{Name: "effective_caller_id_number", Value: name}, {Name: "outbound_caller_id_name", Value: "FreeSWITCH"},
		{Name: "outbound_caller_id_number", Value: "0000000000"}, {Name: "callgroup", Value: "techsupport"}}
}

// recordedNames names what differs from run to run in a recording.
func recordedNames(t *testing.T, rec *esltest.Recording) *normal {
	n := &normal{}
	for addr, name := range map[string]string{recCaller: "<caller>", recRings: "<phone>", recVoicemail: "<voicemail>", recBusy: "<busy>",
		recDevice: "<device>", recExternal: "<external>", recInternal: "<internal>", recController: "<controller>", recOther: "<other>"} {
		n.name(addr, name)
	}
	messages, err := rec.Messages()
	if err != nil {
		t.Logf("%s ends inside a message: %v", rec.Name, err)
	}
	for _, m := range messages {
		if e, err := wire.ParseEvent(m); err == nil {
			n.name(e.UUID(), "<A>")
			break
		}
	}
	return n
}

// client plays the recorded client. Before each command it waits for what the recorded client had seen by then; the rest
// of the story goes on meanwhile.
func client(st *stage, rec *esltest.Recording, s story, swap []string, live *normal) {
	st.t.Helper()
	var stream []byte
	uuid := ""
	last := 0.0
	done := map[string]bool{}
	for _, line := range rec.Lines {
		if !line.Client {
			stream = append(stream, line.Text...)
			last = line.T
			continue
		}
		commands, err := (&esltest.Recording{Lines: []esltest.Line{line}}).Commands()
		if err != nil {
			st.t.Fatal(err)
		}
		for _, c := range commands {
			if do := s.before[c.Line]; do == nil {
				await(st, stream, s.endAt)
			}
			if gap := line.T - last; gap > 0.5 && gap < 1.5 {
				pause(time.Duration(gap * float64(time.Second))) // part of the story
			}
			do := s.before[c.Line]
			if done[c.Line] {
				do = s.again[c.Line]
			}
			if done[c.Line] = true; do != nil {
				do(st)
				await(st, stream, s.endAt)
			}
		}
		if uuid == "" {
			uuid = legOf(st.link)
			if uuid != "" {
				live.name(uuid, "<A>")
				swap = append(swap, recordedLeg(rec), uuid)
			}
		}
		for text := range strings.SplitSeq(strings.TrimRight(line.Text, "\n"), "\n\n") {
			st.link.write(strings.NewReplacer(swap...).Replace(text))
		}
	}
	if s.end != nil {
		await(st, stream, s.endAt)
		s.end(st)
	}
	await(st, stream, "")
	if s.after != nil {
		s.after(st)
	}
}

// legOf is the UUID in the answer to connect; "" before it has come.
func legOf(l *link) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.replies {
		if e, err := wire.ParseEvent(m); err == nil && e.UUID() != "" {
			return e.UUID()
		}
	}
	return ""
}

func recordedLeg(rec *esltest.Recording) string {
	messages, _ := rec.Messages() // a truncated one still has its beginning
	for _, m := range messages {
		if e, err := wire.ParseEvent(m); err == nil && e.UUID() != "" {
			return e.UUID()
		}
	}
	return ""
}

// await waits until the simulator has sent as many messages of each kind as are in a recorded stream, events from one of a
// key on excepted.
func await(st *stage, stream []byte, but string) {
	st.t.Helper()
	replies, notices := 0, 0
	want := map[string]int{}
	over := false
	reader := wire.NewReader(bytes.NewReader(stream), wire.Limits{})
	for {
		m, err := reader.Read()
		if err != nil {
			break
		}
		switch m.ContentType() {
		case wire.TypeEventPlain:
			e, err := wire.ParseEvent(m)
			if err != nil {
				st.t.Fatal(err)
			}
			over = over || but != "" && key(e) == but
			if !over {
				want[key(e)]++
			}
		case wire.TypeDisconnectNotice:
			if over = over || but != ""; !over {
				notices++
			}
		default:
			replies++
		}
	}
	enough := func() bool {
		have := map[string]int{}
		for _, e := range st.link.events {
			have[key(e)]++
		}
		for k, n := range want {
			if have[k] < n {
				return false
			}
		}
		return len(st.link.replies) >= replies && len(st.link.notices) >= notices
	}
	st.link.until(8*time.Second, enough) // what is missing is told as a difference
}

// observe makes the transcript of a link.
func observe(t *testing.T, l *link, n *normal, sent []string) transcript {
	l.mu.Lock()
	defer l.mu.Unlock()
	return transcribe(t, l.replies, l.events, l.notices, sent, n)
}

func observeRecording(t *testing.T, rec *esltest.Recording, n *normal) transcript {
	var replies, notices []*wire.Message
	var events []*wire.Event
	messages, _ := rec.Messages() // the crash ends inside one
	for _, m := range messages {
		switch m.ContentType() {
		case wire.TypeEventPlain:
			e, err := wire.ParseEvent(m)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		case wire.TypeDisconnectNotice:
			notices = append(notices, m)
		default:
			replies = append(replies, m)
		}
	}
	var sent []string
	for _, line := range rec.Lines {
		if line.Client {
			sent = append(sent, strings.Split(strings.TrimRight(line.Text, "\n"), "\n\n")...)
		}
	}
	return transcribe(t, replies, events, notices, sent, n)
}

// transcribe sorts what came into streams: the replies, the notices, the events of each leg, the events of no leg.
func transcribe(t *testing.T, replies []*wire.Message, events []*wire.Event, notices []*wire.Message, sent []string, n *normal) transcript {
	t.Helper()
	out := transcript{}
	for i, m := range replies {
		command := "greeting"
		if m.ContentType() != wire.TypeAuthRequest {
			if replies[0].ContentType() == wire.TypeAuthRequest {
				i--
			}
			command = "more than was asked for"
			if i < len(sent) {
				command = sent[i]
			}
		}
		out["replies"] = append(out["replies"], n.reply(command, m))
	}
	for _, m := range notices {
		out["notices"] = append(out["notices"], n.reply("notice", m))
	}
	var legs []string
	for _, e := range events {
		stream := "events"
		if e.UUID() != "" {
			if !slices.Contains(legs, e.UUID()) {
				legs = append(legs, e.UUID())
			}
			stream = "leg " + string(rune('A'+slices.Index(legs, e.UUID())))
		}
		out[stream] = append(out[stream], n.event(e))
	}
	return out
}
