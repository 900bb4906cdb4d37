package account_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
)

// FuzzDocument reads what an operator, or somebody who sends him a file, wrote. A document that is valid survives being
// written and read again.
func FuzzDocument(f *testing.F) {
	example, err := os.ReadFile("../../examples/provision.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(whole))
	f.Add([]byte("numbers: [{number: '+1', devices: [{user: x}]}]"))
	f.Add([]byte(`{"accounts": [{"id": "${system(id)}", "name": "a\nb"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		d, err := account.ParseDocument(text)
		if err != nil || d.Validate() != nil {
			return
		}
		written, err := d.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := account.ParseDocument(written)
		if err != nil {
			t.Fatalf("%v\nin what was written:\n%s", err, written)
		}
		// An empty list is as good as none.
		if twice, err := again.YAML(); err != nil || !bytes.Equal(twice, written) {
			t.Fatalf("read %+v, %v\nthen %+v\nfrom\n%s", d, err, again, written)
		}
	})
}
