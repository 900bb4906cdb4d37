package api

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/docstest"
)

// TestExamplesOfThePage runs the curl lines of docs/api.md from top to bottom, as an integrator does.
func TestExamplesOfThePage(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl here: the examples of docs/api.md were NOT run")
	}
	pages, err := docstest.Pages("../..")
	if err != nil {
		t.Fatal(err)
	}
	o := newOffice(t, nil)
	c := o.client("acme", Provisioning, AccountsRead, AccountsWrite, RecordsRead)
	ran := 0
	for _, p := range pages {
		if !strings.HasSuffix(p.Path, "docs/api.md") {
			continue
		}
		for _, b := range p.Blocks {
			if !strings.Contains(b.Text, "curl ") {
				continue
			}
			ran++
			command := exec.CommandContext(t.Context(), "sh", "-e", "-c", b.Text)
			command.Env = append(os.Environ(), "API="+o.url, "TOKEN="+c.token, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", p.Where(b.Line), err, out, b.Text)
			}
		}
	}
	if ran < 4 {
		t.Errorf("ran only %d blocks: the search is broken", ran)
	}
	profile := c.want(200, "GET", "/provisioning/profiles/u-1001", "")
	if profile["state"] != "active" || profile["version"] != 3.0 {
		t.Errorf("after the page the profile is %v", profile)
	}
}
