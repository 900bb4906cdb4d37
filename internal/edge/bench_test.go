package edge

import (
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/sipproxy"
)

// BenchmarkScreen judges an ordinary caller and signs what was seen.
func BenchmarkScreen(b *testing.B) {
	inv, err := sipproxy.Parse([]byte("INVITE sip:+4930231257100@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: \"Ada\" <sip:+498999998130@h>;tag=1\r\n"+
		"To: <sip:+4930231257100@h>\r\nCall-ID: 1@h\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>\r\nContent-Length: 0\r\n\r\n"), sipproxy.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	e := New(Options{
		Region: "DE", Trunks: map[string]Trunk{"": {Mode: screen.Enforce}}, Answers: screen.Answers{Impossible: 603},
		Key: &token.Key{ID: "k1", Secret: []byte(strings.Repeat("x", 32))},
	})
	b.ReportAllocs()
	for b.Loop() {
		if d := e.Screen(b.Context(), inv); d.Refuse != nil || len(d.Add) != 1 {
			b.Fatalf("%+v", d)
		}
	}
}
