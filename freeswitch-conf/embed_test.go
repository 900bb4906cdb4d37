package freeswitchconf

import (
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
)

// known are the files' elements, summed up, of each revision. A change of what they do needs a new number and a line here.
var known = map[int]string{
	1: "4f8d3d63d297b095",
	2: "0c990873aaf78e45",
	3: "6026914a5d4e3fc9",
	4: "e66f9d980140de39",
	5: "e5442a95462c5816",
}

func TestEveryChangeOfTheDialplanHasItsRevision(t *testing.T) {
	h := sha256.New()
	for _, name := range []string{"dialplan/public/05_signalbox.xml", "dialplan/signalbox.xml", "dialplan/default/00_signalbox_voicemail.xml"} {
		text, err := fs.ReadFile(Files, name)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(` revision="%d">`, Revision); strings.Count(string(text), want) != 1 {
			t.Errorf("%s does not say%s once", name, want)
		}
		elements(t, h, string(text))
	}
	if got := fmt.Sprintf("%x", h.Sum(nil))[:16]; known[Revision] != got {
		t.Errorf("revision %d is known as %q, the files are %q: raise Revision, in the files too, and add a line to known", Revision, known[Revision], got)
	}
}

// elements writes what FreeSWITCH keeps of a file: neither comments nor blanks.
func elements(t *testing.T, w io.Writer, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			_, _ = fmt.Fprintln(w, e.Name.Local, e.Attr)
		case xml.EndElement:
			_, _ = fmt.Fprintln(w, "end")
		}
	}
}
