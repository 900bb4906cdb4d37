package doctor

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/rooms"
)

// Conferences is what the conferences of numbers use.
type Conferences struct {
	Numbers   int      // that have one
	Languages []string // of the accounts whose numbers these are, of freeswitchconf.Languages
	Named     int      // greet by the host's name
	Recorded  int      // are recorded from the beginning
	Dialled   int      // have their host called by conference.gateway
	Greetings []string // hosts' own recordings, inside the conf folder
}

// conferences looks at what conferences need of FreeSWITCH.
func (d *doctor) conferences(ctx context.Context) {
	p := d.place()
	if p == nil {
		return
	}
	d.rooms(ctx, p)
	d.prompts(ctx, p)
	if d.Config == nil {
		return
	}
	d.music(ctx, p)
	d.spoken(ctx, p)
	d.recordings(ctx, p)
	d.hosts(ctx, p)
}

// used is what is known of the numbers.
func (d *doctor) used() Conferences {
	if d.Conferences == nil {
		return Conferences{}
	}
	return *d.Conferences
}

// unknown says that a thing could not be looked at.
func (d *doctor) unknown(name, what string, err error) {
	if errors.Is(err, errDenied) {
		err = fmt.Errorf("%s may not ask it; look with the master password, or let the user ask (esl-allowed-api)", d.User)
	}
	d.say(name, Skip, "%s: %v", what, err)
}

// rooms looks whether there can be rooms at all, and whether a profile of ours makes them what they shall not be.
func (d *doctor) rooms(ctx context.Context, p place) {
	const name, file = "conference-profile", "autoload_configs/conference.conf.xml"
	status, who := Warn, "who joins a conference"
	if n := d.used().Numbers; n > 0 {
		status, who = Fail, fmt.Sprintf("who presses the key at one of %d numbers with a conference", n)
	}
	loaded, err := p.module(ctx, "mod_conference")
	if err != nil {
		d.unknown(name, "whether mod_conference is loaded", err)
		return
	}
	if !loaded {
		d.say(name, status, "mod_conference is not loaded: %s is hung up (DESTINATION_OUT_OF_ORDER)", who).add("autoload_configs/modules.conf.xml", loads([]string{"mod_conference"})...)
		return
	}
	conf, err := p.configuration(ctx, "conference.conf")
	switch {
	case errors.Is(err, errNotThere):
		d.say(name, status, "FreeSWITCH has no conference.conf: it opens no room, and %s hears nobody", who).
			add(file, `<configuration name="conference.conf"><profiles></profiles></configuration>`, "then: fs_cli -x reloadxml")
		return
	case err != nil:
		d.unknown(name, "conference.conf", err)
		return
	}
	for _, profile := range conf.all("profile") {
		if profile.attrs["name"] != roomProfile {
			continue
		}
		if said := spoils(profile.params()); len(said) > 0 {
			d.say(name, Warn, "profile %s: %s", roomProfile, strings.Join(said, "; ")).
				add(file, "take these parameters out of its profile "+roomProfile, "then: fs_cli -x reloadxml; rooms that are open keep them")
			return
		}
		d.say(name, OK, "mod_conference is loaded; rooms have your profile %s", roomProfile)
		return
	}
	d.say(name, OK, "mod_conference is loaded; rooms have 8 kHz, for there is no profile %s", roomProfile)
}

// roomProfile is the profile of our rooms.
const roomProfile = rooms.Profile

// spoils names the parameters of a profile that our rooms do not bear.
func spoils(params map[string]string) (said []string) {
	for _, p := range []struct{ name, what string }{
		{"pin", "asks those for a PIN who have pressed the key, and they know none"},
		{"moderator-pin", "asks for a PIN that nobody knows"},
		{"auto-record", "records every room, without a notice"},
		{"enter-sound", "is heard before the name of who joins"},
		{"exit-sound", "is heard before the name of who leaves"},
	} {
		if params[p.name] != "" {
			said = append(said, p.name+" "+p.what)
		}
	}
	for _, name := range []string{"conference-flags", "member-flags"} {
		for flag := range strings.SplitSeq(params[name], "|") {
			if slices.Contains([]string{"wait-mod", "mute", "deaf", "endconf", "moderator"}, strings.TrimSpace(flag)) {
				said = append(said, fmt.Sprintf("%s has %s, which Signalbox decides for each room and member", name, strings.TrimSpace(flag)))
			}
		}
	}
	return said
}

// prompts looks for the prompts of conferences: those of the languages in use, of this program's revision, and hosts' own greetings.
func (d *doctor) prompts(ctx context.Context, p place) {
	conf, err := p.global(ctx, "conf_dir")
	if err != nil || conf == "" {
		return // the switch does not say where it looks
	}
	languages := freeswitchconf.Languages()
	if used := d.used(); used.Numbers > 0 {
		languages = used.Languages
	}
	all, missing := 0, map[string]int{}
	for _, language := range languages {
		for _, prompt := range freeswitchconf.Prompts() {
			there, err := p.exists(ctx, conf+"/"+prompt.File(language))
			if err != nil {
				d.unknown("prompts", "whether the prompts are there", err)
				return
			}
			if all++; !there {
				missing[language]++
			}
		}
	}
	lines := []string{d.renderIt() + " --with sounds"}
	if len(missing) > 0 {
		var said []string
		for _, language := range languages {
			if missing[language] > 0 {
				said = append(said, fmt.Sprintf("%d in %s", missing[language], language))
			}
		}
		d.say("prompts", Warn, "of %d prompts of conferences these are not there: %s. Callers are not offered what they cannot hear of", all, strings.Join(said, ", ")).
			add(conf+"/"+freeswitchconf.Sounds, lines...)
		return
	}
	if there, err := p.exists(ctx, conf+"/"+freeswitchconf.RevisionFile()); err == nil && !there {
		d.say("prompts", Warn, "all %d prompts of conferences are there, but not %s, so that they may be those of another version: callers may hear what is not so",
			all, path.Base(freeswitchconf.RevisionFile())).add(conf+"/"+freeswitchconf.Sounds, append(lines, "with voices of your own: see that they say what freeswitch-conf/prompts.go says, and make the file")...)
		return
	}
	for _, file := range d.used().Greetings {
		if there, err := p.exists(ctx, conf+"/"+file); err == nil && !there {
			d.say("prompts", Warn, "the greeting of a host, %s, is not there: his callers hear the offer without whom they have reached", file).
				add(conf+"/"+file, "a WAV of 8 kHz, or in the document of the number: greeting: number")
			return
		}
	}
	d.say("prompts", OK, "all %d prompts of conferences are there, of this program's revision", all)
}

// music looks whether what waiting callers shall hear can be played.
func (d *doctor) music(ctx context.Context, p place) {
	const name, lost = "conference-music", "who waits for a host hears silence"
	music := d.Config.Conference.Music
	if music == "" {
		d.say(name, OK, "conference.music is empty: silence while a host is called, two soft notes in a room that waits for him")
		return
	}
	format, rest, stream := strings.Cut(music, "://")
	if !stream {
		format = strings.TrimPrefix(path.Ext(music), ".")
	}
	known, err := p.formats(ctx)
	if err != nil {
		d.unknown(name, "what FreeSWITCH plays", err)
		return
	}
	if !slices.Contains(known, strings.ToLower(format)) {
		c := d.say(name, Warn, "no module that is loaded plays %s: %s", music, lost)
		if module := bringing[strings.ToLower(format)]; module != "" {
			c.add("autoload_configs/modules.conf.xml", loads([]string{module})...)
		} else {
			c.add("signalbox.yaml", "conference: {music: local_stream://moh}", "or a WAV of 8 kHz")
		}
		return
	}
	switch {
	case format == "local_stream":
		d.stream(ctx, p, rest)
	case stream:
		d.say(name, OK, "%s can be played", music)
	default:
		d.musicFile(ctx, p, music)
	}
}

// stream looks for one of mod_local_stream's: under its name, or that with a rate, else FreeSWITCH takes "default".
func (d *doctor) stream(ctx context.Context, p place, stream string) {
	const name = "conference-music"
	list, err := p.streams(ctx)
	if err != nil {
		d.unknown(name, "which streams there are", err)
		return
	}
	for _, s := range list {
		if s == stream || strings.HasPrefix(s, stream+"/") {
			d.say(name, OK, "stream %s is there", stream)
			return
		}
	}
	lost := "who waits for a host hears silence"
	if slices.Contains(list, "default") {
		lost = "FreeSWITCH plays its stream default instead"
	}
	d.say(name, Warn, "FreeSWITCH has no stream %s, or not its folder of music: %s", stream, lost).
		add("autoload_configs/local_stream.conf.xml", fmt.Sprintf(`<directory name="%s/8000" path="FOLDER OF WAV FILES"><param name="rate" value="8000"/></directory>`, stream),
			`then: fs_cli -x reloadxml, and fs_cli -x "local_stream start `+stream+`/8000"`, "vanilla's moh: its music is in the package freeswitch-music-default")
}

func (d *doctor) musicFile(ctx context.Context, p place, music string) {
	const name = "conference-music"
	if !path.IsAbs(music) {
		conf, err := p.global(ctx, "conf_dir")
		if err != nil || conf == "" {
			d.unknown(name, music, errors.Join(errRunning, err))
			return
		}
		music = path.Join(conf, path.Clean("/"+music))
	}
	switch there, err := p.exists(ctx, music); {
	case err != nil:
		d.unknown(name, music, err)
	case !there:
		d.say(name, Warn, "%s (conference.music) is not there: who waits for a host hears silence", music).add(music, "a WAV of 8 kHz, one channel")
	default:
		d.say(name, OK, "%s is there", music)
	}
}

// fliteVoices are those of mod_flite.
var fliteVoices = []string{"awb", "kal", "rms", "slt"}

// spoken looks for the voice that speaks names, and where it speaks them into.
func (d *doctor) spoken(ctx context.Context, p place) {
	const name, file = "conference-voice", "signalbox.yaml"
	v, named := d.Config.Conference.Voice, d.used().Named
	lost := "who joins a conference is \"a guest\" unless the contact has a recording"
	if named > 0 {
		lost += fmt.Sprintf(", and %d numbers that greet by their host's name read the number", named)
	}
	if v.Engine == "" {
		if named > 0 {
			d.say(name, Warn, "conference.voice is empty: %s", lost).add(file, "conference: {voice: {engine: flite, name: slt}}")
			return
		}
		d.say(name, OK, "conference.voice is empty: %s", lost)
		return
	}
	loaded, err := p.module(ctx, "mod_"+v.Engine)
	if err != nil {
		d.unknown(name, "whether mod_"+v.Engine+" is loaded", err)
		return
	}
	if !loaded {
		d.say(name, Warn, "mod_%s is not loaded: %s", v.Engine, lost).add("autoload_configs/modules.conf.xml", loads([]string{"mod_" + v.Engine})...)
		return
	}
	if v.Engine == "flite" && !slices.Contains(fliteVoices, v.Name) {
		d.say(name, Warn, "mod_flite has no voice %s: %s", v.Name, lost).add(file, "conference: {voice: {engine: flite, name: slt}}", "its voices: "+strings.Join(fliteVoices, ", "))
		return
	}
	folder, err := p.global(ctx, "recordings_dir")
	if err != nil || folder == "" {
		d.say(name, OK, "names are spoken by mod_%s", v.Engine)
		return
	}
	d.written(ctx, p, name, path.Join(folder, "signalbox-names"), "names are spoken by mod_"+v.Engine, lost)
}

// recordings looks at the folder of recordings.
func (d *doctor) recordings(ctx context.Context, p place) {
	const name = "conference-recordings"
	folder, recorded := d.Config.Conference.Recordings, d.used().Recorded
	if folder != "" {
		d.written(ctx, p, name, folder, "conferences are recorded", "no conference is recorded, though its people hear that it is")
		return
	}
	if recorded > 0 {
		d.say(name, Warn, "%d numbers have record: true, and conference.recordings names no folder: nothing is recorded", recorded).
			add("signalbox.yaml", "conference: {recordings: /var/lib/freeswitch/recordings/conferences}")
		return
	}
	d.say(name, OK, "conference.recordings is empty: no conference is recorded")
}

// written says whether FreeSWITCH can write into a folder, which it makes itself when it may.
func (d *doctor) written(ctx context.Context, p place, name, folder, good, lost string) {
	at := folder
	for {
		there, err := p.exists(ctx, at)
		if err != nil {
			d.unknown(name, at, err)
			return
		}
		if there {
			break
		}
		if at == "/" {
			d.unknown(name, folder, errors.New("FreeSWITCH sees no folder at all"))
			return
		}
		at = path.Dir(at)
	}
	may, err := d.mayWrite(ctx, p, at)
	made := ""
	if at != folder {
		made = ", which FreeSWITCH makes there"
	}
	switch {
	case err != nil:
		d.say(name, OK, "%s into %s%s; whether its user may write into %s is not seen from here", good, folder, made, at)
	case !may:
		d.say(name, Warn, "FreeSWITCH's user may not write into %s: %s", at, lost).
			add("on FreeSWITCH's machine", "install -d -o freeswitch -g freeswitch -m 2770 "+folder, "(the user that FreeSWITCH runs as; systemd: ReadWritePaths="+folder+" where its unit restricts it)")
	default:
		d.say(name, OK, "%s into %s%s, and its user may write there", good, folder, made)
	}
}

// hosts looks for the gateway by which hosts are called.
func (d *doctor) hosts(ctx context.Context, p place) {
	const name = "conference-gateway"
	gateway, dialled := d.Config.Conference.Gateway, d.used().Dialled
	if gateway == "" {
		if dialled > 0 {
			d.say(name, Warn, "%d numbers have forward_dial, and conference.gateway is empty: only their devices are called when a host is fetched", dialled).
				add("signalbox.yaml", "conference: {gateway: THE NAME OF A GATEWAY}")
		}
		return
	}
	switch there, err := p.gateway(ctx, gateway); {
	case err != nil:
		d.unknown(name, "gateway "+gateway, err)
	case !there:
		d.say(name, Warn, "FreeSWITCH has no gateway %s: hosts with forward_dial, and people who are called into a room by the API, are not reached", gateway).
			add("sip_profiles/external/"+gateway+".xml", fmt.Sprintf(`<gateway name="%s"><param name="proxy" value="HOST"/><param name="register" value="false"/></gateway>`, gateway),
				`then: fs_cli -x "sofia profile external rescan"`)
	default:
		d.say(name, OK, "gateway %s is there", gateway)
	}
}
