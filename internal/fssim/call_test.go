package fssim

import (
	"strings"
	"testing"

	"github.com/signalbox/signalbox/esl/wire"
)

// shipped are the options of a switch with the include files of the project and an operator's own extension behind
// them, which announces that it ran by answering 486.
func shipped(t *testing.T, socket string) Options {
	t.Helper()
	return Options{
		Public: []string{"../../freeswitch-conf/dialplan/public/05_signalbox.xml", "testdata/operator.xml",
			"../../freeswitch-conf/dialplan/public/zz_signalbox.xml"},
		Contexts:   []string{"../../freeswitch-conf/dialplan/*.xml"},
		Substitute: []string{"127.0.0.1:8084", socket},
	}
}

// TestNoAnswerThenVoicemail plays the story of recordings/outbound-noanswer-voicemail: the first bridge rings out,
// the second is answered, the caller hangs up.
func TestNoAnswerThenVoicemail(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()+"|127.0.0.1:1/signalbox"))
	a, b, vm := newPhone(t), newPhone(t), newPhone(t)
	inv := a.call(s.ExternalAddr(), "14155550100", "P-Asserted-Identity: <sip:+12125550123@127.0.0.1>",
		"Diversion: <sip:+1@h>;reason=user-busy", "Diversion: <sip:+14155550199@127.0.0.1>;reason=unconditional;counter=1",
		"X-Signalbox-Verdict: pass;score=3")
	a.expect("100")
	c, data := side.serve()
	for name, want := range map[string]string{"variable_sip_h_X-Signalbox-Verdict": "pass;score=3",
		"variable_sip_h_Diversion": "<sip:+14155550199@127.0.0.1>;reason=unconditional;counter=1",
		"Caller-Caller-ID-Number":  "+12125550123", "Caller-Destination-Number": "14155550100", "Control": "full",
		"Channel-Caller-ID-Name": "Ada Attendee", "variable_socket_host": "127.0.0.1", "Answer-State": "ringing",
		"variable_signalbox_stage": "unserved", "variable_call_uuid": data.UUID(), "Channel-HIT-Dialplan": "true"} {
		if got := data.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got := c.api("sched_del signalbox-" + data.UUID()); got != "+OK Deleted: 2\n" {
		t.Errorf("the guard: %q", got)
	}
	c.execute("set", "hangup_after_bridge=false")
	c.execute("set", "continue_on_fail=true")
	c.execute("set", "call_timeout=2")
	first := c.start("bridge", "{ignore_early_media=true}sofia/external/sip:14155550100@"+b.addr.String())
	binv := b.expect("INVITE")
	if got := binv.get("X-Signalbox-Verdict"); got != "pass;score=3" {
		t.Errorf("B leg carries X-Signalbox-Verdict %q", got)
	}
	b.reply(binv, 180, "")
	a.expect("180")
	b.expect("CANCEL")
	b.reply(binv, 487, "")
	done := c.wait(first)
	if got := done.Var("originate_disposition"); got != "NO_ANSWER" {
		t.Errorf("disposition %q", got)
	}
	if got := done.Var("DIALSTATUS"); got != "NOANSWER" {
		t.Errorf("DIALSTATUS %q", got)
	}
	b.expect("ACK")
	c.execute("export", "nolocal:sip_h_Diversion=<sip:+14155550100@127.0.0.1>;reason=no-answer;counter=1")
	c.start("bridge", "sofia/external/sip:+14155559000@vm.example.test;target=sip:%2B14155550100%40h;cause=408;fs_path=sip:"+vm.addr.String())
	vinv := vm.expect("INVITE")
	if want := "sip:+14155559000@vm.example.test;target=sip:+14155550100%40h;cause=408"; vinv.uri != want {
		t.Errorf("Request-URI %s", vinv.uri)
	}
	if got := vinv.get("Diversion"); got != "<sip:+14155550100@127.0.0.1>;reason=no-answer;counter=1" {
		t.Errorf("Diversion %q", got)
	}
	if string(vinv.body) != testSDP {
		t.Errorf("the caller's SDP did not reach the voicemail:\n%s", vinv.body)
	}
	vm.reply(vinv, 200, strings.Replace(testSDP, "6000", "6004", 1))
	vm.expect("ACK")
	ok := a.expect("200")
	if !strings.Contains(string(ok.body), "m=audio 6004") {
		t.Errorf("the voicemail's SDP did not reach the caller:\n%s", ok.body)
	}
	a.ack(inv, ok, s.ExternalAddr())
	got, _ := names(c, "CHANNEL_BRIDGE")
	if want := "CHANNEL_EXECUTE bridge,CHANNEL_PROGRESS_MEDIA,CHANNEL_ANSWER,CHANNEL_EXECUTE set,CHANNEL_EXECUTE_COMPLETE set,CHANNEL_EXECUTE set,CHANNEL_EXECUTE_COMPLETE set,CHANNEL_BRIDGE"; got != want {
		t.Errorf("events until the bridge:\n got %s\nwant %s", got, want)
	}
	theEnd(t, s, a, vm, c, inv, ok)
}

// theEnd is the caller hanging up, as the controller hears of it.
func theEnd(t *testing.T, s *Switch, a, vm *phone, c *controller, inv, ok *sipMessage) {
	t.Helper()
	a.bye(inv, ok, s.ExternalAddr())
	a.expect("200")
	bye := vm.expect("BYE")
	vm.reply(bye, 200, "")
	n := c.notice()
	if d := n.Header.Get("Content-Disposition"); d != "linger" {
		t.Errorf("first notice %q", d)
	}
	got, last := names(c, "CHANNEL_HANGUP_COMPLETE")
	if want := "CHANNEL_HANGUP,CHANNEL_UNBRIDGE,CHANNEL_EXECUTE_COMPLETE bridge,CHANNEL_UNPARK,CHANNEL_EXECUTE_COMPLETE socket,CHANNEL_STATE,CHANNEL_STATE,CHANNEL_HANGUP_COMPLETE"; got != want {
		t.Errorf("events of the end:\n got %s\nwant %s", got, want)
	}
	if d := c.notice().Header.Get("Content-Disposition"); d != "disconnect" {
		t.Errorf("last notice %q", d)
	}
	c.gone()
	for _, name := range missing(t, last) {
		t.Errorf("CHANNEL_HANGUP_COMPLETE has no %s, the recording has", name)
	}
	for name, want := range map[string]string{"hangup_cause": "NORMAL_CLEARING", "hangup_cause_q850": "16",
		"sip_hangup_disposition": "recv_bye", "bridge_hangup_cause": "NORMAL_CLEARING",
		"last_bridge_hangup_cause": "NO_ANSWER", "originate_disposition": "SUCCESS", "last_bridge_role": "originator",
		"endpoint_disposition": "ANSWER", "proto_specific_hangup_cause": "sip:200"} {
		if got := last.Var(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if n := len(last.Array("variable_originate_causes")); n != 2 {
		t.Errorf("originate_causes has %d entries", n)
	}
}

// missing lists the headers of the recorded CHANNEL_HANGUP_COMPLETE that an event has not, media statistics and what
// only the recorded INVITE had excepted.
func missing(t *testing.T, e *wire.Event) []string {
	t.Helper()
	var out []string
	for _, name := range recorded(t, "CHANNEL_HANGUP_COMPLETE") {
		if strings.HasPrefix(name, "variable_rtp_") || name == "variable_sip_history_info" || name == "variable_DP_MATCH" {
			continue
		}
		if _, ok := e.Lookup(name); !ok {
			out = append(out, name)
		}
	}
	return out
}

// names collects the names of events up to and with one, applications behind theirs.
func names(c *controller, last string) (string, *wire.Event) {
	c.t.Helper()
	var out []string
	for {
		e := c.next()
		n := e.Name()
		if app := e.Get("Application"); app != "" && strings.HasPrefix(n, "CHANNEL_EXECUTE") {
			n += " " + app
		}
		out = append(out, n)
		if e.Name() == last {
			return strings.Join(out, ","), e
		}
	}
}
