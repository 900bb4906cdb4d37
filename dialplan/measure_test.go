package dialplan

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
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
	Version string `json:"version"`        // of FreeSWITCH
	Tree    string `json:"tree,omitempty"` // hash of a tree that is not ours to keep
	// Globals are variables that FreeSWITCH sets itself and that the tree uses.
	Globals map[string]string `json:"globals,omitempty"`
	Cases   []measuredCase    `json:"cases"`
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
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var m measured
	if err := json.NewDecoder(in).Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *measured) write(t *testing.T, path string) {
	t.Helper()
	var b bytes.Buffer
	out, done := io.Writer(&b), func() error { return nil }
	if strings.HasSuffix(path, ".gz") {
		z := gzip.NewWriter(&b)
		out, done = z, z.Close
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := errors.Join(enc.Encode(m), done()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
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
			if c.Cut && len(got.Executed) > len(c.Executed) {
				got.Executed = got.Executed[:len(c.Executed)]
				got.Trace = got.Trace[:min(len(got.Trace), len(c.Trace))]
			}
			sameLines(t, "trace", got.Trace, c.Trace)
			sameLines(t, "executed", got.Executed, c.Executed)
		})
	}
}

// sameLines shows the first difference between two lists.
func sameLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	shown := 0
	for i := range max(len(got), len(want)) {
		if shown == 3 {
			t.Errorf("%s: and so on", what)
			return
		}
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			shown++
			t.Errorf("%s, line %d of %d:\n got %s\nwant %s", what, i+1, len(want), g, w)
		}
	}
}

// measure places the calls on the real switch, some at once, waits until they are quiet, and reads the log.
func (m *measured) measure(t *testing.T, fs *realswitch.Switch, conf string) {
	t.Helper()
	m.Version = fs.Version()
	// Where recordings are differs from machine to machine; a name stands for it.
	recordings := fs.API("global_getvar recordings_dir")
	m.Globals = map[string]string{"recordings_dir": "/recordings"}
	tree := load(t, conf, LoadOptions{Globals: m.Globals})
	fs.Command("event plain CHANNEL_CREATE")
	fs.Command("log debug")
	for cases := range m.groups() {
		ids := make([]string, len(cases))
		for i := range cases {
			ids[i] = cases[i].place(fs)
		}
		// No call has executed anything for three seconds.
		seen, quiet := 0, 0
		tick := time.NewTicker(100 * time.Millisecond)
		for n := 0; quiet < 30 && n < 600; n++ {
			<-tick.C
			quiet++
			logs := fs.Logs()
			for _, line := range logs[seen:] {
				if slices.Contains(ids, line.UUID) && (strings.HasPrefix(line.Text, "EXECUTE ") || strings.Contains(line.Text, "Dialplan: ")) {
					quiet = 0
				}
			}
			seen = len(logs)
		}
		tick.Stop()
		log := fs.Logs()
		for i := range cases {
			cases[i].Cut = strings.Contains(fs.API("uuid_exists "+ids[i]), "true")
			cases[i].readLog(log, ids[i], cases[i].channel())
			for _, lines := range [][]string{cases[i].Trace, cases[i].Executed} {
				for n := range lines {
					lines[n] = strings.ReplaceAll(lines[n], recordings, m.Globals["recordings_dir"])
				}
			}
			cases[i].ask(t, fs, tree)
		}
		fs.API("hupall")
	}
}

// groups are calls in one context with the same variables, at most twenty; they are placed at once.
func (m *measured) groups() iter.Seq[[]measuredCase] {
	return func(yield func([]measuredCase) bool) {
		for from := 0; from < len(m.Cases); {
			to := from + 1
			for to < len(m.Cases) && to < from+20 && m.Cases[to].Context == m.Cases[from].Context && maps.Equal(m.Cases[to].Vars, m.Cases[from].Vars) {
				to++
			}
			if !yield(m.Cases[from:to]) {
				return
			}
			from = to
		}
	}
}

// ask walks the call and asks the real switch for what functions answer that cannot be evaluated offline.
func (c *measuredCase) ask(t *testing.T, fs *realswitch.Switch, tree *Tree) {
	t.Helper()
	call := c.call(t)
	resolve := tree.resolver(call)
	call.Functions = func(name, args string) (string, error) {
		out, err := resolve.offline(strings.ToLower(strings.Trim(name, xmlSpace)), strings.Trim(args, xmlSpace))
		if !errors.Is(err, ErrUnknownFunction) {
			return out, err
		}
		if c.Known == nil {
			c.Known = map[string]string{}
		}
		answer := fs.API(name + " " + args)
		if answer == "-ERR no reply\n" || strings.HasSuffix(answer, "Command not found!\n") { // the Event Socket's own words for nothing
			answer = ""
		}
		c.Known[name+"("+args+")"] = answer
		return c.Known[name+"("+args+")"], nil
	}
	call.Known = c.Known
	if _, err := tree.Walk(context.Background(), call, WalkOptions{Assume: c.Assume}); err != nil {
		t.Error(err)
	}
}

// place places one call and returns its id. The far side of a loopback channel comes in like any call.
func (c *measuredCase) place(fs *realswitch.Switch) string {
	vars := ""
	for _, name := range slices.Sorted(maps.Keys(c.Vars)) {
		vars += fmt.Sprintf(",%s='%s'", name, c.Vars[name])
	}
	if vars != "" {
		vars += ",loopback_export='" + strings.Join(slices.Sorted(maps.Keys(c.Vars)), ",") + "'"
	}
	c.At = time.Now().UTC().Truncate(time.Millisecond)
	fs.API(fmt.Sprintf("bgapi originate {origination_caller_id_name='%s',origination_caller_id_number=%s%s}loopback/%s/%s/XML &park",
		c.CallerIDName, c.CallerIDNumber, vars, c.Destination, c.Context))
	event := fs.Await(func(e url.Values) bool { return e.Get("Channel-Name") == c.channel() })
	c.fieldsOf(event)
	return event.Get("Unique-ID")
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
		if !strings.HasSuffix(name, "_time") && name != "profile_index" && name != "chan_name" && value != profile[name] {
			c.Fields[name] = value
		}
	}
}

// readLog takes the lines of one call from the log.
func (c *measuredCase) readLog(log []realswitch.LogLine, id, channel string) {
	c.Trace, c.Executed = []string{}, []string{}
	var outcomes []string
	result := regexp.MustCompile(`Originate Resulted in Error Cause: \d+ \[(\w+)\]`)
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
			if strings.HasPrefix(m[1], "bridge(") && !strings.HasPrefix(m[1], "bridge(error/") {
				outcomes = append(outcomes, "SUCCESS")
			}
		}
		if m := result.FindStringSubmatch(text); m != nil && len(outcomes) > 0 && strings.HasPrefix(c.Executed[len(c.Executed)-1], "bridge(") {
			outcomes[len(outcomes)-1] = m[1]
		}
	}
	if len(outcomes) > 0 {
		c.Assume = map[string]string{"bridge": strings.Join(outcomes, ",")}
	}
}
