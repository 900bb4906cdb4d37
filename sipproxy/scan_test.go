package sipproxy

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// scanned compares scan with the parser that it spares, and says whether it took the message.
func scanned(t *testing.T, raw []byte) bool {
	t.Helper()
	l := Limits{}.withDefaults()
	end := bytes.Index(raw, headEnd)
	if end < 0 || checkHead(raw[:end+2]) != nil {
		return false
	}
	head := raw[:end+2]
	got := scan(head, raw[end+len(headEnd):], bytes.Count(head, headEnd[:2]))
	if got == nil {
		return false
	}
	want, err := parseLong(newParser(l), raw, head, l)
	if err != nil {
		t.Errorf("scan takes what the parser refuses (%v):\n%q", err, raw)
		return true
	}
	if got.method != want.method || got.uri != want.uri || got.code != want.code || got.phrase != want.phrase ||
		!reflect.DeepEqual(got.fields, want.fields) || !bytes.Equal(got.body, want.body) {
		t.Errorf("%q\nis scanned as %+v\nand parsed as  %+v", raw, got, want)
	}
	return true
}

var ordinary = [...]string{
	"INVITE sip:+4930231257100@pbx.example:5060;transport=udp SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n" +
		"From: \"Ada\" <sip:+498999998130@carrier.example>;tag=a\r\nTo: <sip:+4930231257100@pbx.example>\r\nCall-ID: 1@bench\r\nCSeq: 1 INVITE\r\n" +
		"Contact: <sip:a@192.0.2.1>\r\nX-Other :  two  words \r\nSubject:\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
	"ACK sip:192.0.2.1 SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:a@b>;tag=2\r\ni: x\r\nCSeq: 1 ACK\r\nl: 0\r\n\r\n",
	"SIP/2.0 183 Session Progress\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n",
}

// What scan takes it reads as the parser does; ordinary messages it takes, and whatever becomes of them when bytes change is read alike.
func TestScanReadsWhatTheParserReads(t *testing.T) {
	seeds := make([][]byte, 0, 64)
	for _, s := range ordinary {
		if !scanned(t, []byte(s)) {
			t.Errorf("not taken: %q", s)
		}
		seeds = append(seeds, []byte(s))
	}
	files, err := filepath.Glob("testdata/rfc4475/*.dat")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		scanned(t, raw)
		seeds = append(seeds, raw)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const odds = "\r\n\t :;,<>\"@[]?%+-=/\\\x00\x0b\x7f\x80\xa0\xff0A*"
	taken := 0
	for range 30000 {
		raw := bytes.Clone(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(3) {
			i, c := random.IntN(min(len(raw), 1500)), odds[random.IntN(len(odds))]
			switch random.IntN(3) {
			case 0:
				raw[i] = c
			case 1:
				raw = append(raw[:i], raw[i+1:]...)
			default:
				raw = append(raw[:i], append([]byte{c}, raw[i:]...)...)
			}
		}
		if scanned(t, raw) {
			taken++
		}
		if t.Failed() {
			return
		}
	}
	if taken < 1000 {
		t.Errorf("only %d of the changed messages were taken", taken)
	}
}

// Bounds hold on the short way too.
func TestScanKeepsTheBounds(t *testing.T) {
	for _, raw := range []string{
		strings.Replace(ordinary[0], "Subject:", strings.Repeat("Subject: x\r\n", 300)+"Subject:", 1),
		strings.Replace(ordinary[0], "Subject:", "Subject:"+strings.Repeat("x", 40000), 1),
		strings.Replace(ordinary[0], "Content-Length: 5", "Content-Length: 6", 1),
	} {
		l := Limits{}.withDefaults()
		if m, err := parseMessage(newParser(l), []byte(raw), l); m == nil || err == nil {
			t.Errorf("message %v, %v: want one that is refused", m != nil, err)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range ordinary {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { scanned(t, raw) })
}

// BenchmarkParse reads an INVITE.
func BenchmarkParse(b *testing.B) {
	l := Limits{}.withDefaults()
	p := newParser(l)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseMessage(p, []byte(ordinary[0]), l); err != nil {
			b.Fatal(err)
		}
	}
}
