package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fssim"
)

// tree is the files of a conf folder: vanilla's shape with our files in it. A test changes some.
func tree(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{
		"freeswitch.xml": "<document type=\"freeswitch/xml\">\n<section name=\"configuration\">\n<X-PRE-PROCESS cmd=\"include\" data=\"autoload_configs/*.xml\"/>\n</section>\n" +
			"<section name=\"dialplan\">\n<X-PRE-PROCESS cmd=\"include\" data=\"dialplan/*.xml\"/>\n</section>\n</document>\n",
		"dialplan/public.xml":           "<include>\n<context name=\"public\">\n<X-PRE-PROCESS cmd=\"include\" data=\"public/*.xml\"/>\n</context>\n</include>\n",
		"autoload_configs/empty.xml":    "<include>\n</include>\n",
		"dialplan/public/50_number.xml": "<include>\n<extension name=\"operator\">\n<condition field=\"destination_number\" expression=\"^\\+1415\\d{7}$\">\n<action application=\"bridge\" data=\"user/1000\"/>\n</condition>\n</extension>\n</include>\n",
	}
	files["dialplan/default.xml"] = "<include>\n<context name=\"default\">\n<X-PRE-PROCESS cmd=\"include\" data=\"default/*.xml\"/>\n</context>\n</include>\n"
	for _, name := range []string{"dialplan/signalbox.xml", "dialplan/public/05_signalbox.xml", "dialplan/default/00_signalbox_voicemail.xml"} {
		text, err := fs.ReadFile(freeswitchconf.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	for _, path := range freeswitchconf.SoundPaths() {
		files[path] = "a sound"
	}
	return files
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const password = "not-everybody-knows"

// start runs a simulated switch on a conf folder until the test ends.
func start(t *testing.T, conf string, users ...fssim.User) *fssim.Switch {
	t.Helper()
	s, err := fssim.New(fssim.Options{Conf: conf, Password: password, Users: users})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func target(s *fssim.Switch) Target {
	return Target{Addr: s.EventSocketAddr().String(), Password: password, SIP: s.ExternalAddr()}
}

func (r *Report) find(name string) Check {
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	return Check{}
}

func show(t *testing.T, r *Report) {
	var b strings.Builder
	_ = r.WriteText(&b, false)
	t.Log("\n" + b.String())
}

func TestASwitchWithOurFilesIsWell(t *testing.T) {
	t.Parallel()
	conf := write(t, tree(t))
	s := start(t, conf)
	cfg := config.Default()
	cfg.Proxy.Listen = []config.Listen{{Network: "udp", Addr: "127.0.0.1:0"}, {Network: "tcp", Addr: "127.0.0.1:0"}}
	cfg.Sidecar.MaxCalls = 100
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free in a moment
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	cfg.Sidecar.Listen = "127.0.0.1:8084"
	r := Examine(t.Context(), Options{Target: target(s), Config: &cfg, Conf: conf, Systems: []System{{"vm.example.net", "tcp"}},
		Lookup: func(context.Context, string, string) ([]string, error) { return []string{"192.0.2.7:5060"}, nil }})
	for _, c := range r.Checks {
		want := OK
		if c.Name == "sessions-per-second" { // the simulator takes as few as vanilla
			want = Warn
		}
		if c.Name == "port-sidecar" {
			continue // another test may hold 8084
		}
		if c.Status != want || c.Detail == "" || want == OK && len(c.Add) > 0 {
			t.Errorf("%+v, want %s", c, want)
		}
	}
	names := map[string]bool{}
	for _, c := range r.Checks {
		if names[c.Name] {
			t.Errorf("%s twice", c.Name)
		}
		names[c.Name] = true
	}
	for _, name := range []string{"event-socket", "version", "rights-api", "rights-events", "commands", "sip-profile-rtp", "modules", "prompts", "event-socket-access", "sip-profile", "sip-profile-access", "include",
		"conference-profile", "conference-music", "conference-voice", "conference-recordings", "include-socket", "include-reached", "include-phones", "max-sessions", "clock", "codecs", "conf-tree", "conf-loaded", "voicemail-dns", "port-proxy"} {
		if !names[name] {
			t.Errorf("%s was not looked at", name)
		}
	}
	if unknown := s.Unknown(); len(unknown) > 0 {
		t.Errorf("the simulator does not know %v", unknown)
	}
	if t.Failed() {
		show(t, r)
	}
}

const eventSocketOpen = `<configuration name="event_socket.conf"><settings><param name="listen-ip" value="::"/><param name="password" value="ClueCon"/></settings></configuration>`

func sofia(params string) string {
	return `<configuration name="sofia.conf"><profiles><profile name="external"><settings><param name="context" value="public"/>` + params + `</settings></profile></profiles></configuration>`
}

// Each broken thing is named, with its state, and lines to add that speak of it.
func TestEachBrokenThingIsNamed(t *testing.T) {
	t.Parallel()
	drop := func(names ...string) func(map[string]string) {
		return func(f map[string]string) {
			for _, n := range names {
				delete(f, n)
			}
		}
	}
	replace := func(name, old, with string) func(map[string]string) {
		return func(f map[string]string) {
			if !strings.Contains(f[name], old) {
				panic(name + " does not hold " + old)
			}
			f[name] = strings.ReplaceAll(f[name], old, with)
		}
	}
	configuration := func(text string) func(map[string]string) {
		return func(f map[string]string) { f["autoload_configs/x.xml"] = "<include>\n" + text + "\n</include>\n" }
	}
	const ours = "dialplan/public/05_signalbox.xml"
	for _, tt := range []struct {
		name   string
		change func(map[string]string)
		user   *fssim.User
		alter  func(*Options)
		check  string
		status Status
		detail string
		add    string
	}{
		{name: "no files", change: drop(ours, "dialplan/signalbox.xml"), check: "include", status: Fail, detail: "no call comes to the sidecar", add: "signalbox dialplan render --conf"},
		{name: "no context signalbox", change: drop("dialplan/signalbox.xml"), check: "include", status: Fail, detail: "context signalbox is not loaded"},
		{name: "no extension", change: drop(ours), check: "include", status: Fail, detail: "no extension signalbox"},
		{name: "no context public", change: replace("dialplan/public.xml", `"public"`, `"elsewhere"`), check: "include", status: Fail, detail: "context public, where the proxy's calls arrive, is not loaded"},
		{name: "older files", change: replace(ours, fmt.Sprintf(` revision="%d"`, freeswitchconf.Revision), ""), check: "include", status: Warn, detail: "older (revision 0)", add: "reloadxml"},
		{name: "newer files", change: replace(ours, fmt.Sprintf(` revision="%d"`, freeswitchconf.Revision), ` revision="99"`), check: "include", status: Warn, detail: "newer (revision 99)"},
		{name: "phones without voicemail", change: func(f map[string]string) {
			f["dialplan/default/00_signalbox_voicemail.xml"] = "<include>\n<extension name=\"x\"/>\n</include>\n"
		}, alter: func(o *Options) {
			o.Systems = []System{{"vm.example.net", ""}}
			o.Lookup = func(context.Context, string, string) ([]string, error) { return []string{"192.0.2.7:5060"}, nil }
		}, check: "include-phones", status: Warn, detail: "(default) nobody takes *86", add: "--with phones"},
		{name: "an older file for phones", change: replace("dialplan/default/00_signalbox_voicemail.xml", fmt.Sprintf(` revision="%d"`, freeswitchconf.Revision), ""),
			check: "include-phones", status: Warn, detail: "older (revision 0)", add: "--with phones"},
		{name: "socket far away", change: replace(ours, "127.0.0.1:8084", "192.0.2.1:8084"), check: "include-socket", status: Warn, detail: "another machine"},
		{name: "a prompt is missing", change: drop("sounds/signalbox/de/joined.wav", "sounds/signalbox/en/joined.wav"), check: "prompts", status: Warn, detail: "1 in de, 1 in en", add: "--with sounds"},
		{name: "no guard", change: replace(ours, "${sched_api(", "${other("), check: "include-socket", status: Warn, detail: "no guard"},
		{name: "sidecar elsewhere", change: func(map[string]string) {}, alter: func(o *Options) { o.Config.Sidecar.Listen = "127.0.0.1:9999" }, check: "include-socket", status: Fail, detail: "sidecar.listen is 127.0.0.1:9999", add: "--config"},
		{name: "an extension before ours", change: func(f map[string]string) {
			f["dialplan/public/01_number.xml"] = f["dialplan/public/50_number.xml"]
		}, check: "include-reached", status: Warn, detail: `extension "operator" takes it before`, add: "--file-number 0"},
		{name: "a number that is not ours", alter: func(o *Options) { o.Numbers = []string{"*86"} }, check: "include-reached", status: Warn, detail: "*86 (no extension takes it)"},
		{name: "few rights", user: &fssim.User{Name: "sb", Domain: "127.0.0.1", ESLPassword: password, ESLAllowedAPI: "status,version", ESLAllowedEvents: "HEARTBEAT"},
			check: "rights-api", status: Fail, detail: "show, uuid_exists, uuid_getvar, global_getvar, originate, conference, uuid_set_media_stats, user_exists, file_exists, module_exists: the sidecar's link needs that; messages", add: "esl-allowed-api"},
		{name: "an older directory user", user: &fssim.User{Name: "sb", Domain: "127.0.0.1", ESLPassword: password, ESLAllowedAPI: "status,show,uuid_exists,uuid_getvar,user_exists,global_getvar"},
			check: "rights-api", status: Warn, detail: "may not use originate, conference, uuid_set_media_stats, file_exists, module_exists: messages that were taken while voicemail was down are not delivered", add: "originate"},
		{name: "few events", user: &fssim.User{Name: "sb", Domain: "127.0.0.1", ESLPassword: password, ESLAllowedEvents: "HEARTBEAT"},
			check: "rights-events", status: Fail, detail: "BACKGROUND_JOB, CHANNEL_HANGUP_COMPLETE, MESSAGE_WAITING, MESSAGE_QUERY, sofia::register, sofia::unregister, DTMF, conference::maintenance: the", add: "MESSAGE_WAITING"},
		{name: "a user may not look", user: &fssim.User{Name: "sb", Domain: "127.0.0.1", ESLPassword: password, ESLAllowedAPI: "status,show,uuid_exists,uuid_getvar,originate,user_exists,global_getvar"},
			check: "modules", status: Skip, detail: "may not ask", add: ""},
		{name: "wrong password", alter: func(o *Options) { o.Password = "wrong" }, check: "event-socket", status: Fail, detail: "refused", add: "password"},
		{name: "wrong user", alter: func(o *Options) { o.User = "nobody@127.0.0.1" }, check: "event-socket", status: Fail, detail: "refused", add: "esl-password"},
		{name: "nobody there", alter: func(o *Options) { o.Addr = "127.0.0.1:1" }, check: "event-socket", status: Fail, detail: "refused", add: "mod_event_socket"},
		{name: "no profile there", alter: func(o *Options) { o.SIP = netip.MustParseAddrPort("127.0.0.1:1") }, check: "sip-profile", status: Fail, detail: "at 127.0.0.1:1", add: "--with profile"},
		{name: "authentication", change: configuration(sofia(`<param name="auth-calls" value="true"/>`)), check: "sip-profile-access", status: Fail, detail: "407", add: `<param name="auth-calls" value="false"/>`},
		{name: "access list", change: configuration(sofia(`<param name="apply-inbound-acl" value="domains"/>`)), check: "sip-profile-access", status: Fail, detail: "403", add: "acl.conf.xml"},
		{name: "access list that lets us in", change: configuration(sofia(`<param name="apply-inbound-acl" value="loopback.auto"/>`)), check: "sip-profile-access", status: OK, detail: "lets the proxy"},
		{name: "call-id as uuid", change: configuration(sofia(`<param name="inbound-use-callid-as-uuid" value="true"/>`)), check: "sip-profile-uuid", status: Warn, detail: "callers write"},
		{name: "voice that nobody reaches", alter: func(o *Options) {
			o.Config.Proxy.Trunks = []config.Trunk{{Name: "carrier", Prefixes: []config.Prefix{{Prefix: netip.MustParsePrefix("203.0.113.0/28")}}}}
		}, check: "sip-profile-rtp", status: Warn, detail: "trunk carrier cannot reach", add: "rtp-ip"},
		{name: "all headers", change: configuration(sofia(`<param name="parse-all-invite-headers" value="true"/>`)), check: "sip-profile-headers", status: OK, detail: "is on"},
		{name: "ClueCon and ::", change: configuration(eventSocketOpen), check: "event-socket-access", status: Warn, detail: "ClueCon", add: `<param name="listen-ip" value="127.0.0.1"/>`},
		{name: "ClueCon for everybody", change: configuration(strings.Replace(eventSocketOpen, "</settings>", `<param name="apply-inbound-acl" value="any_v4.auto"/></settings>`, 1)), check: "event-socket-access", status: Fail, detail: "any_v4.auto"},
		{name: "few sessions", alter: func(o *Options) { o.Config.Sidecar.MaxCalls = 5000 }, check: "max-sessions", status: Warn, detail: "5000", add: `value="10000"`},
		{name: "no DNS", alter: func(o *Options) {
			o.Systems = []System{{"vm.example.net", ""}}
			o.Lookup = func(context.Context, string, string) ([]string, error) { return nil, errors.New("no such host") }
		}, check: "voicemail-dns", status: Fail, detail: "vm.example.net: no such host", add: "_sip._udp.vm.example.net. SRV"},
		{name: "faults in the tree", alter: func(o *Options) {
			o.Conf = write(t, map[string]string{"freeswitch.xml": "<document><section name=\"dialplan\"><context name=\"public\"><extension name=\"a\"/></context></section></document>\n"})
		}, check: "conf-tree", status: Warn, detail: "1 warning", add: "signalbox dialplan lint"},
		{name: "another folder", alter: func(o *Options) {
			o.Conf = write(t, map[string]string{"freeswitch.xml": "<document><section name=\"dialplan\"><context name=\"public\"/></section></document>\n"})
		}, check: "conf-loaded", status: Warn, detail: "another folder"},
		{name: "not reloaded", change: drop(ours, "dialplan/signalbox.xml"), alter: func(o *Options) { o.Conf = write(t, tree(t)) }, check: "conf-loaded", status: Fail, add: "reloadxml"},
		{name: "no tree", alter: func(o *Options) { o.Conf = "/nonexistent" }, check: "conf-tree", status: Fail, detail: "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := tree(t)
			if tt.change != nil {
				tt.change(files)
			}
			var users []fssim.User
			if tt.user != nil {
				users = append(users, *tt.user)
			}
			s := start(t, write(t, files), users...)
			cfg := config.Default()
			cfg.Proxy.Listen, cfg.Sidecar.MaxCalls = nil, 10
			o := Options{Target: target(s), Config: &cfg}
			if tt.user != nil {
				o.User = tt.user.Name + "@" + tt.user.Domain
			}
			if tt.alter != nil {
				tt.alter(&o)
			}
			r := Examine(t.Context(), o)
			c := r.find(tt.check)
			lines := c.Where + "\n" + strings.Join(c.Add, "\n")
			if c.Status != tt.status || !strings.Contains(c.Detail, tt.detail) || !strings.Contains(lines, tt.add) {
				t.Errorf("%+v\nwant %s, %q, with a line that says %q", c, tt.status, tt.detail, tt.add)
				show(t, r)
			}
			if tt.status == Fail && len(c.Add) == 0 || r.Count(Fail) > 0 != (tt.status == Fail) && tt.check != "conf-loaded" && tt.check != "conf-tree" && tt.check != "sip-profile" {
				t.Errorf("%d fail", r.Count(Fail))
				show(t, r)
			}
		})
	}
}

func TestPortsAreFreeOursOrTaken(t *testing.T) {
	t.Parallel()
	listen := func(greeting string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte(greeting))
				_ = c.Close()
			}
		}()
		return l.Addr().String()
	}
	ours, foreign := listen("connect\n\n"), listen("SSH-2.0\r\n")
	examine := func(proxy, sidecar string, answers bool) *Report {
		cfg := config.Default()
		cfg.Proxy.Listen, cfg.Sidecar.Listen = []config.Listen{{Network: "tcp", Addr: proxy}}, sidecar
		return Examine(t.Context(), Options{Target: Target{Addr: "127.0.0.1:1"}, Config: &cfg, Probe: func(context.Context, string, netip.AddrPort) error {
			if answers {
				return nil
			}
			return errors.New("silence")
		}})
	}
	for _, tt := range []struct {
		r      *Report
		check  string
		status Status
		want   string
		add    bool
	}{
		{examine(foreign, ours, true), "port-sidecar", OK, "the sidecar runs at", false},
		{examine(foreign, foreign, true), "port-sidecar", Fail, "held by another program", true},
		{examine(foreign, "192.0.2.1:8084", true), "port-sidecar", Fail, "not an address of this machine", true},
		{examine(foreign, "127.0.0.1:0", true), "port-sidecar", OK, "free", false},
		{examine(foreign, ours, true), "port-proxy", OK, "the proxy runs at", false},
		{examine(foreign, ours, false), "port-proxy", Warn, "does not answer us", true},
		{examine("127.0.0.1:0", ours, false), "port-proxy", OK, "free", false},
	} {
		if c := tt.r.find(tt.check); c.Status != tt.status || !strings.Contains(c.Detail, tt.want) || len(c.Add) > 0 != tt.add {
			t.Errorf("%+v, want %s %q", c, tt.status, tt.want)
		}
	}
}

func TestAReportNamesNoPassword(t *testing.T) {
	t.Parallel()
	s := start(t, write(t, tree(t)))
	o := Options{Target: target(s)}
	for _, pw := range []string{password, "a-wrong-secret"} {
		o.Password = pw
		var b strings.Builder
		r := Examine(t.Context(), o)
		if err := r.WriteText(&b, true); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), pw) || !strings.Contains(b.String(), "\x1b[") {
			t.Errorf("a password in the report, or no colour:\n%s", b.String())
		}
	}
}

func TestTextIsAligned(t *testing.T) {
	r := &Report{Node: "n", Checks: []Check{{Name: "a", Status: OK, Detail: "short"}, {Name: "longer-name", Status: Fail, Detail: strings.Repeat("word ", 40), Where: "file.xml", Add: []string{"<x/>"}}}}
	var b strings.Builder
	if err := r.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > textWidth+1 {
			t.Errorf("a line of %d: %s", len(line), line)
		}
	}
	for _, want := range []string{"  ok    a            short\n", "  fail  longer-name  word word", "                     file.xml:\n                       <x/>\n", "1 ok, 0 warn, 1 fail\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// The directory user that we ship may do all that the link does.
func TestTheShippedUserHasTheRights(t *testing.T) {
	api, events := shippedParam("esl-allowed-api"), strings.NewReplacer("\"", " ").Replace(shippedParam("esl-allowed-events"))
	for _, n := range linkCommands {
		if !strings.Contains(strings.NewReplacer("\"", ",").Replace(api), ","+n.word()+",") {
			t.Errorf("%s does not allow %s", api, n.word())
		}
	}
	for _, n := range linkEvents {
		if !strings.Contains(events, " "+n.try+" ") {
			t.Errorf("%s does not allow %s", events, n.try)
		}
	}
}
