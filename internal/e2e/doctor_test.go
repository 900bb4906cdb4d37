package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/lint"
	"github.com/signalbox/signalbox/esl"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/doctor"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/render"
)

// patient is a real FreeSWITCH with its own copy of vanilla.
type patient struct {
	t    *testing.T
	at   lab.SwitchAt
	conf string
}

// api runs a command on the switch.
func (p patient) api(command string) {
	p.t.Helper()
	conn, err := esl.Dial(p.t.Context(), esl.DialOptions{Addr: p.at.EventSocket, Password: esl.Secret(p.at.Password), Timeout: 10 * time.Second})
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.API(p.t.Context(), command); err != nil {
		p.t.Fatalf("%s: %v", command, err)
	}
}

// edit changes a file of the conf folder and has it read; the function it returns undoes both.
func (p patient) edit(name, old, replacement string) func() {
	p.t.Helper()
	path := filepath.Join(p.conf, filepath.FromSlash(name))
	text, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			p.t.Fatal(err)
		}
		p.api("reloadxml")
	}
	put(edit(p.t, string(text), old, replacement))
	return func() { put(string(text)) }
}

func (p patient) examine(alter func(*doctor.Options)) map[string]doctor.Check {
	p.t.Helper()
	o := doctor.Options{Conf: p.conf, Target: doctor.Target{Addr: p.at.EventSocket, Password: p.at.Password, SIP: p.at.External}}
	if alter != nil {
		alter(&o)
	}
	r := doctor.Examine(p.t.Context(), o)
	out := map[string]doctor.Check{}
	for _, c := range r.Checks {
		out[c.Name] = c
	}
	return out
}

// states compares the states of checks; all others have to be ok or warn.
func (p patient) states(what string, checks map[string]doctor.Check, want map[string]doctor.Status) {
	p.t.Helper()
	for name, status := range want {
		if c := checks[name]; c.Status != status {
			p.t.Errorf("%s: %s is %q, want %s: %s", what, name, c.Status, status, c.Detail)
		}
	}
	for name, c := range checks {
		if _, said := want[name]; !said && c.Status != doctor.OK && c.Status != doctor.Warn {
			p.t.Errorf("%s: %s is %s: %s", what, name, c.Status, c.Detail)
		}
	}
}

// TestRealDoctor examines a vanilla FreeSWITCH as it is, with our files, and with one thing broken at a time.
func TestRealDoctor(t *testing.T) {
	begins(t, false)
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	if binary == "" {
		t.Skip("SIGNALBOX_FREESWITCH names no freeswitch binary: this was NOT tested on a real switch")
	}
	dir := t.TempDir()
	at, stop, err := lab.Vanilla{Program: binary, Dir: dir}.Start(t.Context(), lab.Dropins{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	p := patient{t: t, at: at, conf: filepath.Join(dir, "freeswitch", "conf")}
	const ok, warn, fail, skip = doctor.OK, doctor.Warn, doctor.Fail, doctor.Skip

	p.states("vanilla", p.examine(nil), map[string]doctor.Status{"include": fail, "modules": ok, "version": ok, "clock": ok, "codecs": ok, "rights-api": ok, "rights-events": ok,
		"event-socket-access": ok, "sip-profile": ok, "sip-profile-access": ok, "sessions-per-second": ok, "max-sessions": ok, "conf-tree": warn})
	p.rendered()
	voicemail := func(o *doctor.Options) {
		o.Systems = []doctor.System{{FQDN: "vm.example.net"}}
		o.Lookup = func(context.Context, string, string) ([]string, error) { return []string{"192.0.2.7:5060"}, nil }
	}
	if c := p.examine(voicemail)["include-phones"]; c.Status != doctor.Warn || len(c.Add) == 0 || !strings.Contains(c.Add[0], "--with phones") {
		p.t.Errorf("phones cannot dial their voicemail, and that is not said: %+v", c)
	}
	text, err := fs.ReadFile(freeswitchconf.Files, "dialplan/default/00_signalbox_voicemail.xml")
	if err == nil {
		err = os.WriteFile(filepath.Join(p.conf, "dialplan", "default", "00_signalbox_voicemail.xml"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.api("reloadxml")
	if c := p.examine(voicemail)["include-phones"]; c.Status != doctor.OK {
		p.t.Errorf("phones can dial their voicemail: %+v", c)
	}
	well := map[string]doctor.Status{"include": ok, "include-socket": ok, "include-reached": ok, "conf-loaded": ok, "event-socket-access": ok, "sip-profile-access": ok}
	p.states("with our files", p.examine(nil), well)

	undo := p.edit("autoload_configs/event_socket.conf.xml", `name="password" value="`+at.Password+`"`, `name="password" value="ClueCon"`)
	p.states("ClueCon", p.examine(nil), map[string]doctor.Status{"event-socket-access": warn, "include": ok})
	undo()
	undo = p.edit("sip_profiles/external.xml", `name="auth-calls" value="false"`, `name="auth-calls" value="true"`)
	p.states("auth-calls", p.examine(nil), map[string]doctor.Status{"sip-profile-access": fail})
	undo()
	undo = p.edit("sip_profiles/external.xml", `<param name="auth-calls" value="false"/>`, `<param name="auth-calls" value="false"/><param name="apply-inbound-acl" value="domains"/>`)
	p.states("access list", p.examine(nil), map[string]doctor.Status{"sip-profile-access": fail})
	undo()
	undo = p.edit("dialplan/public/05_signalbox.xml", fmt.Sprintf(`revision="%d"`, freeswitchconf.Revision), `revision="0"`)
	p.states("older", p.examine(nil), map[string]doctor.Status{"include": warn})
	undo()
	undo = p.edit("dialplan/public/00_inbound_did.xml", `^(5551212)$`, `^\+1`)
	p.states("taken before", p.examine(nil), map[string]doctor.Status{"include-reached": warn})
	undo()
	p.api("unload mod_conference")
	p.states("no conferences", p.examine(nil), map[string]doctor.Status{"modules": warn, "conference-profile": warn})
	p.api("load mod_conference")
	p.api("fsctl sps 30")
	p.states("few sessions", p.examine(nil), map[string]doctor.Status{"sessions-per-second": warn})
	p.states("no such profile", p.examine(func(o *doctor.Options) { o.SIP = netip.MustParseAddrPort("127.0.0.1:1") }),
		map[string]doctor.Status{"sip-profile": fail, "codecs": skip})
	p.users(well)
	p.conferences(dir)

	if _, err := render.Undo(p.conf, false); err != nil {
		t.Fatal(err)
	}
	p.states("not reloaded yet", p.examine(nil), map[string]doctor.Status{"include": ok, "conf-loaded": warn})
	p.api("reloadxml")
	p.states("taken away", p.examine(nil), map[string]doctor.Status{"include": fail})
}

// rendered writes our files with render, lints them and has them read.
func (p patient) rendered() {
	p.t.Helper()
	plan, err := render.NewPlan(p.conf, render.Settings{})
	if err != nil {
		p.t.Fatal(err)
	}
	if warnings, err := plan.Check(p.t.Context(), nil); err != nil || len(warnings) > 0 {
		p.t.Errorf("checking the rendered files: %v %v", warnings, err)
	}
	if err := plan.Apply(time.Now()); err != nil {
		p.t.Fatal(err)
	}
	report, err := lint.Check(p.conf, lint.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range report.Findings {
		if strings.Contains(f.Pos.File, "signalbox") {
			p.t.Errorf("%s: %s %s", f.Pos, f.Rule, f.What)
		}
	}
	states := p.examine(nil)
	p.states("not read yet", states, map[string]doctor.Status{"include": doctor.Fail, "conf-loaded": doctor.Fail})
	p.api("reloadxml")
}

// users logs in as directory users: the one we ship has the rights that the link needs, another lacks them.
func (p patient) users(well map[string]doctor.Status) {
	p.t.Helper()
	plan, err := render.NewPlan(p.conf, render.Settings{User: true})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := plan.Apply(time.Now()); err != nil {
		p.t.Fatal(err)
	}
	const commented = `<!-- <param name="esl-password" value="A-PASSWORD-OF-YOUR-OWN"/> -->`
	undo := p.edit("directory/default/signalbox.xml", commented, `<param name="esl-password" value="of-its-own"/>`)
	as := func(o *doctor.Options) { o.User, o.Password = "signalbox@"+p.at.Domain, "of-its-own" }
	checks := p.examine(as)
	for _, name := range []string{"event-socket", "version", "modules", "rights-api", "rights-events"} {
		if checks[name].Status != doctor.OK {
			p.t.Errorf("our user: %s is %s: %s", name, checks[name].Status, checks[name].Detail)
		}
	}
	more := p.edit("directory/default/signalbox.xml", `,module_exists`, ``)
	checks = p.examine(as)
	if c := checks["modules"]; c.Status != doctor.Skip || !strings.Contains(c.Detail, "may not ask") {
		p.t.Errorf("a user who may not ask for modules: %+v", c)
	}
	more()
	more = p.edit("directory/default/signalbox.xml", `status,show,uuid_exists,`, `status,`)
	checks = p.examine(as)
	if c := checks["rights-api"]; c.Status != doctor.Fail || !strings.Contains(c.Detail, "show, uuid_exists") {
		p.t.Errorf("a user with fewer rights: %+v", c)
	}
	more()
	more = p.edit("directory/default/signalbox.xml", `,originate,`, `,`)
	checks = p.examine(as)
	if c := checks["rights-api"]; c.Status != doctor.Warn || !strings.Contains(c.Detail, "may not use originate: messages that were taken while voicemail was down") ||
		len(c.Add) == 0 || !strings.Contains(c.Add[0], "originate") {
		p.t.Errorf("a user who may not originate: %+v", c)
	}
	more()
	more = p.edit("directory/default/signalbox.xml", ` MESSAGE_QUERY DTMF CUSTOM sofia::register`, ` DTMF CUSTOM`)
	checks = p.examine(as)
	if c := checks["rights-events"]; c.Status != doctor.Warn || !strings.Contains(c.Detail, "may not subscribe to MESSAGE_QUERY, sofia::register: ") {
		p.t.Errorf("a user who does not hear of messages: %+v", c)
	}
	more()
	more = p.edit("directory/default/signalbox.xml", `CHANNEL_HANGUP_COMPLETE `, ``)
	checks = p.examine(as)
	if c := checks["rights-events"]; c.Status != doctor.Fail || !strings.Contains(c.Detail, "CHANNEL_HANGUP_COMPLETE") {
		p.t.Errorf("a user with fewer events: %+v", c)
	}
	more()
	undo()
	if _, err := render.Undo(p.conf, false); err != nil {
		p.t.Fatal(err)
	}
	p.api("reloadxml")
	p.states("after the users", p.examine(nil), well)
}

// conferences breaks what conferences need, one thing at a time.
func (p patient) conferences(dir string) {
	p.t.Helper()
	const ok, warn = doctor.OK, doctor.Warn
	p.api("load mod_flite")
	folder := filepath.Join(dir, "recordings")
	with := func(alter func(*config.Config)) func(*doctor.Options) {
		return func(o *doctor.Options) {
			cfg := config.Default()
			cfg.Proxy.Listen, cfg.Sidecar.Listen, cfg.Sidecar.MaxCalls = nil, "127.0.0.1:0", 10
			cfg.Conference = config.Conference{Music: "tone_stream://%(200,100,440)", Recordings: folder, Gateway: "example.com", Voice: config.Voice{Engine: "flite", Name: "slt"}}
			if alter != nil {
				alter(&cfg)
			}
			o.Config = &cfg
			o.Conferences = &doctor.Conferences{Numbers: 1, Languages: []string{"en"}, Named: 1, Recorded: 1, Dialled: 1}
		}
	}
	// Calls are handed to 8084, which is not what this configuration has; that is another check.
	look := func(what string, alter func(*config.Config), check string, status doctor.Status, detail string) {
		p.t.Helper()
		if c := p.examine(with(alter))[check]; c.Status != status || !strings.Contains(c.Detail, detail) || status != ok && len(c.Add) == 0 {
			p.t.Errorf("%s: %+v, want %s %q", what, c, status, detail)
		}
	}
	look("no prompts", nil, "prompts", warn, "in en")
	plan, err := render.NewPlan(p.conf, render.Settings{Sounds: true})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := plan.Apply(time.Now()); err != nil {
		p.t.Fatal(err)
	}
	checks := p.examine(with(nil))
	for _, name := range []string{"prompts", "conference-profile", "conference-music", "conference-voice", "conference-recordings", "conference-gateway"} {
		if c := checks[name]; c.Status != ok {
			p.t.Errorf("all is well: %s is %s: %s", name, c.Status, c.Detail)
		}
	}
	if c := checks["conference-recordings"]; !strings.Contains(c.Detail, "its user may write there") {
		p.t.Errorf("whether the folder can be written: %s", c.Detail)
	}
	look("vanilla's stream without its music", func(c *config.Config) { c.Conference.Music = "local_stream://moh" }, "conference-music", warn, "no stream moh")
	undo := p.edit("autoload_configs/local_stream.conf.xml", `<directory name="moh/8000" path="$${sounds_dir}/music/8000">`, `<directory name="moh/8000" path="`+filepath.Join(p.conf, "sounds", "signalbox", "en")+`">`)
	p.api("local_stream start moh/8000")
	p.eventually("the stream", func() bool {
		return p.examine(with(func(c *config.Config) { c.Conference.Music = "local_stream://moh" }))["conference-music"].Status == ok
	})
	undo()
	look("a file that is not there", func(c *config.Config) { c.Conference.Music = "/nowhere/wait.wav" }, "conference-music", warn, "is not there")
	look("a file", func(c *config.Config) { c.Conference.Music = "sounds/signalbox/en/reached.wav" }, "conference-music", ok, "is there")
	look("a format that nothing plays", func(c *config.Config) { c.Conference.Music = "/nowhere/wait.mp3" }, "conference-music", warn, "no module")
	p.api("unload mod_tone_stream")
	// FreeSWITCH keeps its table of interfaces behind a queue: the module is gone some milliseconds before "show file" says so.
	p.eventually("the module's going", func() bool { return p.examine(with(nil))["conference-music"].Status == warn })
	look("no tones", nil, "conference-music", warn, "no module")
	p.api("load mod_tone_stream")
	look("no such voice", func(c *config.Config) { c.Conference.Voice.Name = "nobody" }, "conference-voice", warn, "no voice nobody")
	p.api("unload mod_flite")
	look("no voice", nil, "conference-voice", warn, "mod_flite is not loaded")
	look("no gateway", func(c *config.Config) { c.Conference.Gateway = "nobody" }, "conference-gateway", warn, "no gateway nobody")
	undo = p.edit("autoload_configs/conference.conf.xml", `<profile name="default">`, `<profile name="signalbox"><param name="pin" value="1"/></profile><profile name="default">`)
	look("rooms with a PIN", nil, "conference-profile", warn, "asks those for a PIN")
	undo()
	undo = p.edit("autoload_configs/conference.conf.xml", `<configuration name="conference.conf"`, `<configuration name="other.conf"`)
	look("no conference.conf", nil, "conference-profile", doctor.Fail, "opens no room")
	undo()
	p.api("unload mod_conference")
	look("no mod_conference", nil, "conference-profile", doctor.Fail, "mod_conference is not loaded")
	p.api("load mod_conference")
	if _, err := render.Undo(p.conf, false); err != nil { // the sounds
		p.t.Fatal(err)
	}
}

// eventually waits for what FreeSWITCH does behind its answer.
func (p patient) eventually(what string, is func() bool) {
	p.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		if is() {
			return
		}
		<-tick.C
	}
	p.t.Errorf("%s: not within 5 s", what)
}
