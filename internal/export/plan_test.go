package export

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// An open call has no end, and everything else of it the words of an exported record.
func TestAStoredRecordAsJSON(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := call.Record{ID: "one", Owner: "me", UUID: "u", Node: "fs1", Started: at, Updated: at.Add(1500 * time.Millisecond)}
	r.Arrival = call.Arrival{
		CallID: "c", Context: "public", Dialled: "+14155550100", To: "+14155550100", From: tel.Identity{User: "1000", Number: "+12125550123"},
		Line: account.Device{User: "1000", Host: "h"}, OwnNumber: true, Source: netip.MustParseAddrPort("192.0.2.1:5060"), Evidence: call.EvidenceToken,
		History: []tel.HistoryEntry{{URI: "sip:a@h", Index: "1", Cause: 486}},
	}
	r.Plan = call.Plan{Account: "ada", Steps: []call.Step{{
		Kind: call.StepSpool, Reason: call.Reason{Name: "n", Sentence: "s"}, Spool: &call.Spool{Number: "+14155550100", Longest: 90 * time.Second},
	}}}
	text, err := json.Marshal(StoredList([]call.Record{r}))
	const want = `[{"version":1,"id":"one","node":"fs1","uuid":"u","call_id":"c","instance":"me","started":"2026-03-01T12:00:00.000Z","duration_seconds":0,"talk_seconds":0,"result":"",` +
		`"caller":{"number":"+12125550123","user":"1000","withheld":false,"asserted":false},"called":{"number":"+14155550100","dialled":"+14155550100","account":"ada"},` +
		`"source":"192.0.2.1:5060","verdict":{"screened":false,"action":"deliver","likelihood":0},` +
		`"context":"public","line":"1000@h","own_number":true,"history":[{"uri":"sip:a@h","index":"1","cause":486}],"evidence":"token",` +
		`"open":true,"updated":"2026-03-01T12:00:01.500Z",` +
		`"plan":{"account":"ada","steps":[{"kind":"spool","reason":{"name":"n","sentence":"s"},"spool":{"number":"+14155550100","longest_seconds":90}}]}}]`
	if err != nil || string(text) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, text, want)
	}
	r.Ended = at.Add(2 * time.Second)
	if s := StoredOf(r); s.Open || !s.Ended.Equal(r.Ended) || s.Record.Ended != s.Ended {
		t.Errorf("ended: %+v", s)
	}
	if text, err := json.Marshal(StoredList(nil)); err != nil || string(text) != "[]" {
		t.Errorf("none: %s, %v", text, err)
	}
}
