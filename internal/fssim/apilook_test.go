package fssim

import (
	"encoding/xml"
	"strings"
	"testing"
)

// What a client that looks at the switch is told is XML, names the real addresses, and does not invent what is not there.
func TestLookingAtTheSwitch(t *testing.T) {
	s, err := New(Options{Password: "p<w", Contexts: []string{"../../freeswitch-conf/dialplan/signalbox.xml"}, Public: []string{"../../freeswitch-conf/dialplan/public/05_signalbox.xml"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for command, want := range map[string]string{
		"xml_locate dialplan context name public":                       `<extension name="signalbox" continue="true"`,
		"xml_locate dialplan context name SIGNALBOX":                    `<extension name="signalbox-talked">`,
		"xml_locate configuration configuration name event_socket.conf": `<param name="password" value="p&lt;w"></param>`,
		"xml_locate configuration configuration name sofia.conf":        `<param name="context" value="public"></param>`,
		"xml_locate dialplan context name none":                         "can't find anything",
		"xml_locate configuration configuration name none.conf":         "can't find anything",
		"xml_locate":                       "-ERR bad args",
		"sofia xmlstatus":                  "<name>external</name>",
		"sofia xmlstatus profile external": "<url>sip:mod_sofia@" + s.ExternalAddr().String() + "</url>",
		"sofia xmlstatus profile none":     "Invalid Profile!",
		"module_exists mod_sofia":          "true",
		"module_exists mod_none":           "false",
		"acl 127.0.0.1 loopback.auto":      "true",
		"acl 192.0.2.1 loopback.auto":      "false",
		"acl 127.0.0.1 none":               "false",
		"fsctl sps":                        "+OK sessions per second: 30",
		"fsctl max_sessions":               "+OK max sessions: 1000",
		"show api as json":                 `"name":"uuid_transfer"`,
	} {
		name, arg, _ := strings.Cut(command, " ")
		got := s.api(nil, name, arg)
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
		if strings.HasPrefix(got, "<") {
			d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(got, `<?xml version="1.0" encoding="ISO-8859-1"?>`)))
			var any struct{ XMLName xml.Name }
			if err := d.Decode(&any); err != nil {
				t.Errorf("%s is no XML: %v", command, err)
			}
		}
	}
	for _, name := range simulatedCommands {
		if lookupAPI(name) == nil {
			t.Errorf("show api lists %s, which is not there", name)
		}
	}
}
