package export

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// ended is a call with one of everything, as docs/records.md shows it.
func ended(id string) call.Record {
	at := time.Date(2026, 3, 14, 15, 9, 26, 535_897_932, time.FixedZone("CET", 3600))
	after := func(d time.Duration) time.Time { return at.Add(d) }
	return call.Record{
		ID: id, Owner: "pbx/4711/0a1b2c3d", UUID: "f2a1c1de-0000-4000-8000-3f1f4c1d0001", Node: "fs1",
		Arrival: call.Arrival{
			UUID: "f2a1c1de-0000-4000-8000-3f1f4c1d0001", CallID: "a84b4c76e66710@203.0.113.7", Node: "fs1", Context: "public", Dialled: "14155550100",
			To: "+14155550100", From: tel.Identity{Name: "Ada", User: "+12125550123", Number: "+12125550123", Asserted: true},
			Diversions: []tel.Diversion{{User: "+14155550142", Number: "+14155550142", Reason: "no-answer", Counter: 1}},
			Target:     "+14155550100", Cause: 408, Trunk: "carrier", Source: netip.MustParseAddrPort("203.0.113.7:5060"),
			Verdict: call.Verdict{Likelihood: 0.4, Model: "rules-1", Reasons: []call.Reason{{Name: "unassigned-range", Weight: 0.4, Sentence: "nobody has that range"}}},
		},
		Plan: call.Plan{Number: "+14155550100", Account: "ada"},
		Steps: []call.StepRecord{
			{Kind: call.StepRing, Started: after(10 * time.Millisecond), Ended: after(20*time.Second + 12*time.Millisecond), Result: call.NoAnswer, Attempts: []call.Attempt{
				{Target: "1000@pbx.example.net", Started: after(11 * time.Millisecond), Ended: after(20 * time.Second), Result: call.NoAnswer, Disposition: "NO_ANSWER"},
			}},
			{Kind: call.StepMailbox, Started: after(20*time.Second + 13*time.Millisecond), Ended: after(42 * time.Second), Result: call.Answered, Attempts: []call.Attempt{
				{Target: "vm-a.example.net 127.0.0.1:5091/udp", Started: after(20*time.Second + 15*time.Millisecond), Ended: after(42 * time.Second), Result: call.Answered, Disposition: "SUCCESS", SIPStatus: 200},
			}},
		},
		Started: at, Answered: after(21 * time.Second), Updated: after(42 * time.Second), Ended: after(42*time.Second + 400*time.Microsecond),
		Result: call.Answered, Cause: "NORMAL_CLEARING",
	}
}

// The example of docs/records.md is what comes out, to the letter.
func TestTheDocumentedExampleIsWhatIsWritten(t *testing.T) {
	line, err := Line(ended("0b9f4c1e-7d1c-4a44-9f6e-2f5b8f0d3a10"))
	if err != nil {
		t.Fatal(err)
	}
	var pretty any
	if err := json.Unmarshal(line, &pretty); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatalf("docs/records.md shows no example:\n%s", line)
	}
	var shown any
	if err := json.Unmarshal(block[1], &shown); err != nil {
		t.Fatalf("the example of docs/records.md: %v", err)
	}
	if !reflect.DeepEqual(shown, pretty) {
		t.Errorf("docs/records.md shows another record than\n%s", line)
	}
}

// Every field that can come out stands in the table of docs/records.md, and the reverse.
func TestEveryFieldIsDocumentedAndTheReverse(t *testing.T) {
	doc, err := os.ReadFile("../../docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = true
	}
	known := map[string]bool{}
	fields(reflect.TypeFor[Record](), "", known)
	for name := range known {
		if !documented[name] {
			t.Errorf("docs/records.md does not explain %s", name)
		}
	}
	for name := range documented {
		if !known[name] {
			t.Errorf("docs/records.md explains %s, which there is not", name)
		}
	}
}

func fields(typ reflect.Type, prefix string, out map[string]bool) {
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		name = prefix + name
		switch f := typ.Field(i).Type; {
		case f.Kind() == reflect.Struct && f != reflect.TypeFor[Time]():
			fields(f, name+".", out)
		case f.Kind() == reflect.Slice:
			fields(f.Elem(), name+"[].", out)
		default:
			out[name] = true
		}
	}
}

func TestTimesAreUTCAndDurationsAreNeverBelowZero(t *testing.T) {
	rec := ended("x")
	rec.Ended = rec.Started.Add(-time.Hour) // a clock was set back during the call
	rec.Answered = time.Time{}
	out := Of(rec)
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"started":"2026-03-14T14:09:26.535Z"`, `"duration_seconds":0,`, `"talk_seconds":0,`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "answered\":\"") && strings.Contains(string(text), `"answered":"0001`) {
		t.Errorf("a call that was not answered has a time of its answer:\n%s", text)
	}
	if line, _ := Line(rec); strings.Count(string(line), "\n") != 1 {
		t.Error("a record is not one line")
	}
}
