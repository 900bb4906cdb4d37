package dialplan

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

// measured is a file of calls and what a real FreeSWITCH did with them.
type measured struct {
	Version string         `json:"version"`        // of FreeSWITCH
	Tree    string         `json:"tree,omitempty"` // hash of a tree that is not ours to keep
	Cases   []measuredCase `json:"cases"`
}

// measuredCase is one call. Everything that FreeSWITCH knew and the tree does not say stands in it.
type measuredCase struct {
	oracleCase
	Vars   map[string]string `json:"vars,omitempty"`
	Fields map[string]string `json:"fields,omitempty"`
	// Assume is what came of the bridges, Known what functions answered that cannot be evaluated offline.
	Assume map[string]string `json:"assume,omitempty"`
	Known  map[string]string `json:"known,omitempty"`
	At     time.Time         `json:"at"`
	Zone   string            `json:"zone,omitempty"` // the switch's own
	// Cut says that the call was ended in the middle of an application: what comes behind it was never seen.
	Cut bool `json:"cut,omitempty"`
}

func readMeasured(t testing.TB, path string) measured {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m measured
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *measured) write(t *testing.T, path string) {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (c *measuredCase) call(t *testing.T) *Call {
	zone := time.UTC
	if c.Zone != "" {
		var err error
		if zone, err = time.LoadLocation(c.Zone); err != nil {
			t.Skip(err)
		}
	}
	return &Call{Context: c.Context, Destination: c.Destination, CallerIDName: c.CallerIDName, CallerIDNumber: c.CallerIDNumber,
		Fields: c.Fields, Vars: NewVars(c.Vars), Now: c.At.In(zone), Known: c.Known}
}

// compare walks every case in the tree.
func (m *measured) compare(t *testing.T, tree *Tree, atLeast int) {
	t.Helper()
	if len(m.Cases) < atLeast {
		t.Fatalf("%d cases, want at least %d", len(m.Cases), atLeast)
	}
	for _, c := range m.Cases {
		t.Run(c.Context+"/"+c.Destination+"/"+c.CallerIDName, func(t *testing.T) {
			got, err := tree.Walk(context.Background(), c.call(t), WalkOptions{Assume: c.Assume})
			if err != nil {
				t.Fatal(err)
			}
			sameLines(t, "trace", got.Trace, c.Trace)
			executed := got.Executed
			if c.Cut && len(executed) > len(c.Executed) {
				executed = executed[:len(c.Executed)]
			}
			sameLines(t, "executed", executed, c.Executed)
		})
	}
}

// sameLines shows the first difference between two lists.
func sameLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s, line %d of %d:\n got %s\nwant %s", what, i+1, len(want), g, w)
		}
	}
}

// measure places all calls on the real switch, waits until they are quiet, and reads the log.
func (m *measured) measure(t *testing.T, fs *realswitch.Switch) {
	t.Helper()
	m.Version = fs.Version()
	fs.Command("event plain CHANNEL_CREATE")
	fs.Command("log debug")
	ids := make([]string, len(m.Cases))
	for i := range m.Cases {
		c := &m.Cases[i]
		vars := ""
		for _, name := range slices.Sorted(maps.Keys(c.Vars)) {
			vars += fmt.Sprintf(",%s='%s'", name, c.Vars[name])
		}
		if vars != "" {
			vars += ",loopback_export='" + strings.Join(slices.Sorted(maps.Keys(c.Vars)), ",") + "'"
		}
		c.At = time.Now().UTC().Truncate(time.Millisecond)
		// The far side of a loopback channel comes in like any call.
		fs.API(fmt.Sprintf("bgapi originate {origination_caller_id_name='%s',origination_caller_id_number=%s%s}loopback/%s/%s/XML &park",
			c.CallerIDName, c.CallerIDNumber, vars, c.Destination, c.Context))
		event := fs.Await(func(e url.Values) bool { return e.Get("Channel-Name") == c.channel() })
		ids[i] = event.Get("Unique-ID")
		c.fieldsOf(event)
	}
	// No call writes for two seconds.
	log, quiet := fs.Logs(), 0
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; quiet < 25 && n < 600; n++ {
		<-tick.C
		if now := fs.Logs(); len(now) == len(log) {
			quiet++
		} else {
			log, quiet = now, 0
		}
	}
	for i := range m.Cases {
		c := &m.Cases[i]
		c.Cut = strings.Contains(fs.API("uuid_exists "+ids[i]), "true")
		c.readLog(log, ids[i], c.channel())
	}
}

func (c *measuredCase) channel() string { return "loopback/" + c.Destination + "-b" }

// fieldsOf keeps the fields of the caller's profile, except for what differs with every call.
func (c *measuredCase) fieldsOf(event url.Values) {
	headers := map[string]string{}
	for name := range event {
		headers[name] = event.Get(name)
	}
	c.Fields = map[string]string{}
	for name, value := range CallFromHeaders(headers).Fields {
		if name != "uuid" && !strings.HasSuffix(name, "_time") && name != "profile_index" && name != "chan_name" && value != profile[name] {
			c.Fields[name] = value
		}
	}
}

// readLog takes the lines of one call from the log.
func (c *measuredCase) readLog(log []realswitch.LogLine, id, channel string) {
	c.Trace, c.Executed = []string{}, []string{}
	dialplan := regexp.MustCompile(`(?s)^((?:\|-+ )?)Dialplan: (?:` + regexp.QuoteMeta(channel) + ` (.*)|(Processing.*))$`)
	execute := regexp.MustCompile(`(?s)^EXECUTE \[depth=\d+\] ` + regexp.QuoteMeta(channel) + ` (.*)$`)
	for _, line := range log {
		if line.UUID != id {
			continue
		}
		text := strings.TrimSuffix(line.Text, "\n")
		if m := dialplan.FindStringSubmatch(text); m != nil {
			c.Trace = append(c.Trace, m[1]+strings.TrimRight(m[2]+m[3], " "))
		}
		if m := execute.FindStringSubmatch(text); m != nil {
			c.Executed = append(c.Executed, m[1])
		}
	}
}
