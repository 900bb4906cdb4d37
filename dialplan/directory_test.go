package dialplan_test

import (
	"encoding/xml"
	"os"
	"strings"
	"testing"
)

// The user for the Event Socket has no SIP password, and mod_sofia 1.10.12 takes a user without one at any password
// (measured: REGISTER with a made-up digest got 200). Nor may a password that everybody can read here be one.
func TestTheEventSocketUserIsNoSIPUser(t *testing.T) {
	const file = "../freeswitch-conf/directory/default/signalbox.xml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var include struct {
		Users []struct {
			ID     string `xml:"id,attr"`
			Params []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:"value,attr"`
			} `xml:"params>param"`
		} `xml:"user"`
	}
	if err := xml.Unmarshal(text, &include); err != nil {
		t.Fatal(err)
	}
	if len(include.Users) != 1 || include.Users[0].ID != "signalbox" {
		t.Fatalf("users %+v", include.Users)
	}
	params := map[string]string{}
	for _, p := range include.Users[0].Params {
		params[p.Name] = p.Value
	}
	if params["allow-empty-password"] != "false" || params["auth-acl"] != "loopback.auto" {
		t.Errorf("anybody can register as signalbox: %v", params)
	}
	for _, name := range []string{"esl-password", "password", "a1-hash", "vm-password"} {
		if value, ok := params[name]; ok {
			t.Errorf("the file ships the %s %q", name, value)
		}
	}
	if !strings.Contains(string(text), `<!-- <param name="esl-password"`) {
		t.Error("the file does not show where esl-password goes")
	}
	// What the sidecar's link asks for.
	for _, name := range []string{"HEARTBEAT", "CHANNEL_HANGUP_COMPLETE", "BACKGROUND_JOB"} {
		if !strings.Contains(params["esl-allowed-events"], name) {
			t.Errorf("the link may not subscribe to %s", name)
		}
	}
	for _, name := range []string{"status", "show", "uuid_exists", "global_getvar"} {
		if !strings.Contains(","+params["esl-allowed-api"]+",", ","+name+",") {
			t.Errorf("the link may not ask %s", name)
		}
	}
}
