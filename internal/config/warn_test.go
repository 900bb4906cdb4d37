package config

import (
	"strings"
	"testing"
)

func keysOf(warnings []Warning) string {
	var keys []string
	for _, w := range warnings {
		keys = append(keys, w.Key)
	}
	return strings.Join(keys, " ")
}

func TestWhatEverybodyKnowsIsWarnedOf(t *testing.T) {
	c, err := Load(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The example is meant to be changed before it is used.
	if got := keysOf(c.Warnings()); got != "nodes[0].event_socket.password token.keys[0].secret" {
		t.Errorf("the example is warned of for %q", got)
	}
	for _, w := range c.Warnings() {
		if strings.Contains(w.String(), exampleSecret) || !strings.HasPrefix(w.String(), w.Key+" is ") {
			t.Errorf("warning %q", w)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"secrets of one's own", func(*Config) {}, ""},
		{"vanilla's password", func(c *Config) { c.Nodes[0].EventSocket.Password = "ClueCon" }, "nodes[0].event_socket.password"},
		{"a password that is not used", func(c *Config) { c.Nodes[0].EventSocket = EventSocket{Password: "ClueCon"} }, ""},
		{"nobody may call", func(c *Config) { c.Proxy.Trunks = nil }, "proxy.trunks"},
		{"a carrier of many calls", func(c *Config) { c.Proxy.Trunks[0].CallsPerSecond = 5000 }, ""},
		{"messages for a quarter of the calls", func(c *Config) { c.Proxy.Trunks[0].CallsPerSecond, c.Proxy.Trunks[0].MessagesPerSecond = 400, 400 }, "proxy.trunks[0].messages_per_second"},
		{"the example's secret behind another", func(c *Config) { c.Token.Keys = append(c.Token.Keys, Key{ID: "old", Secret: exampleSecret}) }, "token.keys[1].secret"},
	} {
		c, err := Load(example, []string{"SIGNALBOX_NODES_0_EVENT_SOCKET_PASSWORD=mine", "SIGNALBOX_TOKEN_KEYS_0_SECRET=fedcba9876543210fedcba9876543210"})
		if err != nil {
			t.Fatal(err)
		}
		tt.change(c)
		if got := keysOf(c.Warnings()); got != tt.want {
			t.Errorf("%s: warnings %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRecordsMayBeKeptForEver(t *testing.T) {
	for value, good := range map[string]bool{"0s": true, "1h": true, "2160h": true, "87600h": true, "59m": false, "-1h": false, "87601h": false} {
		_, err := Load(example, []string{"SIGNALBOX_STORE_KEEP_RECORDS=" + value})
		if (err == nil) != good {
			t.Errorf("store.keep_records %s: %v", value, err)
		}
	}
}
