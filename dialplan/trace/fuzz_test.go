package trace

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzReadInvite reads any bytes as an INVITE.
func FuzzReadInvite(f *testing.F) {
	files, err := filepath.Glob("testdata/invites/*.sip")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ReadInvite(bytes.NewReader(data))
		if (c == nil) != (err != nil) {
			t.Errorf("%q: call %v and error %v", data, c, err)
		}
	})
}

// FuzzReadSuite reads any bytes as test calls.
func FuzzReadSuite(f *testing.F) {
	f.Add([]byte("destination,var:a,applications,at\n1,b,set(a|b)|hangup,2026-01-01T00:00:00Z\n"))
	f.Add([]byte("\ufeffdestination,field:ani\n\"1\n2\",\n#x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tests, err := ReadSuite(bytes.NewReader(data), "public")
		if (len(tests) == 0) != (err != nil) {
			t.Errorf("%q: %d tests and error %v", data, len(tests), err)
		}
	})
}
