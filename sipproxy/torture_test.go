package sipproxy

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

type tortureFile struct {
	name string
	raw  []byte
}

// torture gives the messages of RFC 4475.
func torture(tb testing.TB) (out []tortureFile) {
	tb.Helper()
	files, err := filepath.Glob("testdata/rfc4475/*.dat")
	if err != nil || len(files) != 50 {
		tb.Fatalf("%d torture files, want 50; %v", len(files), err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, tortureFile{strings.TrimSuffix(filepath.Base(f), ".dat"), raw})
	}
	return out
}

// What the proxy makes of RFC 4475: "" goes on, else why not. A proxy looks at what it needs only (RFC 3261 16.3), so much that is
// wrong for an endpoint goes on.
var tortured = map[string]string{
	// 3.1.1, valid
	"wsinv": "", "esc01": "", "esc02": "", "escnull": "", "lwsdisp": "", "longreq": "", "dblreq": "", "semiuri": "",
	"transports": "", "mpart01": "", "unreason": "", "noreason": "",
	// A quoted NUL is legal and refused: what FreeSWITCH makes of it is anybody's guess.
	"intmeth": "NUL in the header",
	// 3.1.2, invalid
	"badinv01": "", "clerr": "body is shorter", "ncl": "content-length", "scalar02": "Bad CSeq", "scalarlg": "Bad CSeq",
	"quotbal": "Bad to", "ltgtruri": "request line", "lwsruri": "request line", "lwsstart": "request line",
	"trws": "request line", "escruri": "Headers In Request-URI", "baddate": "", "regbadct": "", "badaspec": "Bad to",
	"baddn": "no empty line", "badvers": "version", "mismatch01": "Bad CSeq", "mismatch02": "Bad CSeq", "bigcode": "out of range",
	// 3.2 to 3.4
	"badbranch": "", "insuf": "Missing from", "unkscm": "", "novelsc": "", "unksm2": "", "bext01": "", "invut": "",
	"regaut01": "", "multi01": "More Than One from", "mcl01": "Repeated Header", "bcast": "", "zeromf": "", "cparam01": "",
	"cparam02": "", "regescrt": "", "sdp01": "", "inv2543": "",
	"test": "not a SIP message",
}

func TestTortureMessagesOfRFC4475(t *testing.T) {
	limits := Limits{}.withDefaults()
	p := newParser(limits)
	for _, f := range torture(t) {
		want, known := tortured[f.name]
		if !known {
			t.Errorf("%s: not in the list", f.name)
			continue
		}
		m, err := parseMessage(p, f.raw, limits)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = m.checkSense()
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", f.name, got, want)
			continue
		}
		if got != "" {
			continue
		}
		// What goes on keeps its headers byte for byte, unfolded.
		again, err := parseMessage(p, m.bytes(), limits)
		if err != nil {
			t.Errorf("%s: written and read again: %v", f.name, err)
			continue
		}
		for _, h := range m.fields {
			if h.key != "content-length" && strings.Join(again.all(h.key), "\n") != strings.Join(m.all(h.key), "\n") {
				t.Errorf("%s: %s changed", f.name, h.name)
			}
		}
	}
}

// answered is what a carrier that sends these messages gets to see: the code of our answer, "on" for what goes on to FreeSWITCH. The others
// get silence: responses to nothing, requests without a Call-ID or a Via that we could copy, and what has a NUL in its head.
var answered = map[string]string{
	// Calls that FreeSWITCH gets as they are.
	"esc01": "on", "longreq": "on", "inv2543": "on", "invut": "on", "sdp01": "on", "baddate": "on", "badinv01": "on",
	// OPTIONS are answered for ourselves, also with Max-Forwards 0.
	"lwsdisp": "200", "semiuri": "200", "transports": "200", "badbranch": "200", "zeromf": "200",
	// A carrier does not register, and asks nothing but calls; nor does it speak in a dialog with nobody.
	"cparam01": "403", "cparam02": "403", "dblreq": "403", "escnull": "403", "regaut01": "403", "regbadct": "403", "regescrt": "403", "unksm2": "403", "wsinv": "403",
	"esc02": "405", "mpart01": "405",
	"novelsc": "416", "unkscm": "416", "bext01": "420",
	"badaspec": "400", "clerr": "400", "escruri": "400", "ltgtruri": "400", "lwsruri": "400", "lwsstart": "400", "mcl01": "400", "mismatch01": "400",
	"mismatch02": "400", "multi01": "400", "ncl": "400", "quotbal": "400", "scalar02": "400", "trws": "400",
}

func TestTortureMessagesOnTheWire(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]string{} // by Call-ID
	w := newWorld(t, func(o *Options, _ *world) {
		o.Tap = func(m Tapped) {
			if m.Direction == In {
				return
			}
			raw := string(m.Raw)
			what, id := "on", header(raw, "call-id")
			if code, ok := strings.CutPrefix(startLine(raw), "SIP/2.0 "); ok {
				what = code[:3]
			}
			mu.Lock()
			defer mu.Unlock()
			if what != "100" && seen[id] == "" {
				seen[id] = what
			}
		}
	})
	of := func(id string) string {
		mu.Lock()
		defer mu.Unlock()
		return seen[id]
	}
	for _, f := range torture(t) {
		w.trunk.udp(w.udp, string(f.raw))
		next := "after-" + f.name
		w.trunk.udp(w.udp, w.trunk.build(request{method: "OPTIONS", uri: "sip:" + w.udp.String(), callID: next}))
		w.wait(next, func(Stats) bool { return of(next) != "" }) // one reader takes both, in their order
		if got, want := of(header(string(f.raw), "call-id")), answered[f.name]; got != want {
			t.Errorf("%s: %q, want %q", f.name, got, want)
		}
	}
	w.fine()
}
