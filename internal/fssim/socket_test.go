package fssim

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/esl/wire"
)

func emptySwitch(t *testing.T, known ...string) *Switch {
	t.Helper()
	return startSwitch(t, Options{Public: []string{"testdata/operator.xml"}, Hostname: "vm",
		Users: []User{{Name: "1000", Domain: "127.0.0.1", Password: "1234", ESLPassword: "esl", ESLAllowedAPI: "status,bgapi",
			ESLAllowedEvents: "HEARTBEAT"}}}, known...)
}

// TestRepliesAsRecorded sends what the client of recordings/inbound-session sent and compares the answers that do not
// depend on the time and the machine.
func TestRepliesAsRecorded(t *testing.T) {
	s := emptySwitch(t, "api nosuchcommand", "event socket command nosuchverb")
	c := link(t, s)
	for _, x := range []struct{ send, reply, body string }{
		{"api nosuchcommand", "", "-ERR nosuchcommand Command not found!\n"},
		{"nosuchverb", "-ERR command not found", ""},
		{"api show channels as json", "", "{\"row_count\": 0}\n"},
		{"api show registrations as json", "", "{\"row_count\": 0}\n"},
		{"event plain BACKGROUND_JOB HEARTBEAT CUSTOM conference::maintenance sofia::register", "+OK event listener enabled plain", ""},
		{"event plain", "-ERR no keywords supplied", ""},
		{"filter Event-Name HEARTBEAT", "+OK filter added. [Event-Name]=[HEARTBEAT]", ""},
		{"filter delete Event-Name HEARTBEAT", "+OK filter deleted. [Event-Name][HEARTBEAT]", ""},
		{"api uuid_exists 00000000-0000-0000-0000-000000000000", "", "false"},
		{"api uuid_kill 00000000-0000-0000-0000-000000000000", "", "-ERR No such channel!\n"},
		{"api global_getvar domain", "", "127.0.0.1"},
		{"api global_getvar Domain", "", "127.0.0.1"},
		{"api global_getvar nosuch", "", "-ERR no reply\n"},
		{"api hostname", "", "vm"},
		{"api switchname", "", "vm"},
		{"api expr 1+1", "", "2"},
		{"api originate user/nosuch &park", "", "-ERR SUBSCRIBER_ABSENT\n"},
		{"api user_exists id 1000 127.0.0.1", "", "true"},
		{"api user_exists id nosuch 127.0.0.1", "", "false"},
		{"api sofia_contact nosuch@127.0.0.1", "", "error/user_not_registered"},
		{"linger 5", "-ERR not controlling a session", ""},
		{"sendmsg 1234\ncall-command: hangup", "-ERR invalid session id [1234]", ""},
		{"myevents 1234 plain", "-ERR invalid uuid", ""},
		{"noevents", "+OK no longer listening for events", ""},
		{"noevents", "-ERR not listening for events", ""},
	} {
		fmt.Fprintf(c.conn, "%s\n\n", x.send)
		m := c.reply()
		if got := m.Header.Get("Reply-Text"); got != x.reply {
			t.Errorf("%s: Reply-Text %q, want %q", x.send, got, x.reply)
		}
		if got := string(m.Body); got != x.body {
			t.Errorf("%s: body %q, want %q", x.send, got, x.body)
		}
	}
	if got := c.cmd("exit"); got != "+OK bye" {
		t.Errorf("exit: %q", got)
	}
	if got := string(c.notice().Body); got != wire.Goodbye {
		t.Errorf("goodbye %q", got)
	}
	c.gone()
}

func TestWrongPasswordIsToldAndCutOff(t *testing.T) {
	s := emptySwitch(t)
	for _, auth := range []string{"auth wrong", "userauth 1000@127.0.0.1:wrong", "userauth nobody@127.0.0.1:esl", "userauth x"} {
		c := dial(t, s)
		if got := c.cmd(auth); got != "-ERR invalid" {
			t.Errorf("%s: %q", auth, got)
		}
		c.notice()
		c.gone()
	}
	c := dial(t, s)
	if got := c.cmd("api status"); got != "-ERR command not found" {
		t.Errorf("a command before auth: %q", got)
	}
}

func TestUserauthLimitsApiAndEvents(t *testing.T) {
	s := emptySwitch(t)
	c := dial(t, s)
	if got := c.cmd("userauth 1000@127.0.0.1:esl"); got != "+OK accepted" {
		t.Fatalf("userauth: %q", got)
	}
	if got := c.cmd("api uuid_kill x"); got != "-ERR permission denied" {
		t.Errorf("api: %q", got)
	}
	if got := c.cmd("bgapi originate x &park"); got != "-ERR permission denied" {
		t.Errorf("bgapi: %q", got)
	}
	if got := c.cmd("event plain CHANNEL_CREATE"); got != "-ERR permission denied" {
		t.Errorf("event: %q", got)
	}
	if got := c.api("status"); !strings.Contains(got, "is ready") {
		t.Errorf("status: %q", got)
	}
}

func TestBgapiEchoesTheJobAndComesAsEvent(t *testing.T) {
	s := emptySwitch(t)
	for _, format := range []string{"plain", "json"} {
		c := link(t, s)
		if got := c.cmd("event " + format + " BACKGROUND_JOB"); got != "+OK event listener enabled "+format {
			t.Errorf("event: %q", got)
		}
		if got := c.cmd("bgapi expr 2*21\nJob-UUID: my-own"); got != "+OK Job-UUID: my-own" {
			t.Errorf("bgapi: %q", got)
		}
		e := c.event("BACKGROUND_JOB")
		if e.Get("Job-UUID") != "my-own" || e.Get("Job-Command") != "expr" || e.Get("Job-Command-Arg") != "2*21" || string(e.Body()) != "42" {
			t.Errorf("%s event: %s %s %s %q", format, e.Get("Job-UUID"), e.Get("Job-Command"), e.Get("Job-Command-Arg"), e.Body())
		}
	}
}

func TestEveryWordBehindCustomIsASubclass(t *testing.T) {
	s := emptySwitch(t)
	c := link(t, s)
	c.cmd("event plain CUSTOM signalbox::test HEARTBEAT")
	send := func(subclass string) {
		c.cmd("sendevent CUSTOM\nEvent-Subclass: " + subclass + "\nX-Note: hello world & more\ncontent-length: 4\n\nbody")
	}
	send("other::one")
	fmt.Fprint(c.conn, "\n") // the reader passes line ends over
	send("signalbox::test")
	e := c.next()
	if e.Subclass() != "signalbox::test" || e.Get("X-Note") != "hello world & more" || string(e.Body()) != "body" {
		t.Errorf("event %s %s %q %q", e.Name(), e.Subclass(), e.Get("X-Note"), e.Body())
	}
	c.cmd("event plain HEARTBEAT")
	c.cmd("filter Event-Name NOTHING")
	s.heartbeat()
	c.cmd("filter delete all")
	s.heartbeat()
	if e := c.next(); e.Name() != "HEARTBEAT" || e.Get("Session-Count") != "0" {
		t.Errorf("event %s", e.Name())
	}
	c.cmd("filter Core-UUID /^no$/")
	s.heartbeat()
	c.cmd("filter Event-Name /^heart/i")
	c.cmd("filter Event-Name -BACKGROUND_JOB")
	s.heartbeat()
	if e := c.next(); e.Name() != "HEARTBEAT" {
		t.Errorf("event %s", e.Name())
	}
	select {
	case e := <-c.events:
		t.Errorf("a filtered event came: %s", e.Name())
	default:
	}
}

func TestSequenceRisesOnTheWire(t *testing.T) {
	s, a, _, c, uuid, _ := plainCall(t, nil)
	in := link(t, s)
	in.cmd("event plain ALL")
	for range 20 {
		c.execute("set", "x=1")
	}
	var dump map[string]any
	if err := json.Unmarshal([]byte(in.api("uuid_dump "+uuid+" json")), &dump); err != nil {
		t.Fatal(err)
	}
	if dump["Unique-ID"] != uuid || dump["Core-UUID"] != s.CoreUUID() || dump["Event-Sequence"] == nil {
		t.Errorf("uuid_dump: %v %v %v", dump["Unique-ID"], dump["Core-UUID"], dump["Event-Sequence"])
	}
	in.api("uuid_kill " + uuid + " USER_BUSY")
	a.expect("486")
	last := uint64(0)
	for {
		e := in.next()
		if e.Sequence() <= last {
			t.Fatalf("%s has %d after %d", e.Name(), e.Sequence(), last)
		}
		last = e.Sequence()
		if e.Name() == "CHANNEL_HANGUP_COMPLETE" {
			return
		}
	}
}

func TestTakenOverFromOutside(t *testing.T) {
	s, a, inv, c, uuid, _ := plainCall(t, nil)
	in := link(t, s)
	var rows struct {
		N    int `json:"row_count"`
		Rows []struct{ UUID, Dest, Callstate, State string }
	}
	if err := json.Unmarshal([]byte(in.api("show channels as json")), &rows); err != nil {
		t.Fatal(err)
	}
	if rows.N != 1 || rows.Rows[0].UUID != uuid || rows.Rows[0].Dest != "14155550100" || rows.Rows[0].State != "CS_EXECUTE" {
		t.Errorf("show channels: %+v", rows)
	}
	if !strings.Contains(in.api("status"), "1 session(s) - peak 1") {
		t.Errorf("status: %s", in.api("status"))
	}
	if got := in.api("uuid_setvar " + uuid + " note a ${b} c"); got != "+OK\n" {
		t.Errorf("uuid_setvar: %q", got)
	}
	if got := in.api("uuid_getvar " + uuid + " note"); got != "a ${b} c" {
		t.Errorf("uuid_setvar expanded: %q", got)
	}
	// One round of quotes and backslashes is taken off the value, as switch_separate_string does.
	in.api("uuid_setvar " + uuid + ` quoted it's 'a  b' \\ c`)
	if got := in.api("uuid_getvar " + uuid + " quoted"); got != `its a  b' \ c` {
		t.Errorf("quotes in uuid_setvar: %q", got)
	}
	if got := in.cmd("sendmsg " + uuid + "\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: t=${expr(40+2)}"); got != "+OK" {
		t.Errorf("sendmsg: %q", got)
	}
	c.event("CHANNEL_EXECUTE_COMPLETE")
	if got := in.api("uuid_getvar " + uuid + " t"); got != "42" {
		t.Errorf("an argument of sendmsg is expanded: %q", got)
	}
	if got := in.api("uuid_transfer " + uuid + " 'set:signalbox_handed_back=true,answer:,park:' inline"); got != "+OK\n" {
		t.Errorf("uuid_transfer: %q", got)
	}
	ok := a.expect("200")
	a.ack(inv, ok, s.ExternalAddr())
	if got := in.api("uuid_getvar " + uuid + " signalbox_handed_back"); got != "true" {
		t.Errorf("inline set: %q", got)
	}
	if got := in.api("hupall"); got != "+OK hangup all channels with cause MANAGER_REQUEST\n" {
		t.Errorf("hupall: %q", got)
	}
	a.expect("BYE")
}

// TestEventHeadersAsRecorded compares the names and order of the headers of CHANNEL_EXECUTE with a recording.
func TestEventHeadersAsRecorded(t *testing.T) {
	var want []string
	for _, name := range recorded(t, "CHANNEL_EXECUTE") {
		if !strings.HasPrefix(name, "variable_") {
			want = append(want, name)
		}
	}
	_, _, _, c, _, _ := plainCall(t, nil)
	c.start("set", "hangup_after_bridge=false")
	var got []string
	c.event("CHANNEL_EXECUTE").Each(func(name, _ string) {
		if !strings.HasPrefix(name, "variable_") {
			got = append(got, name)
		}
	})
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("headers:\n%s\nrecorded:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// recorded reads the names of the headers of one event of recordings/outbound-noanswer-voicemail, as it stood on the
// wire of FreeSWITCH 1.10.12.
func recorded(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + strings.ToLower(name) + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if n, _, ok := strings.Cut(line, ": "); ok {
			out = append(out, n)
		}
	}
	return out
}
