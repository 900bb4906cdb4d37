package doctor

import (
	"context"
	"net"
	"net/url"
	"strings"
)

// phones looks whether the switch asks us for phones, when that is configured.
func (d *doctor) phones(ctx context.Context) {
	if d.Config == nil || d.Config.Directory.Listen == "" {
		return
	}
	if answer, err := d.ask(ctx, "module_exists mod_xml_curl"); err != nil {
		d.skip("directory", "module_exists", err)
		return
	} else if answer != "true" {
		d.say("directory", Fail, "directory.listen is %s, and mod_xml_curl is not loaded: FreeSWITCH knows phones by its own files alone", d.Config.Directory.Listen).
			add("autoload_configs/modules.conf.xml", loads([]string{"mod_xml_curl"})...)
		return
	}
	conf, err := d.live.locate(ctx, "configuration", "configuration", "xml_curl.conf")
	if err != nil {
		d.skip("directory", "xml_locate", err)
		return
	}
	d.bindings(conf)
}

// bindings looks for the one of mod_xml_curl that leads to us.
func (d *doctor) bindings(conf *node) {
	const file = "autoload_configs/xml_curl.conf.xml"
	c := d.Config.Directory
	scheme := "http"
	if c.Cert != "" {
		scheme = "https"
	}
	_, port, _ := net.SplitHostPort(c.Listen)
	lines := []string{
		`<binding name="signalbox">`,
		`<param name="gateway-url" value="` + scheme + "://" + c.Listen + `/directory" bindings="directory"/>`,
		`<param name="gateway-credentials" value="` + c.User + `:PASSWORD"/>`,
		`<param name="timeout" value="2"/>`,
		`</binding>`,
		`then: fs_cli -x "reload mod_xml_curl"`,
	}
	for _, binding := range conf.all("binding") {
		for _, p := range binding.all("param") {
			u, err := url.Parse(p.attrs["value"])
			if p.attrs["name"] != "gateway-url" || !strings.Contains(p.attrs["bindings"], "directory") || err != nil || u.Port() != port {
				continue
			}
			params := binding.params()
			switch {
			case u.Scheme != scheme || u.Path != "/directory":
				d.say("directory", Fail, "the gateway-url is %s, where phones are not answered", u.Redacted()).add(file, lines...)
			case !strings.HasPrefix(params["gateway-credentials"], c.User+":"):
				d.say("directory", Fail, "the gateway-credentials are not those of %s (directory.user): every look-up is refused", c.User).add(file, lines...)
			case params["timeout"] == "" || params["timeout"] == "0":
				d.say("directory", Warn, "the binding has no timeout: a Signalbox that is frozen holds every registration and call up").add(file, lines[3], lines[5])
			default:
				d.say("directory", OK, "FreeSWITCH asks %s for phones", u.Redacted())
			}
			return
		}
	}
	d.say("directory", Fail, "directory.listen is %s, and no binding of mod_xml_curl leads there", c.Listen).add(file, lines...)
}
