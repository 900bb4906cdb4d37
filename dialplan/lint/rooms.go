package lint

import (
	"fmt"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// configuration is one of the tree's by name, such as conference.conf; nil = the tree has none.
func (l *linter) configuration(name string) *dialplan.Element {
	section := l.tree.Section("configuration")
	if section == nil {
		return nil
	}
	for _, c := range section.All("configuration") {
		if c.Soft("name") == name {
			return c
		}
	}
	return nil
}

// room reports a conference whose profile conference.conf does not have.
func (l *linter) room(x *extension, a *action) {
	conf := l.configuration("conference.conf")
	if a.app != "conference" || conf == nil || strings.HasPrefix(a.data, "bridge:") { // which has somebody else's address
		return
	}
	name, _, _ := strings.Cut(a.data, "+")
	at := strings.LastIndexByte(name, '@')
	profile := strings.TrimSpace(name[at+1:])
	if at < 0 || profile == "" || !literal(profile) {
		return
	}
	var names []string
	for _, list := range conf.All("profiles") {
		for _, p := range list.All("profile") {
			if p.Soft("name") == profile {
				return
			}
			names = append(names, p.Soft("name"))
		}
	}
	l.found("conference-profile", a.pos, x, fmt.Sprintf("autoload_configs/conference.conf.xml has no profile %q: the room has 8 kHz, and no sound, PIN or limit of yours", profile),
		"write one of: "+strings.Join(names, ", ")+", or a profile of that name")
}

// music reports streams that mod_local_stream does not have.
func (l *linter) music(x *extension, text string, pos dialplan.Pos) {
	conf := l.configuration("local_stream.conf")
	_, rest, ok := strings.Cut(text, "local_stream://")
	if !ok || conf == nil {
		return
	}
	stream, _, _ := strings.Cut(rest, "!") // of a file_string
	stream, _, _ = strings.Cut(strings.TrimSpace(stream), " ")
	if !literal(stream) || stream == "" {
		return
	}
	instead := "nothing is heard"
	for _, d := range conf.All("directory") {
		switch name := d.Soft("name"); {
		case name == stream || strings.HasPrefix(name, stream+"/"):
			return
		case name == "default":
			instead = "its stream default is heard instead, where that has music"
		}
	}
	l.found("stream-unknown", pos, x, fmt.Sprintf("autoload_configs/local_stream.conf.xml has no stream %q: %s", stream, instead), fmt.Sprintf(`write <directory name="%s/8000" path="FOLDER OF WAV FILES"> there, or another stream`, stream))
}

// roomSounds reports streams of conference profiles.
func (l *linter) roomSounds() {
	conf := l.configuration("conference.conf")
	if conf == nil {
		return
	}
	for _, list := range conf.All("profiles") {
		for _, profile := range list.All("profile") {
			for _, p := range profile.All("param") {
				if strings.HasSuffix(p.Soft("name"), "-sound") {
					l.music(nil, p.Soft("value"), p.PosOf("value"))
				}
			}
		}
	}
}
