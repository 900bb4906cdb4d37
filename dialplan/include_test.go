package dialplan

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shippedTree makes a tree of our own include files with an operator's extensions behind them.
func shippedTree(t *testing.T) *Tree {
	t.Helper()
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join("..", "freeswitch-conf", "dialplan", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	dir := write(t, map[string]string{
		"freeswitch.xml":                   strings.Replace(document, "%s", "<X-PRE-PROCESS cmd=\"include\" data=\"dialplan/*.xml\"/>\n", 1),
		"dialplan/public.xml":              "<include>\n<context name=\"public\">\n<X-PRE-PROCESS cmd=\"include\" data=\"public/*.xml\"/>\n</context>\n</include>\n",
		"dialplan/public/05_signalbox.xml": read("public/05_signalbox.xml"),
		"dialplan/public/10_operator.xml":  "<include>\n<extension name=\"operator\"><condition field=\"destination_number\" expression=\"^\\+1415\">\n<action application=\"bridge\" data=\"user/1000\"/>\n</condition></extension>\n</include>\n",
		"dialplan/signalbox.xml":           read("signalbox.xml"),
	})
	return load(t, filepath.Join(dir, "freeswitch.xml"), LoadOptions{})
}

// applications returns the names of executed applications with the first word of their data.
func applications(w *Walk) []string {
	var out []string
	for _, a := range w.Actions {
		data, _, _ := strings.Cut(a.Data, "=")
		data, _, _ = strings.Cut(data, " ")
		out = append(out, a.Application+" "+data)
	}
	return out
}

// TestOurIncludeHandsUnservedCallsToTheOperator walks the shipped files: nobody listens, so socket returns at once.
func TestOurIncludeHandsUnservedCallsToTheOperator(t *testing.T) {
	tree := shippedTree(t)
	if n := tree.Notices(); len(n) != 0 {
		t.Errorf("notices: %v", n)
	}
	call := func(vars map[string]string) (*Call, *Walk) {
		c := &Call{Context: "public", Destination: "+14155550100", CallerIDNumber: "+12125550123", Now: time.Now(),
			Fields: map[string]string{"uuid": "u-1"}, Vars: NewVars(vars)}
		w, err := tree.Walk(context.Background(), c, WalkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c, w
	}
	c, w := call(nil)
	got := applications(w)
	socket, stage, operator := slices.Index(got, "socket 127.0.0.1:8084"), slices.Index(got, "execute_extension signalbox-unserved"), slices.Index(got, "bridge user/1000")
	if socket < 0 || stage != socket+1 || operator < stage {
		t.Errorf("executed %q: want socket, execute_extension signalbox-unserved at once, and then the operator's bridge", got)
	}
	for name := range c.Vars.(*Vars).All() {
		if strings.HasPrefix(name, "execute_on_answer_signalbox") || name == "socket_resume" {
			t.Errorf("%s stands after the call was handed back", name)
		}
	}

	if _, w = call(map[string]string{"signalbox_handed_back": "+14155550111"}); !slices.Contains(applications(w), "socket 127.0.0.1:8084") {
		t.Errorf("a call that was handed back as another number executed %q, want it handed to the sidecar", applications(w))
	}
	if _, w = call(map[string]string{"signalbox_handed_back": "+14155550100"}); !slices.Equal(applications(w), []string{"bridge user/1000"}) {
		t.Errorf("a call that was handed back executed %q, want the operator's bridge alone", applications(w))
	}

	// The sidecar, or FreeSWITCH itself, has turned the stage while the parties talked.
	talked := NewVars(nil)
	c = &Call{Context: "public", Destination: "+14155550100", Now: time.Now(), Vars: stageTurns{talked}}
	w, err := tree.Walk(context.Background(), c, WalkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if last := w.Executed[len(w.Executed)-1]; last != "hangup(NORMAL_CLEARING)" || w.End != "NORMAL_CLEARING" {
		t.Errorf("after a conversation: %s last, ends with %q, want hangup(NORMAL_CLEARING)", last, w.End)
	}
}

// stageTurns are variables in which the stage is always "talked".
type stageTurns struct{ *Vars }

func (s stageTurns) Set(name, value string) {
	if name == "signalbox_stage" && value != "" {
		value = "talked"
	}
	s.Vars.Set(name, value)
}

func TestWalkIsWrittenAsJSON(t *testing.T) {
	w := &Walk{Trace: []string{"parsing [a->b] continue=false"}, Executed: []string{"set(a=<&>)"},
		Actions: []Action{{Application: "set", Data: "a=<&>", Pos: Pos{File: "f.xml", Line: 3}}}, End: "NO_ROUTE_DESTINATION"}
	var b bytes.Buffer
	if err := w.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back struct{ Trace, Executed []string }
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || !slices.Equal(back.Trace, w.Trace) || !slices.Equal(back.Executed, w.Executed) || !strings.Contains(b.String(), "<&>") {
		t.Errorf("JSON %s, %v", b.String(), err)
	}
	b.Reset()
	if err := (&Walk{}).WriteJSON(&b); err != nil || !strings.Contains(b.String(), `"trace": []`) || !strings.Contains(b.String(), `"executed": []`) {
		t.Errorf("empty walk: %s, %v", b.String(), err)
	}
}
