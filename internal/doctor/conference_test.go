package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/config"
)

// modules are a modules.conf.xml without some.
func modules(without ...string) string {
	var b strings.Builder
	b.WriteString("<include>\n<configuration name=\"modules.conf\">\n<modules>\n")
	for _, m := range []string{"mod_commands", "mod_conference", "mod_console", "mod_dialplan_xml", "mod_dptools", "mod_event_socket", "mod_local_stream", "mod_sndfile", "mod_sofia", "mod_tone_stream"} {
		if !strings.Contains(" "+strings.Join(without, " ")+" ", " "+m+" ") {
			fmt.Fprintf(&b, "<load module=\"%s\"/>\n", m)
		}
	}
	return b.String() + "</modules>\n</configuration>\n</include>\n"
}

const modulesFile = "autoload_configs/modules.conf.xml"

// Each precondition of conferences is broken alone; the running switch and its conf tree alone say the same, where the tree can.
func TestEachPreconditionOfConferencesIsNamed(t *testing.T) {
	t.Parallel()
	music := t.TempDir()
	if err := os.WriteFile(filepath.Join(music, "wait.wav"), []byte("a sound"), 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) func(map[string]string) {
		return func(f map[string]string) { f[name] = text }
	}
	streams := func(name, folder string) func(map[string]string) {
		return put("autoload_configs/local_stream.conf.xml", fmt.Sprintf("<include>\n<configuration name=\"local_stream.conf\">\n<directory name=%q path=%q/>\n</configuration>\n</include>\n", name, folder))
	}
	rooms := func(params string) func(map[string]string) {
		return put("autoload_configs/conference.conf.xml", "<include>\n<configuration name=\"conference.conf\">\n<profiles>\n<profile name=\"signalbox\">\n"+params+"\n</profile>\n</profiles>\n</configuration>\n</include>\n")
	}
	many := &Conferences{Numbers: 3, Languages: []string{"en"}, Named: 2, Recorded: 1, Dialled: 1}
	for _, tt := range []struct {
		name    string
		change  func(map[string]string)
		conf    config.Conference
		used    *Conferences
		check   string
		status  Status
		detail  string
		add     string
		offline Status // "" = the same
	}{
		{name: "no mod_conference", change: put(modulesFile, modules("mod_conference")), check: "conference-profile", status: Warn, detail: "hung up", add: `<load module="mod_conference"/>`},
		{name: "no mod_conference, and numbers use it", change: put(modulesFile, modules("mod_conference")), used: many, check: "conference-profile", status: Fail, detail: "at one of 3 numbers", add: `load mod_conference`},
		{name: "rooms with a PIN", change: rooms(`<param name="pin" value="1234"/>`), check: "conference-profile", status: Warn, detail: "asks those for a PIN", add: "take these parameters"},
		{name: "rooms that are recorded", change: rooms(`<param name="auto-record" value="/x.wav"/>`), check: "conference-profile", status: Warn, detail: "without a notice"},
		{name: "members who wait", change: rooms(`<param name="conference-flags" value="audio-always|wait-mod"/>`), check: "conference-profile", status: Warn, detail: "wait-mod"},
		{name: "a profile of 16 kHz", change: rooms(`<param name="rate" value="16000"/>`), check: "conference-profile", status: OK, detail: "your profile signalbox"},
		{name: "no such stream", conf: config.Conference{Music: "local_stream://moh"}, check: "conference-music", status: Warn, detail: "no stream moh", add: `<directory name="moh/8000"`},
		{name: "a stream without its folder", change: streams("moh/8000", "/nowhere/music"), conf: config.Conference{Music: "local_stream://moh"}, check: "conference-music", status: Warn, detail: "silence", add: "local_stream start moh/8000", offline: OK},
		{name: "a stream", change: streams("moh/8000", music), conf: config.Conference{Music: "local_stream://moh"}, check: "conference-music", status: OK, detail: "is there"},
		{name: "only the default stream", change: streams("default", music), conf: config.Conference{Music: "local_stream://moh"}, check: "conference-music", status: Warn, detail: "stream default instead"},
		{name: "no module for streams", change: put(modulesFile, modules("mod_local_stream")), conf: config.Conference{Music: "local_stream://moh"}, check: "conference-music", status: Warn, detail: "no module", add: "load mod_local_stream"},
		{name: "no module for tones", change: put(modulesFile, modules("mod_tone_stream")), conf: config.Conference{Music: "tone_stream://%(200,100,440)"}, check: "conference-music", status: Warn, add: "load mod_tone_stream"},
		{name: "tones", conf: config.Conference{Music: "tone_stream://%(200,100,440)"}, check: "conference-music", status: OK, detail: "can be played"},
		{name: "a file that is not there", conf: config.Conference{Music: music + "/other.wav"}, check: "conference-music", status: Warn, detail: "is not there", add: "8 kHz"},
		{name: "a file", conf: config.Conference{Music: music + "/wait.wav"}, check: "conference-music", status: OK, detail: "is there"},
		{name: "a file of the conf folder", conf: config.Conference{Music: "sounds/none.wav"}, check: "conference-music", status: Warn, detail: "/sounds/none.wav"},
		{name: "an MP3 that nothing plays", conf: config.Conference{Music: music + "/wait.mp3"}, check: "conference-music", status: Warn, detail: "no module", add: "load mod_shout"},
		{name: "no voice, and names are greeted by", used: many, check: "conference-voice", status: Warn, detail: "2 numbers that greet by their host's name", add: "engine: flite"},
		{name: "no voice", check: "conference-voice", status: OK, detail: "a guest"},
		{name: "a voice that is not loaded", conf: config.Conference{Voice: config.Voice{Engine: "flite", Name: "slt"}}, check: "conference-voice", status: Warn, detail: "mod_flite is not loaded", add: "load mod_flite"},
		{name: "recording without a folder", used: many, check: "conference-recordings", status: Warn, detail: "1 numbers have record: true", add: "recordings:"},
		{name: "forward_dial without a gateway", used: many, check: "conference-gateway", status: Warn, detail: "forward_dial", add: "gateway:"},
		{name: "no such gateway", conf: config.Conference{Gateway: "carrier"}, check: "conference-gateway", status: Warn, detail: "no gateway carrier", add: `<gateway name="carrier">`, offline: Skip},
		{name: "a prompt of a language that nobody uses", change: func(f map[string]string) { delete(f, "sounds/signalbox/de/joined.wav") }, used: many, check: "prompts", status: OK},
		{name: "a prompt of one that is used", change: func(f map[string]string) { delete(f, "sounds/signalbox/en/joined.wav") }, used: many, check: "prompts", status: Warn, detail: "1 in en", add: "--with sounds"},
		{name: "prompts of another revision", change: func(f map[string]string) { delete(f, freeswitchconf.RevisionFile()) }, check: "prompts", status: Warn, detail: "another version", add: "--with sounds"},
		{name: "a host's greeting is not there", used: &Conferences{Numbers: 1, Languages: []string{"en"}, Greetings: []string{"sounds/signalbox/names/t/a/me.wav"}}, check: "prompts", status: Warn, detail: "names/t/a/me.wav", add: "greeting: number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := tree(t)
			if tt.change != nil {
				tt.change(files)
			}
			if files[modulesFile] == "" {
				files[modulesFile] = modules()
			}
			dir := write(t, files)
			s := start(t, dir)
			cfg := config.Default()
			cfg.Proxy.Listen, cfg.Sidecar.MaxCalls, cfg.Conference = nil, 10, tt.conf
			live := Examine(t.Context(), Options{Target: target(s), Config: &cfg, Conferences: tt.used})
			assertCheck(t, live.find(tt.check), tt.status, tt.detail, tt.add)
			want := tt.status
			if tt.offline != "" {
				want, tt.detail, tt.add = tt.offline, "", ""
			}
			assertCheck(t, Offline(t.Context(), Options{Conf: dir, Config: &cfg, Conferences: tt.used}).find(tt.check), want, tt.detail, tt.add)
			if unknown := s.Unknown(); len(unknown) > 0 {
				t.Errorf("the simulator does not know %v", unknown)
			}
		})
	}
}

func assertCheck(t *testing.T, c Check, status Status, detail, add string) {
	t.Helper()
	lines := c.Where + "\n" + strings.Join(c.Add, "\n")
	if c.Status != status || !strings.Contains(c.Detail, detail) || !strings.Contains(lines, add) || (status == Warn || status == Fail) && len(c.Add) == 0 {
		t.Errorf("%+v\nwant %s, %q, with a line that says %q", c, status, detail, add)
	}
}

// fixed is a switch that says what a test wants.
type fixed struct {
	place
	globals map[string]string
	there   func(string) bool
}

func (f fixed) exists(_ context.Context, path string) (bool, error) { return f.there(path), nil }
func (f fixed) global(_ context.Context, name string) (string, error) {
	return f.globals[name], nil
}

func TestWhetherAFolderCanBeWrittenIsSaid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode         uint32
		owner, group uint32
		user         uint32
		groups       []uint32
		may          bool
	}{
		{0o700, 1, 1, 1, nil, true}, {0o500, 1, 1, 1, nil, false}, {0o077, 1, 1, 1, []uint32{1}, false}, {0o770, 1, 5, 2, []uint32{5}, true},
		{0o750, 1, 5, 2, []uint32{5}, false}, {0o757, 1, 5, 2, nil, true}, {0o755, 1, 5, 2, nil, false}, {0, 1, 1, 0, nil, true},
	} {
		if got := mayMake(tt.mode, tt.owner, tt.group, tt.user, tt.groups); got != tt.may {
			t.Errorf("%+v: %t", tt, got)
		}
	}
	name, user, groups := credentials("Name:\tfreeswitch\nUid:\t7\t8\t7\t7\nGid:\t9\t10\t9\t9\nGroups:\t11 12 \n")
	if name != "freeswitch" || user != 8 || fmt.Sprint(groups) != "[10 11 12]" {
		t.Errorf("%s %d %v", name, user, groups)
	}
	d := &doctor{report: &Report{}}
	d.written(t.Context(), fixed{there: func(p string) bool { return p == "/var" }}, "x", "/var/rec/conf", "conferences are recorded", "lost")
	if c := d.report.find("x"); c.Status != OK || !strings.Contains(c.Detail, "into /var/rec/conf, which FreeSWITCH makes there; whether its user may write into /var is not seen") {
		t.Errorf("%+v", c)
	}
}
