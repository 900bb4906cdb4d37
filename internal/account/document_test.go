package account_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

const whole = `
accounts:
  - {id: alice, name: Alice Example}
numbers:
  - number: "+1 (415) 555-0100"
    account: alice
    no_answer: 15s
    devices:
      - {user: "1000", host: PBX.example.net}
      - {kind: uri, user: desk, host: "2001:db8::7", port: 5062, transport: tcp}
    voicemail:
      pilot: "*86"
      conditions: [busy, no-answer]
pilots:
  - number: "*86"
    systems: [{fqdn: VM.example.net., priority: 10}]
voicemail_systems:
  - {fqdn: vm.example.net, transport: tcp}
`

func parse(t *testing.T, text string) account.Document {
	t.Helper()
	var d account.Document
	if err := yaml.UnmarshalWithOptions([]byte(text), &d, yaml.Strict()); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return d
}

func TestDocumentInItsOneForm(t *testing.T) {
	d, err := parse(t, whole).Normalize()
	if err != nil {
		t.Fatal(err)
	}
	conditions := account.ConditionList{tel.NoAnswer, tel.Busy}
	want := account.NumberEntry{Number: "+14155550100", Account: "alice", NoAnswer: account.Duration(15 * time.Second),
		Devices: []account.DeviceEntry{
			{Kind: account.DeviceRegistered, Profile: "internal", User: "1000", Host: "pbx.example.net"},
			{Kind: account.DeviceURI, Profile: "internal", User: "desk", Host: "2001:db8::7", Port: 5062, Transport: "tcp"}},
		Voicemail: &account.VoicemailEntry{Pilot: "*86", Conditions: &conditions}}
	if !reflect.DeepEqual(d.Numbers[0], want) {
		t.Errorf("number is %+v, want %+v", d.Numbers[0], want)
	}
	if got := d.Pilots[0].Systems[0].FQDN; got != "vm.example.net" {
		t.Errorf("name of the system is %q", got)
	}
}

func TestDocumentSurvivesYAMLAndJSON(t *testing.T) {
	d, err := parse(t, whole).Normalize()
	if err != nil {
		t.Fatal(err)
	}
	none := account.ConditionList{}
	d.Numbers[0].Voicemail.Conditions = &none // none at all is not the same as no key
	asYAML, err := yaml.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if got := parse(t, string(asYAML)); !reflect.DeepEqual(got, d) {
		t.Errorf("by YAML it is\n%+v, want\n%+v\n%s", got, d, asYAML)
	}
	asJSON, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var got account.Document
	if err := json.Unmarshal(asJSON, &got); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("by JSON it is\n%+v (%v), want\n%+v", got, err, d)
	}
	if !strings.Contains(string(asJSON), `"no_answer":"15s"`) {
		t.Errorf("JSON is %s", asJSON)
	}
}

func TestConditionsLeftOutMeanAll(t *testing.T) {
	d := parse(t, strings.Replace(whole, "conditions: [busy, no-answer]", "", 1))
	merged, err := d.Normalize()
	if err != nil {
		t.Fatal(err)
	}
	want := account.Conditions{NoAnswer: true, Busy: true, NotRegistered: true, Unreachable: true, Declined: true}
	if got := merged.Numbers[0].Voicemail.Conditions.Conditions(); got != want {
		t.Errorf("conditions are %+v", got)
	}
}

func TestEveryBadFieldIsNamed(t *testing.T) {
	if err := parse(t, whole).Validate(); err != nil {
		t.Fatalf("the good document is refused: %v", err)
	}
	tests := []struct{ from, to, want string }{
		{"id: alice", `id: "a b"`, "accounts[0].id: "},
		{"id: alice", "id: " + strings.Repeat("x", 65), "accounts[0].id: "},
		{"id: alice", "id: ..", "accounts[0].id: "}, // a folder has this name
		{"Alice Example", `"Alice\u0000"`, "accounts[0].name: "},
		{"Alice Example", strings.Repeat("x", 129), "accounts[0].name: "},
		{"+1 (415) 555-0100", "12", "numbers[0].number: "},
		{"+1 (415) 555-0100", "4155550100", "numbers[0].number: "},
		{"+1 (415) 555-0100", "+1415555010", "numbers[0].number: "},
		{"account: alice", "account: carol", "numbers[0].account: no account carol is known"},
		{"account: alice", `account: ""`, "numbers[0].account: "},
		{"15s", "4s", "numbers[0].no_answer: 4s is not between 5s and 3m0s"},
		{"15s", "181s", "numbers[0].no_answer: "},
		{"15s", "-15s", "numbers[0].no_answer: "},
		{`user: "1000"`, `user: "${system(touch x)}"`, "numbers[0].devices[0].user: "},
		{`user: "1000"`, `user: ""`, "numbers[0].devices[0].user: "},
		{"PBX.example.net", `"pbx;fs_path=x"`, "numbers[0].devices[0].host: "},
		{"PBX.example.net", `""`, "numbers[0].devices[0].host: "},
		{"PBX.example.net", "1.2.3", "numbers[0].devices[0].host: "},
		{"PBX.example.net", "PBX.example.net, port: 5060", "numbers[0].devices[0].port: "},
		{"PBX.example.net", "PBX.example.net, transport: udp", "numbers[0].devices[0].transport: "},
		{"PBX.example.net", `PBX.example.net, profile: "a/b"`, "numbers[0].devices[0].profile: "},
		{"2001:db8::7", "fe80::1%eth0", "numbers[0].devices[1].host: "},
		{"2001:db8::7", "0.0.0.0", "numbers[0].devices[1].host: "},
		{"kind: uri", "kind: fax", "numbers[0].devices[1].kind: "},
		{"port: 5062, transport: tcp", "transport: tls", "numbers[0].devices[1].transport: "},
		{`pilot: "*86"`, `pilot: "*87"`, "numbers[0].voicemail.pilot: no pilot *87 is known"},
		{`pilot: "*86"`, `pilot: "vm"`, "numbers[0].voicemail.pilot: "},
		{"[busy, no-answer]", "[busy, no-anser]", "numbers[0].voicemail.conditions[1]: "},
		{`- number: "*86"`, `- number: "*"`, "pilots[0].number: "},
		{"[{fqdn: VM.example.net., priority: 10}]", "[]", "pilots[0].systems: "},
		{"VM.example.net.", "other.example.net", "pilots[0].systems[0].fqdn: no voicemail system other.example.net is known"},
		{"VM.example.net.", "vm", "pilots[0].systems[0].fqdn: "},
		{"{fqdn: VM.example.net., priority: 10}", "{fqdn: vm.example.net}, {fqdn: vm.example.net}", "pilots[0].systems[1].fqdn: "},
		{"fqdn: vm.example.net,", `fqdn: "vm.example.net/x",`, "voicemail_systems[0].fqdn: "},
		{"fqdn: vm.example.net,", "fqdn: 192.0.2.1,", "voicemail_systems[0].fqdn: "},
		{"vm.example.net, transport: tcp", "vm.example.net, transport: sctp", "voicemail_systems[0].transport: "},
		{"vm.example.net, transport: tcp", `vm.example.net, profile: ""`, ""},
		{"vm.example.net, transport: tcp", `vm.example.net, profile: "x y"`, "voicemail_systems[0].profile: "},
		{"- {fqdn: vm.example.net,", "- {fqdn: vm.example.net}\n  - {fqdn: vm.example.net,", "voicemail_systems[1]: "},
		{"  - {id: alice,", "  - {id: alice}\n  - {id: alice,", "accounts[1]: "},
		{"numbers:", "numbers:\n  - {number: \"+14155550100\", account: bob}", "numbers[1].account: number +14155550100 belongs to account bob already"},
		{"numbers:", "numbers:\n  - {number: \"+14155550100\", account: alice}", "numbers[1]: number +14155550100 stands at numbers[0] already"},
	}
	for _, tt := range tests {
		text := strings.Replace(whole, tt.from, tt.to, 1)
		if text == whole {
			t.Fatalf("%q is not in the document", tt.from)
		}
		err := parse(t, text).Validate()
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.to, err)
			}
			continue
		}
		var invalid *account.Invalid
		if !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Problems[0], tt.want) {
			t.Errorf("%s: error is %v, want %q", tt.to, err, tt.want)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var d account.Document
	for range 100 {
		d.Accounts = append(d.Accounts, account.AccountEntry{})
	}
	err := d.Validate()
	var invalid *account.Invalid
	if !errors.As(err, &invalid) || len(invalid.Problems) != 20 || invalid.More < 80 {
		t.Errorf("error is %v", err)
	}
	d.Accounts = make([]account.AccountEntry, account.MaxRows+1)
	if err := d.Validate(); err == nil || !strings.HasPrefix(err.Error(), "accounts: 200001 rows") {
		t.Errorf("error is %v", err)
	}
	devices := account.Document{Accounts: []account.AccountEntry{{ID: "a"}},
		Numbers: []account.NumberEntry{{Number: "+14155550100", Account: "a"}}}
	for range account.MaxDevices + 1 {
		devices.Numbers[0].Devices = append(devices.Numbers[0].Devices, account.DeviceEntry{User: "1", Host: "h"})
	}
	if err := devices.Validate(); err == nil || !strings.HasPrefix(err.Error(), "numbers[0].devices: ") {
		t.Errorf("error is %v", err)
	}
}

func TestNormalizeLeavesItsArgumentsAlone(t *testing.T) {
	d := parse(t, whole)
	if _, err := d.Normalize(); err != nil {
		t.Fatal(err)
	}
	if again := parse(t, whole); !reflect.DeepEqual(d, again) {
		t.Errorf("the document was changed to %+v", d)
	}
}

func TestParseDocumentNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"accounts:\n  - {id: a, nam: x}": "line 2",
		"prune: true\nprune: false":      "line 2",
		"accounts: &a [*a]":              "line 1",
		"numbers:\n - {no_answer: soon}": "line 2: numbers[0].no_answer",
	} {
		if _, err := account.ParseDocument([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}
