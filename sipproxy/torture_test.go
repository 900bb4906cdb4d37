package sipproxy

import (
	"os"
	"path/filepath"
	"strings"
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
	"badinv01": "", "clerr": "body is shorter", "ncl": "invalid syntax", "scalar02": "Bad CSeq", "scalarlg": "Bad CSeq",
	"quotbal": "Bad to", "ltgtruri": "invalid uri", "lwsruri": "not a SIP message", "lwsstart": "not a SIP message",
	"trws": "not a SIP message", "escruri": "Headers In Request-URI", "baddate": "", "regbadct": "", "badaspec": "Bad to",
	"baddn": "no empty line", "badvers": "version", "mismatch01": "Bad CSeq", "mismatch02": "Bad CSeq", "bigcode": "out of range",
	// 3.2 to 3.4
	"badbranch": "", "insuf": "Missing from", "unkscm": "", "novelsc": "invalid uri", "unksm2": "", "bext01": "", "invut": "",
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
