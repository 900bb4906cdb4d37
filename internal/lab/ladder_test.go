package lab

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sampleTale() []Event {
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	return []Event{
		{At: at(0), Kind: Signal, From: "caller", To: "proxy", Summary: "INVITE +493023125001"},
		{At: at(2), Kind: Signal, From: "proxy", To: "caller", Summary: "100 Trying"},
		{At: at(9), Kind: Switch, From: "proxy", To: "switch", Summary: "the call arrives"},
		{At: at(20), Kind: Signal, From: "switch", To: "phone", Summary: "INVITE phone"},
		{At: at(21), Kind: Signal, From: "phone", To: "switch", Summary: "180 Ringing"},
		{At: at(3020), Kind: Tell, From: "phone", To: "phone", Summary: "the phone rings for 3 s, nobody answers: voicemail, cause=408"},
		{At: at(3021), Kind: Signal, From: "switch", To: "phone", Summary: "CANCEL (SIP 487)"},
		{At: at(3050), Kind: Signal, From: "switch", To: "voicemail-2", Summary: "INVITE *86 cause=408 and a long text that does not fit at all"},
		{At: at(3051), Kind: Signal, From: "voicemail-2", To: "switch", Summary: "200 OK"},
		{At: at(3500), Kind: Proof, From: "caller", To: "voicemail-2", Summary: "caller heard 24 voice packets of voicemail-2"},
		{At: at(3600), Kind: Deed, From: "sidecar", To: "sidecar", Summary: "kill -9 of the sidecar"},
		{At: at(3700), Kind: Signal, From: "caller", To: "proxy", Summary: "BYE \x1b[31m\nx"},
		{At: at(3710), Kind: Signal, From: "127.0.0.1:9", To: "phone", Summary: "OPTIONS"},
		{At: at(123456), Kind: Signal, From: "proxy", To: "caller", Summary: "480 Temporarily Unavailable"},
	}
}

func TestLadderLooksAsItDid(t *testing.T) {
	for _, c := range []struct {
		golden string
		ladder Ladder
	}{
		{"ladder.txt", Ladder{Columns: baseColumns(), Spacing: 22}},
		{"ladder-colour.txt", Ladder{Columns: append(baseColumns(), ColOperator), Spacing: 18, Colour: true}},
	} {
		var b strings.Builder
		b.WriteString(c.ladder.Header() + "\n" + c.ladder.Rail() + "\n")
		for _, e := range sampleTale() {
			b.WriteString(c.ladder.Row(e) + "\n")
		}
		path := filepath.Join("testdata", c.golden)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s differs (go test -run Ladder -update writes it anew); now:\n%s", path, b.String())
		}
	}
}

func TestCallersCannotSteerTheTerminal(t *testing.T) {
	l := Ladder{Columns: baseColumns()}
	for _, e := range sampleTale() {
		if row := l.Row(e); strings.ContainsAny(row, "\x1b\n\r\a") {
			t.Errorf("row %q carries control characters", row)
		}
	}
}
