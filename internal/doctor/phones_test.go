package doctor

import (
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/config"
)

func TestDoctorLooksWhetherPhonesAreAskedFor(t *testing.T) {
	binding := func(url, credentials, timeout string) string {
		return `<binding name="signalbox">` + "\n" + `<param name="gateway-url" value="` + url + `" bindings="directory"/>` + "\n" +
			`<param name="gateway-credentials" value="` + credentials + `"/>` + "\n" + timeout + "\n</binding>\n"
	}
	const there, timeout = "http://127.0.0.1:8092/directory", `<param name="timeout" value="2"/>`
	for name, c := range map[string]struct {
		conf   string
		status Status
		says   string
	}{
		"asked":               {binding(there, "freeswitch:secret-of-ours", timeout), OK, "asks " + there},
		"no timeout":          {binding(there, "freeswitch:secret-of-ours", ""), Warn, "no timeout"},
		"other credentials":   {binding(there, "bigpath:bigpath", timeout), Fail, "gateway-credentials"},
		"another path":        {binding("http://127.0.0.1:8092/", "freeswitch:x", timeout), Fail, "gateway-url"},
		"by TLS, and we not":  {binding("https://127.0.0.1:8092/directory", "freeswitch:x", timeout), Fail, "gateway-url"},
		"somebody else":       {binding("http://127.0.0.1:8000/directory", "freeswitch:x", timeout), Fail, "no binding"},
		"a file without them": {"", Fail, "no binding"},
	} {
		d := &doctor{Options: Options{Config: withDirectory()}, report: &Report{}}
		d.bindings(parseXML("<configuration name=\"xml_curl.conf\"><bindings>" + c.conf + "</bindings></configuration>"))
		got := d.report.find("directory")
		if got.Status != c.status || !strings.Contains(got.Detail, c.says) || strings.Contains(got.Detail+strings.Join(got.Add, ""), "secret-of-ours") {
			t.Errorf("%s: %+v, want %s and %q", name, got, c.status, c.says)
		}
	}
	s := start(t, write(t, tree(t)))
	if got := Examine(t.Context(), Options{Target: target(s), Config: withDirectory()}).find("directory"); got.Status != Fail || !strings.Contains(got.Detail, "mod_xml_curl is not loaded") {
		t.Errorf("without the module: %+v", got)
	}
	settings := config.Default()
	if got := Examine(t.Context(), Options{Target: target(s), Config: &settings}).find("directory"); got.Name != "" {
		t.Errorf("without directory.listen: %+v", got)
	}
}

func withDirectory() *config.Config {
	c := config.Default()
	c.Directory.Listen = "127.0.0.1:8092"
	return &c
}
