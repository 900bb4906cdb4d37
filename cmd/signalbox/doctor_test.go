package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/fssim"
)

// simulated runs a switch on the folder's conf tree until the test ends.
func (f folder) simulated() *fssim.Switch {
	f.t.Helper()
	s, err := fssim.New(fssim.Options{Conf: filepath.Join(f.dir, "conf"), Password: "very-secret"})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f.t.Cleanup(func() { cancel(); <-done })
	return s
}

func (f folder) read(name string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// reload has the switch read its dialplan again.
func (f folder) reload(s *fssim.Switch) {
	f.t.Helper()
	conn, err := esl.Dial(f.t.Context(), esl.DialOptions{Addr: s.EventSocketAddr().String(), Password: "very-secret"})
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.API(f.t.Context(), "reloadxml"); err != nil {
		f.t.Fatal(err)
	}
}

func TestDoctorSaysWhatIsMissingAndThenThatAllIsWell(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.conf()
	s := f.simulated()
	f.write("doctor.yaml", strings.NewReplacer(`sip: 127.0.0.1:5080`, "sip: "+s.ExternalAddr().String(), `"127.0.0.1:1"`, fmt.Sprintf("%q", s.EventSocketAddr())).Replace(settings))
	r := f.run("", "doctor", "--config", "doctor.yaml", "--conf", "conf")
	if r.status != 1 || !strings.Contains(r.out, "fail  include ") || !strings.Contains(r.out, "signalbox dialplan render --conf ") || !strings.Contains(r.err, "1 check failed") {
		t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	// The page shows these very lines.
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if p.Path == "docs/doctor.md" && b.Lang == "text" && !strings.Contains(strings.ReplaceAll(r.out, filepath.Join(f.dir, "conf"), "CONF"), strings.TrimRight(b.Text, "\n")) {
				t.Errorf("%s shows what is not printed:\n%s\nbut\n%s", p.Where(b.Line), b.Text, r.out)
			}
		}
	}
	// Mended by the very commands it names, but for the address that this test's sidecar does not have.
	f.write("doctor.yaml", strings.Replace(f.read("doctor.yaml"), "listen: 127.0.0.1:0\ntoken", "listen: 127.0.0.1:8084\ntoken", 1))
	f.good("dialplan", "render", "--conf", "conf")
	f.write("pw", "very-secret\n")
	f.reload(s)
	out := f.good("doctor", "--freeswitch", s.EventSocketAddr().String(), "--password-file", "pw", "--conf", "conf", "--format", "json")
	var reports []struct {
		Node   string
		Checks []struct{ Name, Status string }
	}
	if err := json.Unmarshal([]byte(out), &reports); err != nil || len(reports) != 1 || len(reports[0].Checks) < 15 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range reports[0].Checks {
		if c.Status == "fail" {
			t.Errorf("%+v", c)
		}
	}
	if strings.Contains(out, "very-secret") {
		t.Error("the report holds the password")
	}
}
