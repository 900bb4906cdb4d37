package fsw

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

func registered(user string) account.Device {
	return account.Device{Kind: account.DeviceRegistered, Profile: "internal", User: user, Host: "pbx.example.net"}
}

func fixed(user, host string) account.Device {
	return account.Device{Kind: account.DeviceURI, Profile: "external", User: user, Host: host, Port: 5070}
}

func voicemail() *call.VoicemailTarget {
	return &call.VoicemailTarget{
		Profile: "external", User: "+18056377243", FQDN: "vm-a.example.net", Target: "sip:+14155550100@pbx.example.net", Cause: 408,
		Addr: "127.0.0.1:5091", Transport: "tcp",
	}
}

func TestDialStringOfEachKindOfTarget(t *testing.T) {
	tests := []struct {
		name  string
		order call.RingOrder
		want  string
	}{
		{"registered phone", call.RingOrder{Devices: []account.Device{registered("1000")}, Answer: 20 * time.Second},
			"{^^#originate_timeout=20#ignore_early_media=ring_ready#outbound_redirect_fatal=true}sofia/internal/1000%pbx.example.net"},
		{"fixed address", call.RingOrder{Devices: []account.Device{fixed("1000", "192.0.2.7")}, Answer: 1500 * time.Millisecond},
			"{^^#originate_timeout=2#ignore_early_media=ring_ready#outbound_redirect_fatal=true}sofia/external/sip:1000@192.0.2.7:5070"},
		{"fixed address by TCP and DNS", call.RingOrder{Devices: []account.Device{{Kind: account.DeviceURI, Profile: "external", User: "a b", Host: "pbx.example.net", Transport: "tcp"}}, Answer: time.Second},
			"{^^#originate_timeout=1#ignore_early_media=ring_ready#outbound_redirect_fatal=true}sofia/external/sip:a%20b@pbx.example.net;transport=tcp"},
		{"fixed IPv6 address", call.RingOrder{Devices: []account.Device{fixed("1000", "2001:db8::7")}, Answer: time.Second},
			"{^^#originate_timeout=1#ignore_early_media=ring_ready#outbound_redirect_fatal=true}sofia/external/sip:1000@[2001:db8::7]:5070"},
		{"two phones at once", call.RingOrder{Devices: []account.Device{registered("1000"), fixed("1", "192.0.2.7")}, Answer: time.Second},
			"{^^#originate_timeout=1#ignore_early_media=ring_ready#outbound_redirect_fatal=true}sofia/internal/1000%pbx.example.net,sofia/external/sip:1@192.0.2.7:5070"},
		{"voicemail", call.RingOrder{Voicemail: voicemail(), Answer: 20 * time.Second, Progress: 4 * time.Second},
			"{^^#originate_timeout=20#ignore_early_media=ring_ready#outbound_redirect_fatal=true#ignore_display_updates=true#leg_progress_timeout=4}[^^#sip_route_uri=sip:127.0.0.1:5091;transport=tcp]" +
				"sofia/external/sip:+18056377243@vm-a.example.net;target=sip:%2B14155550100%40pbx.example.net;cause=408"},
		{"voicemail with a mailbox, codecs and nothing else said", call.RingOrder{
			Voicemail: &call.VoicemailTarget{Profile: "external", User: "box-100", FQDN: "vm-a.example.net", Addr: "127.0.0.1:5091", Transport: "udp", Codecs: []string{"PCMA", "PCMU"}},
			Answer:    time.Second, As: "+14155550100", Headers: []call.Header{{Name: "Diversion"}, {Name: "History-Info"}},
		},
			"{^^#origination_caller_id_number=+14155550100#originate_timeout=1#ignore_early_media=ring_ready#outbound_redirect_fatal=true#ignore_display_updates=true#absolute_codec_string=PCMA,PCMU" +
				"#exclude_outgoing_extra_header=^sip_h_(Diversion|History-Info)}[^^#sip_route_uri=sip:127.0.0.1:5091;transport=udp]sofia/external/sip:box-100@vm-a.example.net"},
		{"no time at all is the shortest time", call.RingOrder{Devices: []account.Device{registered("1000")}},
			"{^^#originate_timeout=1#ignore_early_media=ring_ready#outbound_redirect_fatal=true}sofia/internal/1000%pbx.example.net"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dialString(tt.order, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("\ngot  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDialStringCarriesHeadersWhole(t *testing.T) {
	got, err := dialString(call.RingOrder{
		Voicemail: voicemail(), Answer: time.Second,
		Headers: []call.Header{{Name: "Diversion", Value: `"Ada, A." <sip:+14155550100@h>;reason=no-answer;counter=1, <sip:+1@h>;reason=unknown`}},
		Caller:  tel.Identity{Name: `Ada "the" Attendee`},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, `<sip:+14155550100@h>;reason=no-answer;counter=1, <sip:+1@h>;reason=unknown`) {
		t.Errorf("the diversions do not arrive whole: %s", got)
	}
	if strings.Count(got, "sip_h_Diversion=") != 1 {
		t.Errorf("the header stands more or less than once: %s", got)
	}
}

// hostile is text that a stranger, an address book or a broken DNS may hand us.
var hostile = []string{
	"${system(touch x)}", "$${domain}", `\${uuid}`, "a\r\nb", "a\nexecute-app-name: system", "a\x00b", "]sofia/internal/9000", "}loopback/9000",
	"x,loopback/9000", "x|user/9000", "^^:", "'", `"`, `\`, "a;b=c", "x#y=z", "x:_:y", "%0d%0aVia: x", strings.Repeat("x", 100_000), "\xff\xfe", "gateway/pstn/1900",
}

// The last defence is the encoder's; this asks that nothing goes past it on the way to FreeSWITCH.
func TestDialStringWithHostileTextIsRefusedOrHarmless(t *testing.T) {
	places := map[string]func(text string) call.RingOrder{
		"user of a registered phone":   func(s string) call.RingOrder { return ringing(registered(s)) },
		"domain of a registered phone": func(s string) call.RingOrder { d := registered("1"); d.Host = s; return ringing(d) },
		"profile":                      func(s string) call.RingOrder { d := registered("1"); d.Profile = s; return ringing(d) },
		"user of an address":           func(s string) call.RingOrder { return ringing(fixed(s, "192.0.2.7")) },
		"host of an address":           func(s string) call.RingOrder { return ringing(fixed("1", s)) },
		"transport of an address":      func(s string) call.RingOrder { d := fixed("1", "192.0.2.7"); d.Transport = s; return ringing(d) },
		"pilot":                        func(s string) call.RingOrder { v := voicemail(); v.User = s; return leaving(v) },
		"voicemail's name":             func(s string) call.RingOrder { v := voicemail(); v.FQDN = s; return leaving(v) },
		"target":                       func(s string) call.RingOrder { v := voicemail(); v.Target = "sip:" + s + "@h"; return leaving(v) },
		"voicemail's address":          func(s string) call.RingOrder { v := voicemail(); v.Addr = s; return leaving(v) },
		"caller's name":                func(s string) call.RingOrder { o := ringing(registered("1")); o.Caller.Name = s; return o },
		"header": func(s string) call.RingOrder {
			o := leaving(voicemail())
			o.Headers = []call.Header{{Name: "Diversion", Value: s}}
			return o
		},
		"name of a header": func(s string) call.RingOrder {
			o := leaving(voicemail())
			o.Headers = []call.Header{{Name: s, Value: "x"}}
			return o
		},
	}
	for place, order := range places {
		for _, text := range hostile {
			got, err := dialString(order(text), nil)
			if err != nil {
				continue
			}
			if strings.ContainsAny(got, "$\r\n\x00") {
				t.Errorf("%s %q: FreeSWITCH would expand or cut %q", place, text, got)
			}
			if len(got) > encode.MaxArg {
				t.Errorf("%s of %d bytes makes a dial string of %d", place, len(text), len(got))
			}
			if legs := strings.Count(got, "sofia/"); strings.Contains(text, "sofia/") && legs > 2 || strings.Contains(got, ",loopback/") && place != "header" && place != "caller's name" {
				t.Errorf("%s %q became a leg of its own: %s", place, text, got)
			}
			if err := wire.CheckLine(got); err != nil {
				t.Errorf("%s %q: the Event Socket refuses %q: %v", place, text, got, err)
			}
		}
	}
}

func ringing(devices ...account.Device) call.RingOrder {
	return call.RingOrder{Devices: devices, Answer: time.Second}
}

func leaving(v *call.VoicemailTarget) call.RingOrder {
	return call.RingOrder{Voicemail: v, Answer: time.Second, Progress: time.Second}
}

func TestDialStringRefusesWhatIsNoTarget(t *testing.T) {
	for name, order := range map[string]call.RingOrder{
		"nobody":                   {Answer: time.Second},
		"unknown kind of device":   ringing(account.Device{Kind: "loopback", Profile: "internal", User: "1", Host: "h"}),
		"voicemail without a port": leaving(&call.VoicemailTarget{Profile: "external", User: "1", FQDN: "vm.example.net", Target: "sip:1@h", Addr: "127.0.0.1", Transport: "udp"}),
		"too many phones":          ringing(slices.Repeat([]account.Device{registered("1")}, encode.MaxLegs+1)...),
	} {
		if got, err := dialString(order, nil); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
}

func TestCallerVars(t *testing.T) {
	anonymous := []encode.Var{
		{Name: "origination_caller_id_number", Value: "anonymous"}, {Name: "origination_caller_id_name", Value: "Anonymous"},
		{Name: "sip_cid_type", Value: "none"}, {Name: "sip_h_Privacy", Value: "id"},
	}
	tests := []struct {
		name   string
		caller tel.Identity
		want   []encode.Var
	}{
		{"an ordinary caller is left to FreeSWITCH", tel.Identity{Name: "Ada Attendee", User: "+12125550123", Number: "+12125550123"}, nil},
		{"a caller without a name", tel.Identity{User: "+12125550123"}, nil},
		{"withheld", tel.Identity{Withheld: true}, anonymous},
		{"withheld with name and asserted number", tel.Identity{Name: "Ada", User: "+12125550123", Number: "+12125550123", Withheld: true, Asserted: true}, anonymous},
		{"a name that FreeSWITCH cannot write", tel.Identity{Name: `Ada "X" <a@b>`}, []encode.Var{{Name: "origination_caller_id_name", Value: encode.Text(`Ada "X" <a@b>`)}}},
	}
	for _, tt := range tests {
		if got := callerVars(tt.caller); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	for _, text := range hostile {
		for _, v := range callerVars(tel.Identity{Name: text}) {
			if strings.ContainsAny(v.Value, "$\r\n\x00\"%") {
				t.Errorf("name %q becomes %q", text, v.Value)
			}
		}
	}
}

// TestReadEveryDisposition holds the table of freeswitch's outcomes, as measured on 1.10.12.
func TestReadEveryDisposition(t *testing.T) {
	tests := []struct {
		disposition, status string
		want                call.Result
	}{
		{"SUCCESS", "", call.Answered},
		{"USER_NOT_REGISTERED", "", call.NotRegistered},
		{"SUBSCRIBER_ABSENT", "", call.NotRegistered},
		{"UNALLOCATED_NUMBER", "404", call.NotRegistered},
		{"USER_BUSY", "486", call.Busy},
		{"USER_BUSY", "600", call.Busy},
		{"NORMAL_TEMPORARY_FAILURE", "503", call.Unreachable},
		{"NO_ANSWER", "", call.NoAnswer},
		{"ALLOTTED_TIMEOUT", "", call.NoAnswer},
		{"PROGRESS_TIMEOUT", "", call.Unreachable},
		{"RECOVERY_ON_TIMER_EXPIRE", "408", call.Unreachable},
		{"NO_USER_RESPONSE", "480", call.Unreachable},
		{"CALL_REJECTED", "603", call.Declined},
		{"CALL_REJECTED", "403", call.Unreachable},
		{"UNWANTED", "607", call.Declined},
		{"DESTINATION_OUT_OF_ORDER", "", call.Unreachable},
		{"GATEWAY_DOWN", "", call.Unreachable},
		{"ORIGINATOR_CANCEL", "487", call.Unreachable}, // the caller has not hung up: the far end said so by itself
		{"A_CAUSE_OF_TOMORROW", "", call.Unreachable},
		{"", "", call.Unreachable},
	}
	for _, tt := range tests {
		done := channelData(t, "variable_originate_disposition", tt.disposition, "variable_sip_invite_failure_status", tt.status)
		var got call.Attempt
		read(&got, done, false)
		if got.Result != tt.want || got.Disposition != tt.disposition {
			t.Errorf("%s %s: result %s, disposition %s, want %s", tt.disposition, tt.status, got.Result, got.Disposition, tt.want)
		}
		if wantStatus := tt.status; got.Result != call.CallerGone && got.Result != call.Answered && statusText(got.SIPStatus) != wantStatus {
			t.Errorf("%s: status %d, want %s", tt.disposition, got.SIPStatus, wantStatus)
		}
	}
}

func statusText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// TestReadTheRecordedFailures replays what the real FreeSWITCH said at the end of each bridge.
func TestReadTheRecordedFailures(t *testing.T) {
	want := []call.Attempt{
		{Disposition: "USER_NOT_REGISTERED", Result: call.NotRegistered},
		{Disposition: "SUBSCRIBER_ABSENT", Result: call.NotRegistered},
		{Disposition: "USER_BUSY", Result: call.Busy, SIPStatus: 486, Phrase: "Busy Here"},
		{Disposition: "NORMAL_TEMPORARY_FAILURE", Result: call.Unreachable, SIPStatus: 503, Phrase: "Service Unavailable"},
		{Disposition: "NORMAL_TEMPORARY_FAILURE", Result: call.Unreachable, SIPStatus: 503, Phrase: "DNS Error"},
	}
	var got []call.Attempt
	// The sixth dialled error/user_busy, which sends no INVITE: it shows that the 503 before it stays behind. That is why
	// Ring clears the status first; see TestRingForgetsTheStatusOfTheAttemptBefore.
	bridges := executed(t, "outbound-bridge-failures", "bridge")
	if len(bridges) != 6 || bridges[5].Var("sip_invite_failure_status") != "503" {
		t.Fatalf("%d bridges, the last with status %s", len(bridges), bridges[len(bridges)-1].Var("sip_invite_failure_status"))
	}
	for _, done := range bridges[:5] {
		var a call.Attempt
		read(&a, done, false)
		got = append(got, a)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestOursLeavesNothingOnTheChannelThatWasThere(t *testing.T) {
	channel := channelData(t,
		"variable_continue_on_fail", "USER_BUSY,NO_ANSWER", "variable_hangup_after_bridge", "false",
		"variable_sip_h_X-Signalbox", "1.k.x.y", "variable_sip_h_x-SIGNALBOX-Verdict", "forged", "variable_sip_h_Identity", "eyJ", "variable_sip_h_identity", "eyJ",
		"variable_sip_identity", "ARRAY::eyJ|:eyK", "variable_sip_h_X-Tenant", "7", "variable_sip_h_Diversion", "<sip:1@h>", "variable_sip_h_X-Signal", "5",
	)
	got := map[string]string{}
	for _, v := range ours(channel) {
		if _, twice := got[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		got[v.Name] = v.Value
	}
	want := map[string]string{
		"signalbox_touched":              "true",
		"signalbox_was_continue_on_fail": "USER_BUSY,NO_ANSWER", "continue_on_fail": "true",
		"signalbox_was_hangup_after_bridge": "false", "hangup_after_bridge": "true",
		"signalbox_was_sip_ignore_remote_cause": "", "sip_ignore_remote_cause": "true",
		"sip_h_X-Signalbox": "", "sip_h_x-SIGNALBOX-Verdict": "", "sip_h_Identity": "", "sip_h_identity": "", "sip_identity": "",
	}
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s = %q, want %q", name, v, value)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is changed without need", name)
		}
	}
	for _, v := range ours(channelData(t, "variable_continue_on_fail", "${system(touch x)}")) {
		if v.Name == "signalbox_was_continue_on_fail" && v.Value != "" {
			t.Errorf("a value that FreeSWITCH would expand is kept: %q", v.Value)
		}
	}
}

func TestSessionCountOfStatus(t *testing.T) {
	const status = "UP 0 years, 0 days, 0 hours, 1 minute, 14 seconds, 290 milliseconds, 137 microseconds\nFreeSWITCH (Version 1.10.12-release  64bit) is ready\n" +
		"11 session(s) since startup\n3 session(s) - peak 4, last 5min 4\n0 session(s) per Sec out of max 30, peak 3, last 5min 3\n1000 session(s) max\n"
	tests := []struct {
		text string
		n    int
		ok   bool
	}{
		{status, 3, true},
		{strings.ReplaceAll(status, "3 session(s) - peak", "0 session(s) - peak"), 0, true},
		{"", 0, false},
		{"-ERR status Command not found!", 0, false},
		{"many session(s) - peak 4\n", 0, false},
		{"3 session(s) max\n", 0, false},
	}
	for _, tt := range tests {
		if n, ok := sessionCount(tt.text); n != tt.n || ok != tt.ok {
			t.Errorf("%.40q: %d %v, want %d %v", tt.text, n, ok, tt.n, tt.ok)
		}
	}
}
