package fsw

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/tel/teltest"
)

// channelData is a channel's data as "connect" gives it: a plain call, and what the test changes of it.
func channelData(t *testing.T, changes ...string) *wire.Event {
	t.Helper()
	values := map[string]string{
		"Event-Name": "CHANNEL_DATA", "Unique-ID": "9e811bb9-6ecf-4569-a163-320b25f5b4c5",
		"Channel-Context": "public", "Channel-Destination-Number": "14155550100",
		"Channel-Caller-ID-Name": "Ada Attendee", "Channel-Caller-ID-Number": "+12125550123", "Channel-Privacy-Hide-Number": "false",
		"variable_sip_call_id": "1-2@127.0.0.1", "variable_sip_from_user": "+12125550123", "variable_sip_from_host": "127.0.0.1",
		"variable_sip_req_uri": "14155550100@127.0.0.1:5080", "variable_sip_received_ip": "127.0.0.1", "variable_sip_received_port": "5071",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		values[changes[i]] = changes[i+1]
	}
	var fields []wire.Field
	for name, value := range values {
		if value != "" {
			fields = append(fields, wire.Field{Name: name, Value: value})
		}
	}
	reader := wire.NewReader(strings.NewReader(string(wire.AppendConnectReply(nil, fields, true, true))), wire.Limits{})
	message, err := reader.Read()
	if err != nil {
		t.Fatal(err)
	}
	event, err := wire.ParseEvent(message)
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// connectData are the channels of the recordings, as the real FreeSWITCH handed them over.
func connectData(t *testing.T) map[string]*wire.Event {
	t.Helper()
	recordings, err := esltest.Recordings()
	if err != nil {
		t.Fatal(err)
	}
	channels := map[string]*wire.Event{}
	for _, rec := range recordings {
		messages, err := rec.Messages()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if e, err := wire.ParseEvent(m); err == nil && e.Name() == "CHANNEL_DATA" {
				channels[rec.Name] = e
			}
		}
	}
	return channels
}

var arrived = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestEveryRecordedCallIsReadWhole(t *testing.T) {
	channels := connectData(t)
	if len(channels) != 4 {
		t.Fatalf("%d outbound recordings, want 4", len(channels))
	}
	for name, channel := range channels {
		got := Variables(channel, "fs1", "US", arrived)
		if got.UUID != channel.UUID() || got.UUID == "" || !strings.HasSuffix(got.CallID, "@127.0.0.1") {
			t.Errorf("%s: UUID %q, Call-ID %q", name, got.UUID, got.CallID)
		}
		got.UUID, got.CallID = "", ""
		want := call.Arrival{
			Node: "fs1", Context: "public", Dialled: "14155550100", To: "+14155550100",
			From: tel.Identity{Name: "Ada Attendee", User: "+12125550123", Number: "+12125550123", Asserted: true},
			Diversions: []tel.Diversion{{
				User: "+14155550199", Host: "127.0.0.1", Number: "+14155550199", Reason: "unconditional", Counter: 1,
			}},
			History: []tel.HistoryEntry{
				{URI: "sip:+14155550199@127.0.0.1", Index: "1"},
				{URI: "sip:+14155550100@127.0.0.1", Index: "1.1", Cause: 408},
			},
			Evidence: call.EvidenceVariables, Source: netip.MustParseAddrPort("127.0.0.1:5071"), At: arrived,
			FromHosts: []string{"127.0.0.1"},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
}

// TestALineIsWhomFreeSWITCHHasAuthenticated: what a caller writes about himself makes nobody a line.
func TestALineIsWhomFreeSWITCHHasAuthenticated(t *testing.T) {
	for want, vars := range map[string]map[string]string{
		"1000@pbx.example.net": {"sip_authorized": "true", "user_name": "1000", "domain_name": "pbx.example.net"},
		"@":                    {"user_name": "1000", "domain_name": "pbx.example.net", "sip_from_user": "1000"},
	} {
		var fields []wire.Field
		for name, value := range vars {
			fields = append(fields, wire.Field{Name: "variable_" + name, Value: value})
		}
		if got := Variables(wire.NewEvent(fields, nil), "fs1", "US", arrived).Line; got.User+"@"+got.Host != want {
			t.Errorf("%v: line %+v, want %s", vars, got, want)
		}
	}
}

func TestWithheldCallersAreRecognisedHoweverTheySaySo(t *testing.T) {
	tests := []struct {
		name     string
		changes  []string
		withheld bool
	}{
		{"nothing said", nil, false},
		{"Privacy: id", []string{"variable_sip_Privacy", "id"}, true},
		{"Privacy: user", []string{"variable_sip_Privacy", "user"}, true},
		{"Privacy: header", []string{"variable_sip_Privacy", "header"}, true},
		{"Privacy: full, of old carriers", []string{"variable_sip_Privacy", "full"}, true},
		{"Privacy: id;critical", []string{"variable_sip_Privacy", "id;critical"}, true},
		{"Privacy: critical; ID", []string{"variable_sip_Privacy", "critical; ID"}, true},
		{"Privacy: session,id", []string{"variable_sip_Privacy", "session,id"}, true},
		{"Privacy with tabs", []string{"variable_sip_Privacy", "none;\tid"}, true},
		{"Privacy kept as a header", []string{"variable_sip_h_Privacy", "id"}, true},
		{"Privacy: none", []string{"variable_sip_Privacy", "none"}, false},
		{"Privacy: session is about media", []string{"variable_sip_Privacy", "session"}, false},
		{"Privacy: history is about others", []string{"variable_sip_Privacy", "history"}, false},
		{"Privacy: idle is no word", []string{"variable_sip_Privacy", "idle"}, false},
		{"FreeSWITCH's own flag", []string{"Channel-Privacy-Hide-Number", "true"}, true},
		{"From: anonymous@anonymous.invalid", []string{"variable_sip_from_user", "anonymous", "variable_sip_from_host", "anonymous.invalid"}, true},
		{"From: Anonymous@carrier", []string{"variable_sip_from_user", "Anonymous"}, true},
		{"From: a user at anonymous.invalid", []string{"variable_sip_from_user", "thisisanonymous", "variable_sip_from_host", "Anonymous.Invalid"}, true},
		{"From: Restricted", []string{"variable_sip_from_user", "Restricted"}, true},
		{"From: unavailable", []string{"variable_sip_from_user", "unavailable"}, true},
		{"From: anonymous although a number is asserted", []string{"variable_sip_from_user", "anonymous", "variable_sip_P-Asserted-Identity", "+12125550123"}, true},
		{"From: anonymous without a host", []string{"variable_sip_from_user", "anonymous", "variable_sip_from_host", ""}, true},
		{"Remote-Party-ID: privacy=full", []string{"variable_sip_Remote-Party-ID", `"Ada" <sip:+12125550123@127.0.0.1>;party=calling;screen=yes;privacy=full`}, true},
		{"Remote-Party-ID: privacy=uri-network", []string{"variable_sip_Remote-Party-ID", `<sip:+12125550123@127.0.0.1>; Privacy="uri-network"`}, true},
		{"Remote-Party-ID: privacy=off", []string{"variable_sip_Remote-Party-ID", `<sip:+12125550123@127.0.0.1>;privacy=off`}, false},
		{"Remote-Party-ID: privacy=name hides no number", []string{"variable_sip_Remote-Party-ID", `<sip:+12125550123@127.0.0.1>;privacy=name`}, false},
		{"a user named privacy=full", []string{"variable_sip_Remote-Party-ID", `<sip:+1;privacy=full@127.0.0.1>;party=calling`}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Variables(channelData(t, tt.changes...), "fs1", "US", arrived).From
			if got.Withheld != tt.withheld {
				t.Errorf("withheld = %v, want %v", got.Withheld, tt.withheld)
			}
			if got.Number != "+12125550123" {
				t.Errorf("the number is %q: what FreeSWITCH shows has to stay known to us", got.Number)
			}
		})
	}
}

func TestArrivalOfChannelVariables(t *testing.T) {
	tests := []struct {
		name    string
		changes []string
		check   func(a call.Arrival) (got, want any)
	}{
		{"number without plus", nil, func(a call.Arrival) (any, any) { return a.To, tel.Number("+14155550100") }},
		{"number with plus", []string{"Channel-Destination-Number", "+14155550100"}, func(a call.Arrival) (any, any) { return a.To, tel.Number("+14155550100") }},
		{"national number", []string{"Channel-Destination-Number", "4155550100"}, func(a call.Arrival) (any, any) { return a.To, tel.Number("+14155550100") }},
		{"foreign number without plus", []string{"Channel-Destination-Number", "442079460123"}, func(a call.Arrival) (any, any) { return a.To, tel.Number("+442079460123") }},
		{"extension", []string{"Channel-Destination-Number", "1000"}, func(a call.Arrival) (any, any) { return a.To, tel.Number("") }},
		{"a word", []string{"Channel-Destination-Number", "operator"}, func(a call.Arrival) (any, any) { return a.To, tel.Number("") }},
		{"hostile destination", []string{"Channel-Destination-Number", "${system(touch x)}"}, func(a call.Arrival) (any, any) { return a.To, tel.Number("") }},
		{"asserted", []string{"variable_sip_P-Asserted-Identity", "+12125550123"}, func(a call.Arrival) (any, any) { return a.From.Asserted, true }},
		{"not asserted", nil, func(a call.Arrival) (any, any) { return a.From.Asserted, false }},
		{"a foreign caller without plus", []string{"Channel-Caller-ID-Number", "442079460123"}, func(a call.Arrival) (any, any) {
			return a.From.Number, tel.Number("+442079460123")
		}},
		{"a caller from a small country without plus", []string{"Channel-Caller-ID-Number", "298201234"}, func(a call.Arrival) (any, any) {
			return a.From.Number, tel.Number("+298201234")
		}},
		{"ten digits that no American number can have", []string{"Channel-Caller-ID-Number", "4721234567"}, func(a call.Arrival) (any, any) {
			return a.From.Number, tel.Number("+4721234567")
		}},
		{"eight digits that no country has", []string{"Channel-Caller-ID-Number", "99912345"}, func(a call.Arrival) (any, any) { return a.From.Number, tel.Number("") }},
		{"small country without plus", []string{"Channel-Destination-Number", "29022158"}, func(a call.Arrival) (any, any) { return a.To, tel.Number("+29022158") }},
		{"a caller that is no number", []string{"Channel-Caller-ID-Number", "alice"}, func(a call.Arrival) (any, any) {
			return a.From, tel.Identity{Name: "Ada Attendee", User: "alice"}
		}},
		{"a hostile name is kept as it is and nothing else", []string{"Channel-Caller-ID-Name", "%{system(touch x)}\"; rm '\\"}, func(a call.Arrival) (any, any) {
			return a.From.Name, "%{system(touch x)}\"; rm '\\"
		}},
		{"several diversions in one header", []string{"variable_sip_h_Diversion", `"B, b" <sip:+14155550102@h>;reason=user-busy, <tel:+14155550101>;reason=no-answer;counter=2`},
			func(a call.Arrival) (any, any) {
				return []any{len(a.Diversions), a.Diversions[0].Number, a.Diversions[0].Reason, a.Diversions[1].Number, tel.Diverted(a.Diversions)},
					[]any{2, tel.Number("+14155550102"), "user-busy", tel.Number("+14155550101"), 3}
			}},
		{"a diversion that is none", []string{"variable_sip_h_Diversion", "<<<>;reason"}, func(a call.Arrival) (any, any) { return len(a.Diversions), 0 }},
		{"target and cause", []string{"variable_sip_req_uri", "+18056377243@vm.example.net;target=sip:%2B14155550100%40h;cause=408"}, func(a call.Arrival) (any, any) {
			return []any{a.Target, a.Cause}, []any{"sip:+14155550100@h", 408}
		}},
		{"target with a hostile end", []string{"variable_sip_req_uri", "+1@h;target=sip:x%0d%0aVia: y;cause=99999"}, func(a call.Arrival) (any, any) {
			return []any{a.Target, a.Cause}, []any{"", 0}
		}},
		{"source", nil, func(a call.Arrival) (any, any) { return a.Source, netip.MustParseAddrPort("127.0.0.1:5071") }},
		{"source by IPv6", []string{"variable_sip_received_ip", "2001:db8::1"}, func(a call.Arrival) (any, any) { return a.Source, netip.MustParseAddrPort("[2001:db8::1]:5071") }},
		{"source unknown", []string{"variable_sip_received_ip", "carrier.example"}, func(a call.Arrival) (any, any) { return a.Source, netip.AddrPort{} }},
		{"never authorised", []string{"variable_sip_h_X-Signalbox", "1.k.forged"}, func(a call.Arrival) (any, any) {
			return []any{a.Evidence, a.Verdict.Screened(), a.Trunk}, []any{call.EvidenceVariables, false, ""}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, want := tt.check(Variables(channelData(t, tt.changes...), "fs1", "US", arrived))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// The sidecar reads called numbers and callers by the table that the proxy reads them by.
func TestArrivalsReadTheTableOfNumbers(t *testing.T) {
	for _, c := range teltest.Cases(t) {
		if c.Written == "" || strings.Contains(c.Written, "%") {
			continue // a channel has a destination, and FreeSWITCH resolved its escapes
		}
		a := Variables(channelData(t, "Channel-Destination-Number", c.Written, "Channel-Caller-ID-Number", c.Written), "fs1", c.Region, arrived)
		if string(a.To) != c.Presented || string(a.From.Number) != c.Presented {
			t.Errorf("line %d: %+q in %q is a call to %q from %q, want %q", c.Line, c.Written, c.Region, a.To, a.From.Number, c.Presented)
		}
		if a.Dialled != c.Written || a.From.User != c.Written {
			t.Errorf("line %d: %+q was not kept as it was dialled and presented: %+q, %+q", c.Line, c.Written, a.Dialled, a.From.User)
		}
	}
}

func TestOnlyTheProxysOwnSpellingIsAToken(t *testing.T) {
	if got := Token(channelData(t, "variable_sip_h_X-Signalbox", "1.k.x.y")); got != "1.k.x.y" {
		t.Errorf("token %q", got)
	}
	for _, name := range []string{"variable_sip_h_x-signalbox", "variable_sip_h_X-SIGNALBOX", "variable_sip_h_X-Signalbox-Verdict", "variable_x-signalbox"} {
		if got := Token(channelData(t, name, "1.k.x.y")); got != "" {
			t.Errorf("%s was taken for the proxy's token", name)
		}
	}
}

// executed are the ends of an application in a recording, in their order.
func executed(t *testing.T, recording, app string) []*wire.Event {
	t.Helper()
	rec, err := esltest.Load(recording)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := rec.Messages()
	if err != nil {
		t.Fatal(err)
	}
	var out []*wire.Event
	for _, m := range messages {
		if e, err := wire.ParseEvent(m); err == nil && e.Name() == "CHANNEL_EXECUTE_COMPLETE" && e.Get("Application") == app {
			out = append(out, e)
		}
	}
	return out
}

func TestWhomANetworkSaysItCalled(t *testing.T) {
	for value, want := range map[string]tel.Number{
		"": "", "<sip:+14155550100@ims.example>": "+14155550100", "<tel:(415)555-0100;phone-context=+1>": "+14155550100", "<garbage": "", "<sip:alice@x>": "",
	} {
		if a := Variables(channelData(t, "variable_sip_h_P-Called-Party-ID", value), "", "US", time.Now()); a.Called != want {
			t.Errorf("P-Called-Party-ID %q is %q, want %q", value, a.Called, want)
		}
	}
}
